package e2e

import "testing"

// TestZooKeeperDamage: without a quorum of controllers a damaged replica gives the lead away, and is repaired, too.
func TestZooKeeperDamage(t *testing.T) {
	_, c := startOnZooKeeper(t, "unclean.leader.election.enable=false", "zookeeper.session.timeout.ms=10000")
	damageAtTheStart(t, c, damages[:2]) // a leader's, a follower's
}

// TestZooKeeperDamageThatDoesNotFit: nor does it matter where the metadata is for one that is copied again as a whole.
func TestZooKeeperDamageThatDoesNotFit(t *testing.T) {
	_, c := startOnZooKeeper(t, "log.scrub.interval.ms=300", "auto.leader.rebalance.enable=false", "log.segment.delete.delay.ms=100", "zookeeper.session.timeout.ms=10000")
	damageThatDoesNotFit(t, c)
}
