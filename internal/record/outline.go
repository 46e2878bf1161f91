package record

// quickOutline is nextOutline for a record that lies whole at the start of p, which is nearly every one. It answers
// false for all others and for anything that is wrong with a record: nextOutline looks again and says what.
func quickOutline(p []byte) (o outline, size int, ok bool) {
	length, i := number(p, 0, maxVarint)
	if length < 1 || length > int64(len(p)-i) {
		return outline{}, 0, false
	}
	p = p[:i+int(length)]
	i++ // attributes
	o.timestampDelta, i = number(p, i, maxVarlong)
	o.offsetDelta, i = number(p, i, maxVarint)
	i, o.hasKey = skipField(p, i)
	i, _ = skipField(p, i)
	headers, i := number(p, i, maxVarint)
	for ; headers > 0 && i <= len(p); headers-- {
		var hasKey bool
		if i, hasKey = skipField(p, i); !hasKey {
			return outline{}, 0, false
		}
		i, _ = skipField(p, i)
	}
	return o, len(p), headers == 0 && i == len(p)
}

// number reads a zigzag-coded number at p[i] and gives the place behind it. What cannot be read is followed by
// len(p)+1, where nothing can be read either, so that only the last of several places needs to be looked at.
func number(p []byte, i, limit int) (v int64, next int) {
	if i < len(p) && p[i] < 0x80 {
		return int64(p[i]>>1) ^ -int64(p[i]&1), i + 1
	}
	return longNumber(p, i, limit)
}

func longNumber(p []byte, i, limit int) (v int64, next int) {
	if i < len(p) {
		if v, size := readVarlong(p[i:], limit); size > 0 {
			return v, i + size
		}
	}
	return 0, len(p) + 1
}

// skipField steps over a length and that many bytes, and tells whether there was something other than null.
func skipField(p []byte, i int) (next int, present bool) {
	n, i := number(p, i, maxVarint)
	if n < -1 || n > int64(len(p)-i) {
		return len(p) + 1, false
	}
	return i + int(max(n, 0)), n >= 0
}
