package node

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"gregor/internal/config"
	"gregor/internal/log"
	"gregor/internal/log/vfs"
	"gregor/internal/metadata"
	"gregor/internal/peer"
)

// metadataTopic is the directory of the metadata log.
const metadataTopic = "__cluster_metadata-0"

// begunCheckpoint is a snapshot of something. That of offset 0 is written by kafka-storage, and names the first voters.
var begunCheckpoint = regexp.MustCompile(`^(\d*[1-9]\d*)-\d+\.checkpoint$`)

// hasLog reports whether the metadata log in a directory has ever been part of a quorum: it has records or a snapshot, or
// has voted. A directory that cannot be read counts as one that has.
func hasLog(dir string) (bool, error) {
	dir = filepath.Join(dir, metadataTopic)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return true, err
	}
	for _, e := range entries {
		switch {
		case begunCheckpoint.MatchString(e.Name()):
			return true, nil
		case strings.HasSuffix(e.Name(), ".log"):
			if info, err := e.Info(); err != nil || info.Size() > 0 {
				return true, nil
			}
		case e.Name() == "quorum-state":
			var state struct {
				LeaderEpoch int `json:"leaderEpoch"`
			}
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil || json.Unmarshal(text, &state) != nil || state.LeaderEpoch > 0 {
				return true, nil
			}
		}
	}
	return false, nil
}

// directoryID is the id of the metadata directory; zero while it has none.
func directoryID(v *config.Values) [16]byte {
	m, err := log.ReadMetaProperties(vfs.OS{}, v.MetadataDir())
	if err != nil || m == nil {
		return [16]byte{}
	}
	return m.DirectoryID
}

// hello is what this node says of itself.
func (n *Node) hello() peer.Identity {
	who := *n.who.Load()
	who.ClockMs = n.now().UnixMilli()
	if n.opened.Load() && !who.HasLog {
		s := n.journal.Status()
		who.HasLog = s.EndOffset > 0 || s.Epoch > 0
	}
	return who
}

// introduce keeps what this node says of itself in step with what it knows.
func (n *Node) introduce(change func(*peer.Identity)) {
	next := *n.who.Load()
	change(&next)
	n.who.Store(&next)
}

// joinCluster finds out which cluster this node belongs to; it may wait for others. The values are those of v with what
// was found out. It says whether the node is joining a quorum that may have known it before.
func (n *Node) joinCluster(ctx context.Context, v *config.Values) (values *config.Values, joining bool, err error) {
	switch {
	case v.OnZooKeeper():
		values, err = n.joinZooKeeper(ctx, v)
		return values, false, err
	case v.IsAlone():
		return v, false, nil
	}
	joining, err = n.joinQuorum(ctx, v)
	return v, joining, err
}

func (n *Node) joinQuorum(ctx context.Context, v *config.Values) (joining bool, err error) {
	began, err := hasLog(v.MetadataDir())
	if err != nil {
		return false, explainDir(err, "metadata.log.dir")
	}
	n.introduce(func(who *peer.Identity) {
		who.ClusterID, who.HasLog, who.DirectoryID = n.id.clusterID, began, directoryID(v)
	})
	d := &discovery{asker: asker{dial: n.dial, self: n.hello}, log: n.log, now: n.now}
	if n.roles.Controller && len(n.quorum.Voters) > 0 {
		if err := d.checkOwnVoter(ctx, n.quorum.Voters); err != nil {
			return false, err
		}
		verdict, err := d.voter(ctx, n.id.formatted, n.quorum.Voters)
		if err != nil {
			return false, err
		}
		if n.id.clusterID = verdict.clusterID; n.id.clusterID == "" {
			n.id.clusterID = metadata.NewUUID().String()
			n.log.Info("this node has made the id of a new cluster", "cluster_id", n.id.clusterID)
		}
		return verdict.joining, nil
	}
	if n.isFounder(ctx, d, began) {
		return false, n.found(v)
	}
	if n.id.clusterID == "" {
		if n.id.clusterID, err = d.observer(ctx, n.controllers()); err != nil {
			return false, err
		}
	}
	return false, nil
}

// isFounder reports whether this node has nobody to join: it is a controller, new, and the only address where it is told
// that controllers are is its own. That is how Kafka's own server.properties has it.
func (n *Node) isFounder(ctx context.Context, d *discovery, began bool) bool {
	if !n.roles.Controller || began || n.id.formatted || len(n.quorum.Bootstrap) != 1 || len(n.ctlAddrs) == 0 {
		return false
	}
	who, err := d.hello(ctx, n.quorum.Bootstrap[0])
	return err == nil && who.Process == n.hello().Process
}

// found makes this node the first voter of a quorum whose voters live in the metadata log, as kafka-storage format
// --standalone does.
func (n *Node) found(v *config.Values) error {
	if n.id.clusterID == "" {
		n.id.clusterID = metadata.NewUUID().String()
	}
	at := n.ctlAddrs[0]
	self := InitialVoter{ID: n.id.nodeID, Host: at.Host, Port: uint16(at.Port), DirectoryID: metadata.NewUUID()}
	if err := FormatDirectory(v, v.MetadataDir(), n.id.clusterID, n.id.nodeID, []InitialVoter{self}); err != nil {
		return explainDir(err, "metadata.log.dir")
	}
	n.log.Info("this node begins a cluster of its own: controller.quorum.bootstrap.servers names nobody else", "cluster_id", n.id.clusterID)
	return nil
}

// controllers are the addresses at which the configuration says that controllers are, without this node's own.
func (n *Node) controllers() []string {
	var addrs []string
	for _, v := range n.quorum.Voters {
		if v.ID != n.id.nodeID {
			addrs = append(addrs, v.Addr())
		}
	}
	return append(addrs, n.quorum.Bootstrap...)
}

// verifyQuorum asks every voter once, in the background, whether it is who the configuration says: an ordinary restart
// does not wait for them. It ends the node when one belongs to another cluster.
func (n *Node) verifyQuorum(ctx context.Context) {
	d := &discovery{asker: asker{dial: n.dial, self: n.hello}, log: n.log, now: time.Now}
	for _, v := range n.quorum.Voters {
		if v.ID == n.id.nodeID {
			continue
		}
		n.background.Go(func() {
			d.keepAsking(ctx, v.Addr(), "voter "+v.String(), func(who peer.Identity, err error) bool {
				if err != nil || who.ClusterID == "" {
					return true
				}
				c := census{self: n.hello(), formatted: true, voters: n.quorum.Voters, answers: map[int32]answer{v.ID: {Identity: who, heard: true}}}
				if _, err := c.decide(); err != nil {
					n.fail(err)
				}
				return false
			})
		})
	}
}
