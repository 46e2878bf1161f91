package broker

import (
	"sync/atomic"
	"testing"

	"gregor/internal/coordinator"
	"gregor/internal/coordinator/group"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// nullLog commits what it is given and keeps nothing.
type nullLog struct {
	coordinator.Log // for what the test does not do
	end             atomic.Int64
}

func (l *nullLog) Append(int32, []byte) (int64, error) { return l.end.Add(1) - 1, nil }
func (l *nullLog) Committed() int64                    { return l.end.Load() }
func (l *nullLog) OnCommitted(func(int64))             {}
func (l *nullLog) Read(int64, int) ([]byte, error)     { return nil, nil }
func (l *nullLog) StartOffset() int64                  { return 0 }
func (l *nullLog) EndOffset() int64                    { return 0 }

// TestParkedJoinHoldsNoBudget has members wait for others with large subscriptions: until then, which may be for as long
// as they please, nobody else could send a request.
func TestParkedJoinHoldsNoBudget(t *testing.T) {
	tb := startBroker(t, map[string]string{"queued.max.request.bytes": "200000", "socket.request.max.bytes": "200000"})
	config := group.DefaultConfig()
	config.InitialRebalanceDelayMs = 3_600_000
	tb.b.groups = group.NewService(group.Options{Config: func() group.Config { return config }})
	t.Cleanup(tb.b.groups.Close)
	tb.b.groups.SetPartitions(1)
	tb.b.groups.Elected(0, 1, &nullLog{})
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Version, describe.Groups = 5, []string{"g"}
	c := tb.dial()
	members := func() int { return len(do[*kmsg.DescribeGroupsResponse](c, describe).Groups[0].Members) }
	for i := range 3 {
		join := kmsg.NewPtrJoinGroupRequest()
		join.Version, join.Group, join.ProtocolType = 3, "g", "consumer"
		join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 60_000, 3_600_000
		join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: make([]byte, 150_000)}}
		tb.dial().send(join)
		eventually(t, "the member waits", func() bool { return members() == i+1 })
	}
	eventually(t, "the budget is given back", func() bool {
		tb.b.server.budget.mu.Lock()
		defer tb.b.server.budget.mu.Unlock()
		return tb.b.server.budget.used == 0
	})
}
