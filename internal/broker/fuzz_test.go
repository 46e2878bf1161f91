package broker

import (
	"strings"
	"testing"

	"gregor/internal/coordinator/txn"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fuzzed are the handlers that need neither a controller nor the coordinator of groups.
var fuzzed = []kmsg.Key{kmsg.Produce, kmsg.Fetch, kmsg.ListOffsets, kmsg.Metadata, kmsg.ApiVersions, kmsg.DeleteRecords, kmsg.InitProducerID,
	kmsg.OffsetForLeaderEpoch, kmsg.DescribeCluster, kmsg.DescribeProducers, kmsg.DescribeTopicPartitions,
	kmsg.AddPartitionsToTxn, kmsg.EndTxn, kmsg.WriteTxnMarkers, kmsg.DescribeTransactions, kmsg.ListTransactions}

// FuzzHandlers sends requests of any content in the right frame: the broker answers, or closes the connection without a
// panic, and serves the next one.
func FuzzHandlers(f *testing.F) {
	tb := startBroker(f, nil)
	tb.createTopic("t", 2)
	tb.createTopic(txn.Topic, 1)
	for _, k := range fuzzed {
		h := tb.b.table.find(int16(k))
		for v := h.min; v <= h.max; v++ {
			for _, req := range []kmsg.Request{produceRequest(v, "t", 0, -1, batch("a", "b")), fetchRequest(v, "t", 0, 1), k.Request()} {
				if req.Key() == int16(k) {
					req.SetVersion(v)
					f.Add(uint8(k), uint8(v), req.AppendTo(nil))
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, key, version uint8, body []byte) {
		h := tb.b.table.find(int16(key))
		if h == nil || int16(version) < h.min || int16(version) > h.max {
			return
		}
		known := false
		for _, k := range fuzzed {
			known = known || k == h.key
		}
		if !known {
			return
		}
		head := []byte{0, key, 0, version, 0, 0, 0, 1, 0xff, 0xff}
		req := h.key.Request()
		req.SetVersion(int16(version))
		if req.IsFlexible() {
			head = append(head, 0)
		}
		if fetch, ok := req.(*kmsg.FetchRequest); ok { // not to wait for days
			if _, err := tb.b.server.shapes.Check(int16(key), int16(version), body); err == nil && fetch.ReadFrom(body) == nil {
				fetch.MaxWaitMillis = 0
				body = fetch.AppendTo(nil)
			}
		}
		survives(t, tb.addr, append(head, body...), tb.logged.String)
	})
}

// FuzzControllerHandlers sends what a controller serves, and Envelopes with anything in them: it answers, or closes the
// connection without a panic, and serves the next one.
func FuzzControllerHandlers(f *testing.F) {
	h := startController(f)
	h.quorum.log, h.quorum.snapshot, h.quorum.snapEnd = "--cdef", "0123456789", 2
	for _, row := range h.b.table.rows {
		for v := row.min; v <= row.max; v++ {
			for _, req := range []kmsg.Request{metadataFetch(v, 3, 0), row.key.Request()} {
				if req.Key() == int16(row.key) {
					req.SetVersion(v)
					f.Add(uint8(row.key), uint8(v), req.AppendTo(nil))
				}
			}
			if row.enveloped {
				e := kmsg.NewPtrEnvelopeRequest()
				req := row.key.Request()
				req.SetVersion(v)
				e.RequestData = kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)[4:]
				e.RequestPrincipal, e.ClientHostAddress = []byte{0, 0, 2, 'U', 2, 'a', 0, 0}, []byte{1, 2, 3, 4}
				f.Add(uint8(kmsg.Envelope), uint8(0), e.AppendTo(nil))
			}
		}
	}
	f.Fuzz(func(t *testing.T, key, version uint8, body []byte) {
		row := h.b.table.find(int16(key))
		if row == nil || int16(version) < row.min || int16(version) > row.max {
			return
		}
		head := []byte{0, key, 0, version, 0, 0, 0, 1, 0xff, 0xff}
		req := row.request()
		req.SetVersion(int16(version))
		if req.IsFlexible() {
			head = append(head, 0)
		}
		if fetch, ok := req.(*kmsg.FetchRequest); ok { // not to wait for days
			if _, err := h.b.server.shapes.Check(int16(key), int16(version), body); err == nil && fetch.ReadFrom(body) == nil {
				fetch.MaxWaitMillis = min(fetch.MaxWaitMillis, 1)
				body = fetch.AppendTo(nil)
			}
		}
		survives(t, h.addr, append(head, body...), h.logged.String)
	})
}

// survives sends a frame and a good request behind it, and waits for the answer to that one or for the end of the
// connection. No handler may have panicked.
func survives(t *testing.T, addr string, frame []byte, logged func() string) {
	c := (&testBroker{t: t, addr: addr}).dial()
	defer c.conn.Close()
	c.write(prefixed(frame...))
	c.write(c.encode(apiVersions(0)))
	for {
		fm, err := c.in.Read(1 << 30)
		if err != nil {
			break // refused
		}
		if len(fm.Bytes) > 4 && fm.Bytes[3] == byte(c.corr) {
			break
		}
	}
	if s := logged(); strings.Contains(s, "panic") {
		t.Fatal(s)
	}
}
