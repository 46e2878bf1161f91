package cli

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestPositions follows a member through a coordinator's restart: what was printed and not committed is not printed
// again, unless another member has committed further.
func TestPositions(t *testing.T) {
	adjust := func(p *positions, committed int64) int64 {
		t.Helper()
		offsets := map[string]map[int32]kgo.Offset{"orders": {0: kgo.NewOffset().At(committed)}}
		adjusted := p.adjust(context.Background(), nil, reset{kind: "earliest"}, false, offsets)
		return adjusted["orders"][0].EpochOffset().Offset
	}
	p := newPositions()
	if at := adjust(p, 5); at != 5 {
		t.Fatalf("begins at %d", at)
	}
	if moved := p.uncommitted(); len(moved) != 0 {
		t.Errorf("%v is to be committed before anything was printed", moved)
	}
	p.printed(&kgo.Record{Topic: "orders", Offset: 5, LeaderEpoch: 3})
	p.printed(&kgo.Record{Topic: "orders", Offset: 7, LeaderEpoch: 3})
	p.printed(&kgo.Record{Topic: "other", Offset: 1}) // not this member's
	moved := p.uncommitted()
	if len(moved) != 1 || moved["orders"][0] != (kgo.EpochOffset{Epoch: 3, Offset: 8}) {
		t.Errorf("to be committed: %v", moved)
	}

	p.lose(map[string][]int32{"orders": {0}})
	if len(p.uncommitted()) != 0 {
		t.Error("a lost partition is still to be committed")
	}
	if at := adjust(p, 5); at != 8 {
		t.Errorf("after a loss it goes on at %d, want 8", at)
	}
	if moved := p.uncommitted(); moved["orders"][0].Offset != 8 {
		t.Errorf("to be committed: %v", moved)
	}

	p.lose(map[string][]int32{"orders": {0}})
	if at := adjust(p, 20); at != 20 {
		t.Errorf("another member came to 20, but it goes on at %d", at)
	}
	p.printed(&kgo.Record{Topic: "orders", Offset: 20})
	p.committed(p.uncommitted())
	p.revoke(map[string][]int32{"orders": {0}})
	if at := adjust(p, 3); at != 3 {
		t.Errorf("after a revocation and a reset it begins at %d, want 3", at)
	}
}

// The client's own goroutines may ask where to begin before NewClient has returned the client to us.
func TestAdjustWaitsForTheClient(t *testing.T) {
	c := &consoleConsumer{started: make(chan struct{}), positions: newPositions()}
	opts, err := c.joinGroup([]kgo.Opt{kgo.ConsumeTopics("t")}, map[string]string{"group.id": "g", "auto.offset.reset": "earliest"})
	if err != nil {
		t.Fatal(err)
	}
	holder, err := kgo.NewClient(append(opts, kgo.Dialer(func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}))...)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	adjust := holder.OptValue(kgo.AdjustFetchOffsetsFn).(func(context.Context, map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := adjust(ctx, map[string]map[int32]kgo.Offset{"t": {0: kgo.NewOffset()}}); !errors.Is(err, context.Canceled) {
		t.Errorf("without a client: %v", err)
	}
}
