package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// perfMetrics are what --print-metrics prints: those of the Java client's metrics that this client has too.
type perfMetrics struct {
	mu                                           sync.Mutex
	records, batches, plainBytes, sentBytes      int64 // produced
	fetchedRecords, fetchedBatches, fetchedBytes int64
	bytesOut, bytesIn, requests, responses       int64
}

var (
	_ kgo.HookProduceBatchWritten = (*perfMetrics)(nil)
	_ kgo.HookFetchBatchRead      = (*perfMetrics)(nil)
	_ kgo.HookBrokerE2E           = (*perfMetrics)(nil)
)

// OnProduceBatchWritten counts a batch that was sent.
func (m *perfMetrics) OnProduceBatchWritten(_ kgo.BrokerMetadata, _ string, _ int32, b kgo.ProduceBatchMetrics) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.batches++
	m.records += int64(b.NumRecords)
	m.plainBytes += int64(b.UncompressedBytes)
	m.sentBytes += int64(b.CompressedBytes)
}

// OnFetchBatchRead counts a batch that was fetched.
func (m *perfMetrics) OnFetchBatchRead(_ kgo.BrokerMetadata, _ string, _ int32, b kgo.FetchBatchMetrics) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fetchedBatches++
	m.fetchedRecords += int64(b.NumRecords)
	m.fetchedBytes += int64(b.CompressedBytes)
}

// OnBrokerE2E counts a request and its answer.
func (m *perfMetrics) OnBrokerE2E(_ kgo.BrokerMetadata, _ int16, e kgo.BrokerE2E) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	m.bytesOut += int64(e.BytesWritten)
	if e.ReadErr == nil && e.BytesRead > 0 {
		m.responses++
		m.bytesIn += int64(e.BytesRead)
	}
}

func ratio(a, b int64) float64 { return float64(a) / float64(b) }

// print lists names and values as Kafka's tools do.
func (m *perfMetrics) print(w io.Writer, group, clientID string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	values := map[string]float64{
		"request-total": float64(m.requests), "response-total": float64(m.responses),
		"outgoing-byte-total": float64(m.bytesOut), "incoming-byte-total": float64(m.bytesIn),
		"request-size-avg": ratio(m.bytesOut, m.requests),
	}
	if group == "producer-metrics" {
		values["record-send-total"] = float64(m.records)
		values["batch-size-avg"] = ratio(m.sentBytes, m.batches)
		values["records-per-batch-avg"] = ratio(m.records, m.batches)
		values["compression-rate-avg"] = ratio(m.sentBytes, m.plainBytes)
	} else {
		values["records-consumed-total"] = float64(m.fetchedRecords)
		values["bytes-consumed-total"] = float64(m.fetchedBytes)
		values["records-per-batch-avg"] = ratio(m.fetchedRecords, m.fetchedBatches)
	}
	var lines []string
	width := 0
	for name := range values {
		line := fmt.Sprintf("%s:%s:{client-id=%s}", group, name, clientID)
		lines = append(lines, line)
		width = max(width, len(line))
	}
	slices.Sort(lines)
	fmt.Fprintf(w, "\n%-*s   %s\n", width, "Metric Name", "Value")
	for _, line := range lines {
		name := strings.Split(line, ":")[1]
		fmt.Fprintf(w, "%-*s : %s\n", width, line, javaFixed(values[name], 3))
	}
}
