package peers

import (
	"slices"
	"strings"
	"testing"

	"gregor/bench/cases"
	"gregor/bench/harness"
)

// The cases that each system has, by name: a case that is named here and is not there any more is not measured, silently.
func TestCases(t *testing.T) {
	all := cases.All()
	for name := range work {
		if !slices.ContainsFunc(all, func(c harness.Case) bool { return c.Name == name }) {
			t.Errorf("there is no case %s", name)
		}
	}
	got := map[string]string{}
	for _, s := range (Programs{NATS: "x", RabbitMQ: "y"}).Servers() {
		var names []string
		for _, c := range all {
			if s.(harness.Chooser).Has(&c) {
				names = append(names, c.Name)
			}
		}
		slices.Sort(names)
		got[s.Name()] = strings.Join(names, " ")
	}
	for name, want := range map[string]string{
		"nats":                    "active cluster-idle cluster-large cluster-small fetch flush large latency mixed noflush small start tail-1 tail-10 tail-100",
		"nats-fast":               "large",
		"rabbitmq-quorum":         "active fetch flush large latency mixed noflush small start tail-1",
		"rabbitmq-stream":         "active fetch large latency mixed noflush small tail-1 tail-10 tail-100",
		"rabbitmq-stream-batched": "fetch large mixed",
	} {
		if got[name] != want {
			t.Errorf("%s has\n%s, not\n%s", name, got[name], want)
		}
	}
	if len((Programs{}).Servers()) != 0 {
		t.Error("servers without a program")
	}
}
