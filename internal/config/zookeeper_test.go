package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func zookeeper(lines ...string) map[string]string {
	props := map[string]string{"zookeeper.connect": "localhost:2181", "broker.id": "0"}
	for _, l := range lines {
		k, v, _ := strings.Cut(l, "=")
		props[k] = v
	}
	return props
}

func TestZooKeeperServers(t *testing.T) {
	for _, c := range []struct {
		connect string
		addrs   []string
		chroot  string
	}{
		{"localhost:2181", []string{"localhost:2181"}, ""},
		{"localhost", []string{"localhost:2181"}, ""},
		{"a:1, b:2,c/kafka", []string{"a:1", "b:2", "c:2181"}, "/kafka"},
		{"a:1/kafka/one/", []string{"a:1"}, "/kafka/one"},
		{"a:1/", []string{"a:1"}, ""},
		{"[::1]:2182,127.0.0.1", []string{"[::1]:2182", "127.0.0.1:2181"}, ""},
		{"[::1]", []string{"[::1]:2181"}, ""},
	} {
		addrs, chroot, err := parse(t, zookeeper("zookeeper.connect="+c.connect)).ZooKeeper().Servers()
		if err != nil || !slices.Equal(addrs, c.addrs) || chroot != c.chroot {
			t.Errorf("%s: %q %q %v", c.connect, addrs, chroot, err)
		}
	}
	for _, bad := range []string{"a:0", "a:x", ":2181", "a,,b", "a:1//b", "a:1/./b", "a:1/../b", "a@b:1", "a:1:2", "[::1", "/kafka"} {
		if _, _, err := ParseBroker(zookeeper("zookeeper.connect=" + bad)); err == nil || !strings.Contains(err.Error(), "zookeeper.connect") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestZooKeeperKeys(t *testing.T) {
	v := parse(t, zookeeper())
	if !v.OnZooKeeper() || v.IsAlone() || v.Roles() != (Roles{Broker: true, Controller: true}) {
		t.Errorf("%v %v", v.IsAlone(), v.Roles())
	}
	z := v.ZooKeeper()
	if z.SessionTimeout != 18*time.Second || z.ConnectionTimeout != 18*time.Second || !z.GenerateBrokerID || z.ReservedMaxID != 1000 || z.MaxInFlight != 10 {
		t.Errorf("defaults: %+v", z)
	}
	z = parse(t, zookeeper("zookeeper.session.timeout.ms=4000", "zookeeper.connection.timeout.ms=9000")).ZooKeeper()
	if z.SessionTimeout != 4*time.Second || z.ConnectionTimeout != 9*time.Second {
		t.Errorf("set: %+v", z)
	}
	if got := v.Int("offsets.topic.replication.factor"); got != 3 {
		t.Errorf("offsets.topic.replication.factor is %d, Kafka's default is 3", got)
	}
}

func TestZooKeeperRefused(t *testing.T) {
	for _, c := range []struct{ lines, want []string }{
		{[]string{"process.roles=broker"}, []string{"process.roles", "remove one of them"}},
		{[]string{"controller.quorum.voters=0@localhost:9093"}, []string{"controller.quorum.voters", "no quorum"}},
		{[]string{"controller.quorum.bootstrap.servers=localhost:9093"}, []string{"controller.quorum.bootstrap.servers", "no quorum"}},
		{[]string{"controller.listener.names=CONTROLLER"}, []string{"controller.listener.names", "one of the brokers"}},
		{[]string{"zookeeper.ssl.client.enable=true"}, []string{"zookeeper.ssl.client.enable", "plain port"}},
		{[]string{"zookeeper.session.timeout.ms=0"}, []string{"zookeeper.session.timeout.ms", "at least 1"}},
		{[]string{"broker.id=-1", "broker.id.generation.enable=false"}, []string{"broker.id must be set"}},
		{[]string{"control.plane.listener.name=CONTROL"}, []string{"control.plane.listener.name", "PLAINTEXT"}},
		{[]string{"control.plane.listener.name=PLAINTEXT"}, []string{"control.plane.listener.name", "another listener"}},
	} {
		_, _, err := ParseBroker(zookeeper(c.lines...))
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v; want %q", c.lines, err, want)
			}
		}
	}
}

func TestControlPlane(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  string
	}{
		{nil, "PLAINTEXT"},
		{[]string{"listeners=PLAINTEXT://localhost:9092,CONTROL://localhost:9090", "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROL:PLAINTEXT", "control.plane.listener.name=control"}, "CONTROL"},
		{[]string{"listeners=A://localhost:9092,B://localhost:9090", "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT", "inter.broker.listener.name=B"}, "B"},
	} {
		ls, err := parse(t, zookeeper(c.lines...)).Listeners()
		if err != nil || ls.ControlPlane != c.want {
			t.Errorf("%q: %+v %v", c.lines, ls, err)
		}
	}
}

// TestTutorialFiles: the properties of the tutorial differ in three lines and share the fourth.
func TestTutorialFiles(t *testing.T) {
	for n := range 3 {
		props, err := ReadProperties(filepath.Join("..", "..", "config", fmt.Sprintf("server%d.properties", n)))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"broker.id": fmt.Sprint(n), "listeners": fmt.Sprintf("PLAINTEXT://localhost:%d", 9092+n),
			"log.dirs": fmt.Sprintf("/tmp/kafkainaction/kafka-logs-%d", n), "zookeeper.connect": "localhost:2181",
		}
		for k, text := range want {
			if props[k] != text {
				t.Errorf("server%d.properties: %s=%s, want %s", n, k, props[k], text)
			}
		}
		if len(props) != len(want) {
			t.Errorf("server%d.properties has %d lines, the tutorial four", n, len(props))
		}
		if _, warnings, err := ParseBroker(props); err != nil || len(warnings) > 0 {
			t.Errorf("server%d.properties: %v %v", n, err, warnings)
		}
	}
}

// stock is what the server.properties of Apache Kafka 3.9 sets.
var stock = map[string]string{
	"broker.id": "0", "num.network.threads": "3", "num.io.threads": "8", "socket.send.buffer.bytes": "102400",
	"socket.receive.buffer.bytes": "102400", "socket.request.max.bytes": "104857600", "log.dirs": "/tmp/kafka-logs",
	"num.partitions": "1", "num.recovery.threads.per.data.dir": "1", "offsets.topic.replication.factor": "1",
	"transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1", "log.retention.hours": "168",
	"log.retention.check.interval.ms": "300000", "zookeeper.connect": "localhost:2181", "zookeeper.connection.timeout.ms": "18000",
	"group.initial.rebalance.delay.ms": "0",
}

func TestStockPropertiesOfKafka39(t *testing.T) {
	v, warnings, err := ParseBroker(stock)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		if !strings.Contains(w.Message, "without effect") { // such as num.io.threads
			t.Errorf("%s: %s", w.Key, w.Message)
		}
	}
	if id, ok := v.NodeID(); id != 0 || !ok {
		t.Errorf("broker.id is %d", id)
	}
	// A key of ZooKeeper alone is without effect, and said to be.
	_, warnings, err = ParseBroker(map[string]string{"zookeeper.connection.timeout.ms": "18000"})
	if err != nil || len(warnings) != 1 {
		t.Errorf("%v %v", warnings, err)
	}
}
