// Package cases is what is measured.
package cases
