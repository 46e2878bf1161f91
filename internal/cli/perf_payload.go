package cli

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// payloads makes the values of records.
type payloads struct {
	size  int      // of random ones
	lines [][]byte // one of these
	rng   *rand.Rand
	free  sync.Pool // *[]byte, buffers of sent records
}

func (f *producerPerfFlags) payloads(io IO) (*payloads, error) {
	p := &payloads{size: f.recordSize.Int(), rng: rand.New(rand.NewPCG(0, 0))} // the same values in every run
	if !f.payloadFile.Seen() {
		return p, nil
	}
	path, err := filepath.Abs(f.payloadFile.Value())
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(io.Out, "Reading payloads from: %s\n", path)
	content, err := os.ReadFile(path)
	if err == nil && len(content) == 0 {
		err = errors.New("the file is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("File does not exist or empty file provided: %w", err) //nolint:staticcheck // Kafka's words
	}
	delimiter := strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(f.delimiter.Value())
	p.lines = bytes.Split(content, []byte(delimiter))
	for len(p.lines) > 1 && len(p.lines[len(p.lines)-1]) == 0 { // as Java splits
		p.lines = p.lines[:len(p.lines)-1]
	}
	fmt.Fprintf(io.Out, "Number of records read: %d\n", len(p.lines))
	return p, nil
}

// largest is the size of the largest value in bytes.
func (p *payloads) largest() int {
	n := max(p.size, 20)
	for _, line := range p.lines {
		n = max(n, len(line))
	}
	return n
}

// next is the value of record number n. The client keeps it until the record is sent: hand it to release then.
func (p *payloads) next(n int64) []byte {
	switch {
	case p.lines != nil:
		return p.lines[p.rng.IntN(len(p.lines))]
	case p.size == 0:
		return strconv.AppendInt(nil, n, 10)
	}
	b, ok := p.free.Get().(*[]byte)
	if !ok {
		fresh := make([]byte, p.size)
		b = &fresh
	}
	letters(*b, p.rng)
	return *b
}

func (p *payloads) release(b []byte) {
	if p.lines == nil && p.size > 0 {
		p.free.Put(&b)
	}
}

// letters fills b with letters from A to Z, eight a random number.
func letters(b []byte, rng *rand.Rand) {
	for len(b) > 0 {
		bits := rng.Uint64()
		for i := range min(8, len(b)) {
			b[i] = 'A' + byte((bits>>(8*i)&0xff)*26>>8)
		}
		b = b[min(8, len(b)):]
	}
}
