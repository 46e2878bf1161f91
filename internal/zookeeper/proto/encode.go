package proto

import "encoding/binary"

// Each of these appends one jute value and gives the extended slice.

// AppendBool appends a boolean.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// AppendInt32 appends an int.
func AppendInt32(b []byte, v int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(v)) }

// AppendInt64 appends a long.
func AppendInt64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

// AppendString appends a string; there is no null string.
func AppendString(b []byte, s string) []byte {
	return append(AppendInt32(b, int32(len(s))), s...)
}

// AppendBuffer appends a buffer; nil is null.
func AppendBuffer(b []byte, p []byte) []byte {
	if p == nil {
		return AppendInt32(b, -1)
	}
	return append(AppendInt32(b, int32(len(p))), p...)
}

// AppendStrings appends a vector of strings; nil is an empty one.
func AppendStrings(b []byte, all []string) []byte {
	b = AppendInt32(b, int32(len(all)))
	for _, s := range all {
		b = AppendString(b, s)
	}
	return b
}
