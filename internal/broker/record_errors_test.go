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
	for range 3 {
		b.Append(1, nil, []byte("no key either"))
	}
	got := tb.dial().produce(12, "compacted", 0, -1, b.Build())
	if got.ErrorCode != kerr.InvalidRecord.Code || len(got.ErrorRecords) != 4 || got.ErrorRecords[0].RelativeOffset != 1 || got.ErrorRecords[1].RelativeOffset != 2 ||
		got.ErrorRecords[1].ErrorMessage == nil || got.ErrorMessage == nil {
		t.Fatalf("%+v", got)
	}
	// Word by word what Apache Kafka writes.
	const reason = "Compacted topic cannot accept message without key in topic partition compacted-0"
	if *got.ErrorRecords[0].ErrorMessage != reason {
		t.Errorf("a record's error: %s", *got.ErrorRecords[0].ErrorMessage)
	}
	want := "One or more records have been rejected due to 4 record errors in total, and only showing the first three errors at most: [" +
		"RecordError(batchIndex=1, message='" + reason + "'), RecordError(batchIndex=2, message='" + reason + "'), RecordError(batchIndex=3, message='" + reason + "')]"
	if *got.ErrorMessage != want {
		t.Errorf("the batch's error:\n%s\nwant\n%s", *got.ErrorMessage, want)
	}
}
