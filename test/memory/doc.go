// Package memory measures what a broker's process holds in memory.
package memory
