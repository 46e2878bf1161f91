package record

// Recompress returns a batch with the same header and the same records under
// another codec, for compression.type of a topic. level is that of
// compression.<codec>.level, 0 for the default. If the codec is already c, the
// batch itself is returned: like Kafka, a level alone never rewrites a batch.
//
// Errors are those of Records.
func (b Batch) Recompress(c Codec, level int) (Batch, error) {
	if b.Codec() == c {
		return b, nil
	}
	s, err := openSource(b.Codec(), b.Payload(), MaxDecompressedBytes)
	if err != nil {
		return nil, b.at(err)
	}
	defer s.close()
	plain := b.Payload()
	if s.dec != nil {
		if plain, err = s.all(); err != nil {
			return nil, b.at(err)
		}
	}
	out := make([]byte, HeaderSize, HeaderSize+len(plain))
	copy(out, b)
	if out, err = compress(out, c, level, plain); err != nil {
		return nil, b.at(err)
	}
	n := Batch(out)
	n.put32(lengthAt, int32(len(n)-LogOverhead))
	n.put16(attributesAt, n.Attributes()&^AttrCodecMask|int16(c))
	n.sum()
	return n, nil
}

// all reads the whole stream; the result is valid until close.
func (s *source) all() ([]byte, error) {
	for !s.eof {
		if _, err := s.fill(len(s.buf) - s.pos + 1); err != nil {
			return nil, err
		}
	}
	return s.buf[s.pos:], nil
}
