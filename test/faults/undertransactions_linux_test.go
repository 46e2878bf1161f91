package faults

import (
	"testing"

	"gregor/test/client"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// underTransactions is what happens to a cluster under transactions, beside what happens to any. Short runs begin with these.
var underTransactions = []fault{
	{"kill a transaction coordinator", func(s *scene) { s.killed(s.coordinator(1, "copier0")) }},
	{"kill the group's coordinator", func(s *scene) { s.killed(s.coordinator(0, copyGroup)) }},
	{"pause a transaction coordinator", func(s *scene) { s.paused(s.coordinator(1, "teller0")) }},
	{"cut off a transaction coordinator", func(s *scene) { s.cutOff(s.coordinator(1, "copier1")) }},
}

// coordinator is where a group (kind 0) or a transactional id (1) has its coordinator; 0 if nobody knows.
func (s *scene) coordinator(kind int8, key string) int {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorType, req.CoordinatorKey, req.CoordinatorKeys = kind, key, []string{key}
	resp, err := req.RequestWith(client.Context(s.t), s.client)
	switch {
	case err != nil:
		return 0
	case len(resp.Coordinators) > 0:
		return max(0, int(resp.Coordinators[0].NodeID))
	}
	return max(0, int(resp.NodeID))
}

// transactionRounds is how many rounds there are on each of the two kinds of clusters.
func transactionRounds() (quorum, zooKeeper int) {
	n := *txRounds
	if n < 0 {
		n = *rounds
	}
	return n - n/2, n / 2
}

// TestFaultsUnderTransactions plays faults while records are copied and money is moved in transactions.
func TestFaultsUnderTransactions(t *testing.T) {
	needNamespaces(t)
	n, _ := transactionRounds()
	all := append(append([]fault{}, underTransactions...), faults...)
	if n < len(all)/2 {
		all = underTransactions
	}
	playRounds(t, n, all, startCluster, func(t testing.TB, c *cluster) workload { return startTransactions(t, c) })
}

// TestFaultsOnZooKeeperUnderTransactions is the same with the metadata in ZooKeeper, and takes that away, too.
func TestFaultsOnZooKeeperUnderTransactions(t *testing.T) {
	needNamespaces(t)
	_, n := transactionRounds()
	all := append(append([]fault{}, onZooKeeper...), underTransactions...)
	playRounds(t, n, all, startClusterOnZooKeeper, func(t testing.TB, c *cluster) workload { return startTransactions(t, c) })
}
