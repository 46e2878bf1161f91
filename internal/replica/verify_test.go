package replica

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"gregor/internal/log"
	"gregor/internal/metadata"
	"gregor/internal/record"

	"github.com/twmb/franz-go/pkg/kerr"
)

// transactions appends for producers and answers for their coordinator when the test says so.
type transactions struct {
	*fixture
	asked    []Verification
	answers  []func([]error)
	appended []string
}

func newTransactions(t *testing.T) *transactions {
	x := &transactions{fixture: newFixture(t)}
	x.m.o.Verify = func(v Verification, done func([]error)) {
		x.asked, x.answers = append(x.asked, v), append(x.answers, done)
	}
	for _, topic := range []string{"a", "b"} {
		x.publish(&metadata.TopicRecord{Name: topic, TopicID: id(topic)}, place(topic, 0, node, node))
	}
	return x
}

func txnBatch(producer int64, epoch int16, sequence int32) record.Batch {
	b := record.NewBuilder(record.BuilderOptions{Transactional: true, Producer: &record.Producer{ID: producer, Epoch: epoch, BaseSequence: sequence}})
	b.Append(1, nil, []byte("x"))
	return b.Build()
}

// produce sends a batch to each topic and notes what becomes of it.
func (x *transactions) produce(epoch int16, sequence int32, topics ...string) {
	var batches []Opening
	for _, topic := range topics {
		p := x.partition(topic, 0)
		batches = append(batches, Opening{Partition: p, ProducerID: 1, ProducerEpoch: epoch, Sequence: sequence, Append: func(g log.Guard, err error) {
			if err == nil {
				_, err = p.AppendGuarded(txnBatch(1, epoch, sequence), AcksLeader, NoEpoch, log.Client, g)
			}
			what := "written"
			for _, e := range []error{log.ErrInvalidTxnState, log.ErrInvalidProducerEpoch, log.ErrOutOfOrderSequence, ErrNotVerified} {
				if errors.Is(err, e) {
					what = e.Error()
				}
			}
			x.appended = append(x.appended, fmt.Sprintf("%s %d: %s", topic, sequence, what))
		}})
	}
	x.m.Verify("tx", false, batches)
}

func (x *transactions) want(lines ...string) {
	x.t.Helper()
	if !slices.Equal(x.appended, lines) {
		x.t.Fatalf("got  %q\nwant %q", x.appended, lines)
	}
	x.appended = nil
}

func (x *transactions) abort(topic string, epoch int16) {
	x.t.Helper()
	if _, err := x.partition(topic, 0).AppendMarker(log.Marker{ProducerID: 1, ProducerEpoch: epoch}, NoEpoch); err != nil {
		x.t.Fatal(err)
	}
}

func TestAppendsWaitForTheCoordinatorInOrder(t *testing.T) {
	x := newTransactions(t)
	x.produce(0, 0, "a", "b")
	x.produce(0, 1, "a")
	x.want()
	if len(x.asked) != 1 || len(x.asked[0].Partitions) != 2 || x.asked[0].TransactionalID != "tx" {
		t.Fatalf("%+v", x.asked)
	}
	x.answers[0](nil)
	x.want("a 0: written", "a 1: written", "b 0: written")
	x.produce(0, 2, "a") // open: nobody is asked
	x.want("a 2: written")
	if len(x.asked) != 1 {
		t.Fatalf("%+v", x.asked)
	}
	for _, topic := range []string{"a", "b"} {
		if n := len(x.partition(topic, 0).held.queues); n != 0 {
			t.Errorf("%s keeps %d queues", topic, n)
		}
	}
}

func TestCoordinatorRefusesOnePartition(t *testing.T) {
	x := newTransactions(t)
	x.produce(0, 0, "a", "b")
	x.answers[0]([]error{kerr.InvalidTxnState, nil})
	x.want("a 0: "+ErrNotVerified.Error(), "b 0: written")
	x.produce(0, 0, "a") // asks again
	x.answers[1](nil)
	x.want("a 0: written")
}

// TestLateProduceOpensNothing: the transaction is aborted between the coordinator's answer and the append, or before the
// answer; the producer goes on in the same epoch.
func TestLateProduceOpensNothing(t *testing.T) {
	x := newTransactions(t)
	x.produce(0, 0, "a")
	x.abort("a", 0)
	x.produce(0, 0, "a") // of the next transaction
	if len(x.asked) != 2 {
		t.Fatalf("the next transaction relies on the answer about the one before: %+v", x.asked)
	}
	x.answers[0](nil)
	x.want("a 0: " + log.ErrInvalidTxnState.Error())
	x.answers[1](nil)
	x.want("a 0: written")
	x.abort("a", 0)
	if l := x.partition("a", 0).Log(); l.LastStableOffset() != l.EndOffset() {
		t.Fatalf("LSO %d, end %d", l.LastStableOffset(), l.EndOffset())
	}
}

func TestVerificationSwitchedOff(t *testing.T) {
	x := newTransactions(t)
	x.m.o.Verified = func() bool { return false }
	x.produce(0, 0, "a")
	x.want("a 0: written")
	x.produce(1, 0, "b")
	x.produce(0, 0, "b")
	x.want("b 0: written", "b 0: "+log.ErrInvalidProducerEpoch.Error())
}
