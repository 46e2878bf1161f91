package config

import (
	"fmt"
	"maps"
	"strings"
	"testing"
)

// combined is a node of three that are each broker and controller.
var combined = map[string]string{
	"process.roles": "broker,controller", "node.id": "1", "controller.listener.names": "CONTROLLER",
	"listeners": "PLAINTEXT://:9092,CONTROLLER://:9093", "controller.quorum.voters": "1@a:9093,2@b:9093,3@[::1]:9093",
}

// with copies properties and changes some of them; "-" removes one.
func with(props map[string]string, changes ...string) map[string]string {
	m := maps.Clone(props)
	if m == nil {
		m = map[string]string{}
	}
	for _, c := range changes {
		k, v, _ := strings.Cut(c, "=")
		if m[k] = v; v == "-" {
			delete(m, k)
		}
	}
	return m
}

func TestQuorum(t *testing.T) {
	controller := with(combined, "process.roles=controller", "listeners=CONTROLLER://:9093")
	broker := with(combined, "process.roles=broker", "node.id=4", "listeners=PLAINTEXT://:9092")
	for _, c := range []struct {
		name  string
		props map[string]string
		roles string
		alone bool
		want  string // voters, bootstrap servers
	}{
		{"nothing", nil, "broker,controller", true, "[] []"},
		{"one voter", with(nil, "controller.quorum.voters=1@a:1"), "broker,controller", true, "[1@a:1] []"},
		{"one server", with(nil, "controller.quorum.bootstrap.servers=a:1"), "broker,controller", true, "[] [a:1]"},
		{"combined", combined, "broker,controller", false, "[1@a:9093 2@b:9093 3@[::1]:9093] []"},
		{"combined, id from disk", with(combined, "node.id=-"), "broker,controller", false, "[1@a:9093 2@b:9093 3@[::1]:9093] []"},
		{"controller", controller, "controller", false, "[1@a:9093 2@b:9093 3@[::1]:9093] []"},
		{"controller alone", with(controller, "controller.quorum.voters=1@a:9093"), "controller", true, "[1@a:9093] []"},
		{"broker", broker, "broker", false, "[1@a:9093 2@b:9093 3@[::1]:9093] []"},
		{"broker, servers", with(broker, "controller.quorum.voters=-", "controller.quorum.bootstrap.servers=a:1, b:2,a:1"), "broker", false, "[] [a:1 b:2]"},
		{"one of many", with(combined, "controller.quorum.voters=-", "controller.quorum.bootstrap.servers=a:1"), "broker,controller", false, "[] [a:1]"},
	} {
		v, _, err := ParseBroker(c.props)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		q, err := v.Quorum()
		if got := fmt.Sprint(q.Voters, " ", q.Bootstrap); err != nil || got != c.want || v.Roles().String() != c.roles || v.IsAlone() != c.alone {
			t.Errorf("%s: roles %s, alone %v, %s, %v", c.name, v.Roles(), v.IsAlone(), got, err)
		}
	}
}

func TestBadQuorum(t *testing.T) {
	controller := with(combined, "process.roles=controller", "listeners=CONTROLLER://:9093")
	broker := with(combined, "process.roles=broker", "node.id=4", "listeners=PLAINTEXT://:9092")
	for _, c := range []struct {
		name  string
		props map[string]string
		want  []string
	}{
		{"no roles", with(combined, "process.roles=-"), []string{"controller.quorum.voters", "set process.roles="}},
		{"no roles, servers", with(nil, "controller.quorum.bootstrap.servers=a:1,b:1"), []string{"controller.quorum.bootstrap.servers", "set process.roles="}},
		{"unknown role", with(combined, "process.roles=zookeeper"), []string{"process.roles", "broker, controller"}},
		{"no role", with(combined, "process.roles="), []string{"process.roles", "at least one role"}},
		{"role twice", with(combined, "process.roles=broker,broker"), []string{"process.roles", "twice"}},
		{"not a voter", with(combined, "node.id=9"), []string{"node.id=9", "must be one of the voters"}},
		{"the only voter", with(combined, "controller.quorum.voters=2@b:9093"), []string{"the only voter must be this node, node.id=1"}},
		{"broker votes", with(broker, "node.id=2"), []string{"node.id=2", "must not be a voter", "another node.id"}},
		{"broker alone", with(broker, "controller.quorum.voters=-"), []string{"process.roles", "set controller.quorum.bootstrap.servers"}},
		{"voter twice", with(combined, "controller.quorum.voters=1@a:1,1@b:1"), []string{"1@b:1", "voter 1 is there twice"}},
		{"address twice", with(combined, "controller.quorum.voters=1@a:1,2@a:1"), []string{"voters 1 and 2 have the same address"}},
		{"no address", with(combined, "controller.quorum.voters=1,2,3"), []string{"id@host:port"}},
		{"no port", with(combined, "controller.quorum.voters=1@a:0,2@b:1"), []string{"id@host:port"}},
		{"any address", with(combined, "controller.quorum.voters=1@0.0.0.0:1,2@b:1"), []string{"id@host:port"}},
		{"bad server", with(broker, "controller.quorum.bootstrap.servers=a"), []string{"controller.quorum.bootstrap.servers", "host:port"}},
		{"any server", with(broker, "controller.quorum.bootstrap.servers=0.0.0.0:9093"), []string{"0.0.0.0 is not an address that others can connect to"}},
		{"no listener", with(combined, "listeners=PLAINTEXT://:9092"), []string{"listeners", "add CONTROLLER://:9093"}},
		{"no listener names", with(combined, "controller.listener.names=-", "listeners=PLAINTEXT://:9092"), []string{"controller.listener.names", "add CONTROLLER://:9093"}},
		{"broker without names", with(broker, "controller.listener.names=-"), []string{"controller.listener.names", "such as CONTROLLER"}},
		{"broker listens for controllers", with(broker, "listeners=PLAINTEXT://:9092,CONTROLLER://:9093"), []string{"listeners", "only a broker"}},
		{"controller listens for clients", with(controller, "listeners=PLAINTEXT://:9092,CONTROLLER://:9093"), []string{"listeners", "only a controller"}},
		{"combined without clients", with(combined, "listeners=CONTROLLER://:9093"), []string{"a broker needs one for its clients"}},
		{"advertised at any address", with(controller, "advertised.listeners=CONTROLLER://0.0.0.0:9093"), []string{"advertised.listeners", "0.0.0.0"}},
	} {
		_, _, err := ParseBroker(c.props)
		if err == nil {
			t.Errorf("%s: not refused", c.name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", c.name, err, want)
			}
		}
	}
}

// What other nodes are told of a controller's listener.
func TestAdvertisedController(t *testing.T) {
	controller := with(combined, "process.roles=controller", "listeners=CONTROLLER://0.0.0.0:9093")
	for _, c := range []struct {
		props             map[string]string
		broker, forOthers string
	}{
		{combined, "[PLAINTEXT://" + hostname() + ":9092]", "[CONTROLLER://" + hostname() + ":9093]"},
		{with(combined, "advertised.listeners=PLAINTEXT://x:1,CONTROLLER://y:2"), "[PLAINTEXT://x:1]", "[CONTROLLER://y:2]"},
		{with(combined, "advertised.listeners=PLAINTEXT://x:1"), "[PLAINTEXT://x:1]", "[CONTROLLER://" + hostname() + ":9093]"},
		{controller, "[]", "[CONTROLLER://" + hostname() + ":9093]"},
		{with(controller, "advertised.listeners=CONTROLLER://y:2"), "[]", "[CONTROLLER://y:2]"},
	} {
		v, _, err := ParseBroker(c.props)
		if err != nil {
			t.Errorf("%v: %v", c.props, err)
			continue
		}
		ls, err := v.Listeners()
		if err != nil || fmt.Sprint(ls.Advertised) != c.broker || fmt.Sprint(ls.AdvertisedController) != c.forOthers {
			t.Errorf("%v: %v, %v, %v", c.props, ls.Advertised, ls.AdvertisedController, err)
		}
	}
}
