package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// Expectation is the ratio of a server's figures to the limit's in the same run, by case and figure. Processor time is what
// is steady on a machine that others use too; throughput is not.
type Expectation map[string]map[string]float64

// fallen is how much worse than expected a ratio may be: by a quarter.
const fallen = 0.75

// ReadExpectation reads a file of them.
func ReadExpectation(path string) (e Expectation, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return e, nil
}

// RatioToLimit is the median of the rounds' ratios: both runs of a round stand beside each other.
func (o Outcome) RatioToLimit(server, figure string) (float64, error) {
	a, limit := o.Column(server), o.Column(LimitName)
	if a == nil || limit == nil || len(a.Runs) == 0 || len(a.Runs) != len(limit.Runs) {
		return 0, fmt.Errorf("%s: %s and %s were not measured in turn", o.Name, server, LimitName)
	}
	var ratios []float64
	for i := range a.Runs {
		x, ok := a.Runs[i][figure]
		y := limit.Runs[i][figure]
		if !ok || y == 0 {
			return 0, fmt.Errorf("%s: %s has no figure %q", o.Name, server, figure)
		}
		ratios = append(ratios, x/y)
	}
	return spread(ratios).Median, nil
}

// Check says which cases have fallen, in the order of outcomes, and writes what it compared.
func (e Expectation) Check(outcomes []Outcome, server string, say func(string)) (bad []string, err error) {
	for _, o := range outcomes {
		for _, figure := range sortedKeys(e[o.Name]) {
			want := e[o.Name][figure]
			got, err := o.RatioToLimit(server, figure)
			if err != nil {
				return nil, err
			}
			worse, verdict := got/want, "as it should be"
			if MoreIsBetter(figure) {
				worse = want / got
			}
			if worse > 1/fallen {
				verdict = "FALLEN by more than a quarter"
				if !slices.Contains(bad, o.Name) {
					bad = append(bad, o.Name)
				}
			}
			say(fmt.Sprintf("%-8s %-22s %.2f of the limit's, expected %.2f: %s", o.Name, figure, got, want, verdict))
		}
	}
	return bad, nil
}

func sortedKeys(m map[string]float64) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
