package plot

import (
	"fmt"
	"math"
)

// axis is a logarithmic scale from one place of a picture to another.
type axis struct {
	least, most float64 // values, above zero
	from, to    float64 // where they are
}

// newAxis has room for all values, and ends at 1, 2 or 5 times a power of ten.
func newAxis(values []float64, from, to float64) axis {
	a := axis{least: math.Inf(1), most: 0, from: from, to: to}
	for _, v := range values {
		a.least, a.most = min(a.least, v), max(a.most, v)
	}
	a.least, a.most = round(a.least, false), round(a.most, true)
	if a.least == a.most {
		a.most = round(a.least*1.01, true)
	}
	return a
}

// steps are what an axis may be marked at, in a power of ten.
var steps = []float64{1, 2, 5, 10}

// round goes to the next step, up or down.
func round(v float64, up bool) float64 {
	const near = 1e-9 // of a step: what is on one stays there
	power := math.Pow(10, math.Floor(math.Log10(v)+near))
	for i, s := range steps {
		if up && v <= power*s*(1+near) {
			return power * s
		}
		if !up && v < power*s*(1-near) {
			return power * steps[i-1]
		}
	}
	return power * 10
}

// at is where a value is.
func (a axis) at(v float64) float64 {
	return a.from + (a.to-a.from)*(math.Log(v)-math.Log(a.least))/(math.Log(a.most)-math.Log(a.least))
}

// marks are the values to be marked: powers of ten, with 2 and 5 between them while there are few.
func (a axis) marks() (all []float64) {
	between := a.most/a.least <= 2000
	for v := a.least; v <= a.most*1.001; v = round(v*1.01, true) {
		if between || math.Abs(math.Log10(v)-math.Round(math.Log10(v))) < 1e-9 {
			all = append(all, v)
		}
	}
	return all
}

// number has three digits.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.3g", v)
	}
	return fmt.Sprintf("%.2g", v)
}
