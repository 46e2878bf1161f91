package node

import (
	"strings"
	"time"

	"gregor/internal/config"
	"gregor/internal/journal"
	"gregor/internal/journal/raft"
	"gregor/internal/log"
	"gregor/internal/log/vfs"
)

// InitialVoter is one of the first controllers of a quorum whose voters live in the metadata log (KIP-853), as
// kafka-storage names it: id@host:port:directoryId.
type InitialVoter struct {
	ID          int32
	Host        string
	Port        uint16
	DirectoryID [16]byte
}

// FormatDirectory makes dir a directory of a node. The metadata directory of a node whose quorum's voters live in the log
// gets the first of them, and the directory id that they say this node has.
func FormatDirectory(v *config.Values, dir, clusterID string, nodeID int32, voters []InitialVoter) error {
	if dir != v.MetadataDir() || len(voters) == 0 {
		return log.Format(vfs.OS{}, dir, clusterID, nodeID)
	}
	var list []journal.Voter
	var own [16]byte
	name := "CONTROLLER"
	if names := v.List("controller.listener.names"); len(names) > 0 {
		name = strings.ToUpper(names[0])
	}
	for _, o := range voters {
		list = append(list, journal.Voter{ID: o.ID, DirectoryID: o.DirectoryID, Endpoints: []journal.Endpoint{{Name: name, Host: o.Host, Port: o.Port}}})
		if o.ID == nodeID {
			own = o.DirectoryID
		}
	}
	if err := raft.Format(vfs.OS{}, dir, list, time.Now().UnixMilli()); err != nil {
		return err
	}
	return log.FormatAs(vfs.OS{}, dir, clusterID, nodeID, own) // last: only with it the directory counts as formatted
}
