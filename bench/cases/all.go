package cases

import (
	"slices"

	"gregor/bench/harness"
)

// All is every case, in the order of the report.
func All() []harness.Case {
	return slices.Concat(Produce(), Fetch(), Cluster(), Scale(), Groups(), Start(), Tools(), Clients())
}
