package zookeeper

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func parseText(t *testing.T, text string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "zoo.cfg")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return ParseConfig(path)
}

// kafkaProperties is zookeeper.properties as Kafka 3.9 ships it.
const kafkaProperties = `# the directory where the snapshot is stored.
dataDir=/tmp/zookeeper
# the port at which the clients will connect
clientPort=2181
# disable the per-ip limit on the number of connections since this is a non-production config
maxClientCnxns=0
# Disable the adminserver by default to avoid port conflicts.
admin.enableServer=false
# admin.serverPort=8080
`

// sample is zoo_sample.cfg as ZooKeeper 3.8 ships it.
const sample = `tickTime=2000
initLimit=10
syncLimit=5
dataDir=/tmp/zookeeper
clientPort=2181
#maxClientCnxns=60
#autopurge.snapRetainCount=3
`

func TestParseConfig(t *testing.T) {
	c, err := parseText(t, kafkaProperties)
	if err != nil || len(c.Warnings) != 0 || c.DataDir != "/tmp/zookeeper" || c.DataLogDir != "/tmp/zookeeper" || c.ClientPort != 2181 || c.MaxClientCnxns != 0 ||
		c.TickTime != 3*time.Second || c.MinSessionTimeout != 6*time.Second || c.MaxSessionTimeout != time.Minute {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = parseText(t, sample)
	if err != nil || len(c.Warnings) != 0 || c.MaxClientCnxns != 60 || c.TickTime != 2*time.Second || c.MinSessionTimeout != 4*time.Second || c.MaxSessionTimeout != 40*time.Second {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = parseText(t, `dataDir=/a
dataLogDir = /b
clientPort=0
clientPortAddress=localhost
minSessionTimeout=1000
maxSessionTimeout=2000
autopurge.snapRetainCount=5
autopurge.purgeInterval=24
snapCount=7
preAllocSize=128
jute.maxbuffer=0x400000
4lw.commands.whitelist=stat, ruok ,*
globalOutstandingLimit=55
extendedTypesEnabled=true
skipACL=yes
DigestAuthenticationProvider.superDigest=super:hash
snapshot.compression.method=gz
server.1=localhost:2888:3888
`)
	want := Config{DataDir: "/a", DataLogDir: "/b", ClientPortAddress: "localhost", MaxClientCnxns: 60, TickTime: 3 * time.Second, MinSessionTimeout: time.Second,
		MaxSessionTimeout: 2 * time.Second, SnapCount: 7, SnapBytes: 4 << 30, PreAllocBytes: 128 << 10, SnapRetainCount: 5, PurgeInterval: 24 * time.Hour, SnapshotGzip: true,
		MaxBufferBytes: 4 << 20, OutstandingLimit: 55, Whitelist: []string{"stat", "ruok", "*"}, ExtendedTypes: true, SkipACL: true, SuperDigest: "super:hash",
		ContainerInterval: time.Minute}
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) != 0 {
		t.Error(c.Warnings)
	}
	if c.Warnings = nil; !reflect.DeepEqual(*c, want) {
		t.Errorf("%+v, want %+v", *c, want)
	}
}

// TestWarnings names what has no effect, and what was corrected.
func TestWarnings(t *testing.T) {
	c, err := parseText(t, "dataDir=data\nclientPort=2181\nfoo.bar=1\nfsync.warningthresholdms=5\nautopurge.snapRetainCount=1\nsnapCount=1\nsnapshot.compression.method=lzo\n")
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(c.Warnings, "\n")
	for _, want := range []string{"foo.bar has no effect", "fsync.warningthresholdms", "snapRetainCount=1 is too small", "snapCount=1", "lzo", "data is relative"} {
		if strings.Count(all, want) != 1 {
			t.Errorf("%q is not once in\n%s", want, all)
		}
	}
	if c.SnapRetainCount != 3 || c.SnapCount != 2 {
		t.Errorf("%+v", c)
	}
}

func TestBadConfig(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"clientPort=2181", "dataDir is not set"},
		{"dataDir=/a", "clientPort is not set"},
		{"dataDir=/a\nclientPort=x", "clientPort=x: must be a number from 0 to 65535"},
		{"dataDir=/a\nclientPort=65536", "must be a number"},
		{"dataDir=/a\nclientPort=1\ntickTime=0", "tickTime=0"},
		{"dataDir=/a\nclientPort=1\nminSessionTimeout=9000\nmaxSessionTimeout=8000", "minSessionTimeout must not be larger"},
		{"dataDir=/a\nclientPort=1\njute.maxbuffer=-1", "jute.maxbuffer=-1"},
		{"dataDir=/a\nclientPort=1\nsecureClientPort=2", "TLS"},
		{"dataDir=/a\nclientPort=1\nserver.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2", "server.1, server.2, server.3: this server runs alone, and this is an ensemble; run Apache ZooKeeper"},
		{"dataDir=/a\nclientPort=1\ndynamicConfigFile=/x", "Apache ZooKeeper"},
	} {
		if _, err := parseText(t, c.text); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "zoo.cfg") {
			t.Errorf("%q: %v", c.text, err)
		}
	}
	if _, err := ParseConfig(filepath.Join(t.TempDir(), "no")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
