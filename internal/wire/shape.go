package wire

import (
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// ErrShape is a message whose bytes do not have the shape of its API and version.
var ErrShape = errors.New("malformed message")

//go:embed requests.txt
var requestShapes string

// Shapes knows the form of every request of Kafka, or of the responses. kmsg's decoders are made for clients that trust their broker: they
// allocate an array on the word of its count, and they spin over as many tags as a number says. Check walks a request
// without allocating, so that only what is really there gets decoded.
//
// The shapes of a version are read from the embedded table when its first request arrives.
type Shapes struct {
	mu    sync.Mutex
	apis  map[int16]*apiShapes
	ready sync.Map // int32 (key<<16|version) -> *shape
}

// apiShapes is what the table says of one API.
type apiShapes struct {
	min, max int16
	lines    []versionLine // ascending
}

type versionLine struct {
	version int16
	text    string
}

// NewShapes returns the shapes of all requests.
func NewShapes() *Shapes { return readShapes(requestShapes) }

//go:embed responses.txt
var responseShapes string

// ResponseShapes are the shapes of responses, for who asks another node. They are read once a process.
var ResponseShapes = sync.OnceValue(func() *Shapes { return readShapes(responseShapes) })

func readShapes(text string) *Shapes {
	s := &Shapes{apis: make(map[int16]*apiShapes)}
	var api *apiShapes
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == 'v' {
			version, text, _ := strings.Cut(line[1:], " ")
			api.lines = append(api.lines, versionLine{number(version), text})
			continue
		}
		f := strings.Fields(line) // key, name, min-max
		lowest, highest, _ := strings.Cut(f[2], "-")
		api = &apiShapes{min: number(lowest), max: number(highest)}
		s.apis[number(f[0])] = api
	}
	return s
}

// number reads a number of the embedded table, which a test has read in full.
func number(s string) int16 {
	n, err := strconv.ParseInt(s, 10, 16)
	if err != nil {
		panic("wire: table of shapes: " + err.Error())
	}
	return int16(n)
}

// Check reports whether body is a message of this key and version and how many bytes of memory its decoded form takes,
// beyond the body itself. Bytes behind the message are ignored, as Kafka ignores them.
func (s *Shapes) Check(key, version int16, body []byte) (decodedBytes int, err error) {
	sh, err := s.shape(key, version)
	if err != nil {
		return 0, err
	}
	c := cursor{b: body}
	c.walk(sh)
	if c.err != nil {
		return 0, fmt.Errorf("%w: key %d version %d at byte %d: %w", ErrShape, key, version, len(body)-len(c.b), c.err)
	}
	return c.memory, nil
}

func (s *Shapes) shape(key, version int16) (*shape, error) {
	id := int32(key)<<16 | int32(uint16(version))
	if sh, ok := s.ready.Load(id); ok {
		return sh.(*shape), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	api := s.apis[key]
	if api == nil || version < api.min || version > api.max {
		return nil, fmt.Errorf("%w: key %d version %d is unknown", ErrShape, key, version)
	}
	var p shapeParser
	for _, l := range api.lines {
		if l.version <= version {
			p.s = l.text
		}
	}
	sh := p.structure()
	if p.s != "" {
		panic("wire: table of shapes: cannot read " + p.s)
	}
	s.ready.Store(id, sh)
	return sh, nil
}

type shapeKind uint8

const (
	shapeFixed   shapeKind = iota // size bytes
	shapeString                   // int16 or compact length
	shapeBytes                    // int32 or compact length
	shapeArray                    // int32 or compact count, elem
	shapeStruct                   // fields
	shapeTags                     // count, then key, size, value
	shapeRecords                  // as bytes
)

type shape struct {
	kind     shapeKind
	compact  bool
	nullable bool
	size     int // shapeFixed: bytes on the wire
	minSize  int // least bytes on the wire
	memory   int // bytes that the decoded value takes in place
	elem     *shape
	fields   []*shape
	tags     map[uint32]*shape
}

// shapeParser reads the notation of requests.txt by recursive descent. Its input is part of the program.
type shapeParser struct{ s string }

func (p *shapeParser) take(prefix string) bool {
	rest, ok := strings.CutPrefix(p.s, prefix)
	if ok {
		p.s = rest
	}
	return ok
}

func (p *shapeParser) word() string {
	n := strings.IndexAny(p.s, " ,:{}[]()")
	if n < 0 {
		n = len(p.s)
	}
	w := p.s[:n]
	p.s = p.s[n:]
	return w
}

// structure reads {name type, ..., tags(...)}.
func (p *shapeParser) structure() *shape {
	sh := &shape{kind: shapeStruct}
	p.take("{")
	for !p.take("}") {
		var f *shape
		if p.take("tags(") {
			f = p.taggedFields()
		} else {
			p.word()
			p.take(" ")
			f = p.typ()
		}
		sh.fields = append(sh.fields, f)
		sh.minSize += f.minSize
		sh.memory += f.memory
		p.take(", ")
	}
	return sh
}

func (p *shapeParser) taggedFields() *shape {
	sh := &shape{kind: shapeTags, minSize: 1, memory: 8}
	for !p.take(")") {
		n, _ := strconv.ParseUint(p.word(), 10, 32)
		p.take(": ")
		p.word()
		p.take(" ")
		if sh.tags == nil {
			sh.tags = make(map[uint32]*shape)
		}
		f := p.typ()
		sh.tags[uint32(n)] = f
		sh.memory += f.memory
		p.take(", ")
	}
	return sh
}

func (p *shapeParser) typ() *shape {
	nullable := p.take("nullable ")
	var sh *shape
	switch {
	case strings.HasPrefix(p.s, "{"):
		sh = p.structure()
		if nullable {
			sh.minSize = 1
			sh.memory = 8
		}
	case p.take("compact["):
		sh = &shape{kind: shapeArray, compact: true, minSize: 1, memory: 24, elem: p.typ()}
		p.take("]")
	case p.take("["):
		sh = &shape{kind: shapeArray, minSize: 4, memory: 24, elem: p.typ()}
		p.take("]")
	default:
		sh = scalar(p.word())
	}
	sh.nullable = sh.nullable || nullable
	return sh
}

func scalar(name string) *shape {
	switch name {
	case "boolean", "int8":
		return &shape{kind: shapeFixed, size: 1, minSize: 1, memory: 4}
	case "int16", "uint16":
		return &shape{kind: shapeFixed, size: 2, minSize: 2, memory: 4}
	case "int32":
		return &shape{kind: shapeFixed, size: 4, minSize: 4, memory: 4}
	case "int64", "float64":
		return &shape{kind: shapeFixed, size: 8, minSize: 8, memory: 8}
	case "uuid":
		return &shape{kind: shapeFixed, size: 16, minSize: 16, memory: 16}
	}
	sh := &shape{minSize: 1}
	base, compact := strings.CutPrefix(name, "compact_")
	base, nullable := strings.CutPrefix(base, "nullable_")
	sh.compact, sh.nullable = compact, nullable
	switch base {
	case "string":
		sh.kind, sh.memory = shapeString, 16
		if !compact {
			sh.minSize = 2
		}
	case "bytes":
		sh.kind, sh.memory = shapeBytes, 24
	case "records":
		sh.kind, sh.memory = shapeRecords, 24
	default:
		panic("wire: table of shapes: unknown type " + name)
	}
	if !compact && sh.kind != shapeString {
		sh.minSize = 4
	}
	return sh
}
