package broker

import (
	"testing"

	"gregor/internal/record"

	"github.com/twmb/franz-go/pkg/kerr"
)

// A refused batch names the records at fault (KIP-467).
func TestProduceNamesBadRecords(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("compacted", 1, "cleanup.policy", "compact")
	b := record.NewBuilder(record.BuilderOptions{})
	b.Append(1, []byte("key"), nil)
	b.Append(1, nil, []byte("no key"))
	b.Append(1, nil, []byte("no key either"))
	got := tb.dial().produce(12, "compacted", 0, -1, b.Build())
	if got.ErrorCode != kerr.InvalidRecord.Code || len(got.ErrorRecords) != 2 || got.ErrorRecords[0].RelativeOffset != 1 || got.ErrorRecords[1].RelativeOffset != 2 ||
		got.ErrorRecords[1].ErrorMessage == nil || got.ErrorMessage == nil {
		t.Errorf("%+v", got)
	}
}
