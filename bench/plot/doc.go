// Package plot draws what the harness measured, as SVG: bars of ratios case by case, and lines of latencies. A picture
// brings its own background and colours for light and for dark pages.
package plot
