// Package record reads, checks, patches and writes Kafka's record batches
// (magic 2, KIP-98), and reads the two older message formats (magic 0 and 1).
//
// A batch is a byte slice. Header fields are read and patched in place, and
// nothing is taken apart unless a caller asks for the records inside. Whoever
// hands bytes to this package keeps owning them: a [Batch] aliases its input,
// and a [Record] is valid only until the iteration takes its next step.
//
// All input is treated as hostile. A length is checked before it is used,
// compressed payloads are opened as streams with bounded output, and nothing
// panics on bad bytes.
//
// Source of the format: https://kafka.apache.org/documentation/#messageformat
package record
