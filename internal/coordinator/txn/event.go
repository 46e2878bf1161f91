package txn

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Event is one thing that happens to the machine of a partition: a request, or the news that a transaction's markers are
// written.
type Event interface{ event() }

// Reply is what a machine answers, or what it sends: *Markers.
type Reply any

// initProducer is InitProducerId with a transactional id. The reply is an initReply, or needsID.
type initProducer struct {
	id        string
	timeoutMs int32
	expected  *Producer // what the producer believes to be (KIP-360); nil if it begins anew
	newID     int64     // for an id that needs a new producer id; -1: none was asked for yet
}

// needsID is the reply to a request that shall come again with a new producer id: ids come from the controller.
type needsID struct{}

type initReply struct {
	err      *kerr.Error
	producer Producer
}

// addPartitions is AddPartitionsToTxn and AddOffsetsToTxn. The reply is an addReply.
type addPartitions struct {
	id         string
	producer   Producer
	partitions []TopicPartition
	verifyOnly bool
	version    int16 // of transactions
}

type addReply struct {
	err *kerr.Error
	// missing tells, for a verification without err, which partitions are not in the transaction.
	missing []bool
}

// endTxn is EndTxn. The reply is an endReply, or needsID.
type endTxn struct {
	id       string
	producer Producer
	commit   bool
	version  int16 // of transactions
	newID    int64 // as that of initProducer
}

type endReply struct {
	err      *kerr.Error
	producer Producer // of the next transaction
}

// describe is about one id of DescribeTransactions. The reply is its state.
type describe struct{ id string }

// list is ListTransactions. The reply is a []kmsg.ListTransactionsResponseTransactionState.
type list struct{ filter filter }

// markersWritten tells that every partition of a transaction has its marker or is gone. The reply is nil.
type markersWritten struct {
	markers *Markers // as they were sent: those of an earlier transaction may look the same
}

func (*initProducer) event()   {}
func (*addPartitions) event()  {}
func (*endTxn) event()         {}
func (*describe) event()       {}
func (*list) event()           {}
func (*markersWritten) event() {}

// Markers are the ends of one transaction that are to be written.
type Markers struct {
	TransactionalID    string
	Producer           Producer
	Commit             bool
	TransactionVersion int16
	Partitions         []TopicPartition
}

func described(id string) *kmsg.DescribeTransactionsResponseTransactionState {
	r := kmsg.NewDescribeTransactionsResponseTransactionState()
	r.TransactionalID = id
	return &r
}
