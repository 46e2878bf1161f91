package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// handler is one row of the table: an API, the versions of it that are served, and its function.
type handler struct {
	key      kmsg.Key
	min, max int16
	serve    func(*Broker, context.Context, *Request)
	// aliases has strings of the body lie in the request's buffer instead of being copied: valid until Reply.
	aliases bool
}

// handlers is every API that this broker has. ApiVersions answers and docs/compatibility.md come from it, so a row
// appears when its handler works and never before. The versions are those of Apache Kafka 4.3.0.
func handlers() []handler {
	return []handler{
		{key: kmsg.ApiVersions, min: 0, max: 4, serve: (*Broker).apiVersions},
	}
}

// table finds a handler by key.
type table struct {
	rows  []handler
	byKey []*handler
}

func newTable(rows []handler) table {
	t := table{rows: rows}
	for i := range t.rows {
		k := int(rows[i].key)
		for len(t.byKey) <= k {
			t.byKey = append(t.byKey, nil)
		}
		t.byKey[k] = &t.rows[i]
	}
	return t
}

func (t *table) find(key int16) *handler {
	if key < 0 || int(key) >= len(t.byKey) {
		return nil
	}
	return t.byKey[key]
}
