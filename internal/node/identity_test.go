package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gregor/internal/config"
	"gregor/internal/log"
	"gregor/internal/log/vfs"
)

func values(t *testing.T, props map[string]string) *config.Values {
	t.Helper()
	v, _, err := config.ParseBroker(props)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestIdentity(t *testing.T) {
	empty := t.TempDir()
	formatted := filepath.Join(t.TempDir(), "a")
	if err := log.Format(vfs.OS{}, formatted, "cluster-a", 7); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "b")
	if err := log.Format(vfs.OS{}, other, "cluster-b", 7); err != nil {
		t.Fatal(err)
	}
	legacy := t.TempDir()
	if err := os.WriteFile(filepath.Join(legacy, "meta.properties"), []byte("version=0\nbroker.id=3\ncluster.id=old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "meta.properties"), []byte("version=1\nnode.id=three\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		props   map[string]string
		node    int32
		cluster string   // "" is any
		refused []string // what the message must say
	}{
		{"new", map[string]string{"log.dirs": empty}, 1, "", nil},
		{"new with ids", map[string]string{"log.dirs": empty, "node.id": "5", "cluster.id": "mine"}, 5, "mine", nil},
		{"new, voter", map[string]string{"log.dirs": empty, "controller.quorum.voters": "4@localhost:1"}, 4, "", nil},
		{"from disk", map[string]string{"log.dirs": empty + "," + formatted}, 7, "cluster-a", nil},
		{"of a broker on ZooKeeper", map[string]string{"log.dirs": legacy}, 0, "", []string{"in ZooKeeper", "set zookeeper.connect", "log.dirs"}},
		{"on ZooKeeper", map[string]string{"log.dirs": legacy, "zookeeper.connect": "a"}, 3, "old", nil},
		{"on ZooKeeper, of a node with controllers", map[string]string{"log.dirs": formatted, "zookeeper.connect": "a"}, 0, "", []string{"with controllers", "remove zookeeper.connect"}},
		{"on ZooKeeper, other node", map[string]string{"log.dirs": legacy, "zookeeper.connect": "a", "broker.id": "4"}, 0, "", []string{"belongs to node 3", "node 4"}},
		{"on ZooKeeper, too high", map[string]string{"log.dirs": empty, "zookeeper.connect": "a", "broker.id": "1001"}, 0, "", []string{"broker.id=1001", "reserved.broker.max.id=1000"}},
		{"other node", map[string]string{"log.dirs": formatted, "node.id": "8"}, 0, "", []string{"belongs to node 7", "node 8", "log.dirs", "set node.id=7"}},
		{"other cluster", map[string]string{"log.dirs": formatted, "cluster.id": "x"}, 0, "", []string{"belongs to cluster cluster-a", "cluster x", "log.dirs"}},
		{"two clusters", map[string]string{"log.dirs": formatted + "," + other}, 0, "", []string{"cluster-a", "cluster-b"}},
		{"damaged", map[string]string{"log.dirs": damaged}, 0, "", []string{"node.id=three"}},
	} {
		id, err := identify(values(t, c.props))
		if c.refused != nil {
			if err == nil {
				t.Errorf("%s: not refused", c.name)
				continue
			}
			for _, want := range c.refused {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v, want %q", c.name, err, want)
				}
			}
			if c.name != "damaged" && c.name != "on ZooKeeper, too high" && !errors.Is(err, ErrIdentity) {
				t.Errorf("%s: %v is no ErrIdentity", c.name, err)
			}
			continue
		}
		if err != nil || id.nodeID != c.node || c.cluster != "" && id.clusterID != c.cluster || len(id.clusterID) == 0 {
			t.Errorf("%s: %+v, %v", c.name, id, err)
		}
	}
}
