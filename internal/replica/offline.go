package replica

import "gregor/internal/metadata"

// DirsFailed takes the replicas out of service whose log directory has failed. What waits for them is told, reads and
// appends get ErrStorage, and the controller, which hears of the directory by the heartbeat, gives their leadership away.
// The broker goes on with its other directories; the replicas come back when it restarts with the directory repaired.
func (m *Manager) DirsFailed() {
	m.publishing.Lock()
	defer m.publishing.Unlock()
	n := 0
	m.All(func(p *Partition) {
		if l := p.log.Load(); l != nil && l.Err() != nil {
			m.offline(p)
			n++
		}
	})
	if n > 0 {
		m.o.Logger.Error("replicas are offline, their log directory has failed", "replicas", n)
	}
}

// offline takes a replica out of service.
func (m *Manager) offline(p *Partition) {
	r := p.role.Load()
	p.resign(m, &role{leaderID: r.leaderID, leaderEpoch: r.leaderEpoch, offline: true})
	p.log.Store(nil)
	p.advanced()
}

// mayBeOffline tells that a replica may have its log in a directory that is offline, so that making another one would lose
// what it had acknowledged: it is in sync, and nobody knows in which directory it was.
func (m *Manager) mayBeOffline(mp *metadata.Partition) bool {
	if !mp.Dir(m.o.NodeID).IsReserved() || !mp.InISR(m.o.NodeID) || mp.LeaderEpoch == 0 && mp.PartitionEpoch == 0 {
		return false
	}
	return len(m.o.Dirs.Offline()) > 0
}
