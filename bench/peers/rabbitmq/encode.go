package rabbitmq

import "encoding/binary"

// What both protocols have in common: big-endian numbers, and strings with their length before them.

func u16(b []byte, v int) []byte { return binary.BigEndian.AppendUint16(b, uint16(v)) }
func u32(b []byte, v int) []byte { return binary.BigEndian.AppendUint32(b, uint32(v)) }
func u64(b []byte, v int) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

// short is AMQP's string of at most 255 bytes, text that of the stream protocol, long is AMQP's.
func short(b []byte, s string) []byte { return append(append(b, byte(len(s))), s...) }
func text(b []byte, s string) []byte  { return append(u16(b, len(s)), s...) }
func long(b []byte, s string) []byte  { return append(u32(b, len(s)), s...) }

// plain is the answer to SASL's PLAIN for the user that every new server has, from this machine alone.
const plain = "\x00guest\x00guest"
