package config

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ZooKeeper is how a node reaches the ZooKeeper that its cluster's metadata is in, and what it asks of it.
type ZooKeeper struct {
	Connect           string        // zookeeper.connect: host:port, ... and perhaps a chroot
	SessionTimeout    time.Duration // zookeeper.session.timeout.ms
	ConnectionTimeout time.Duration // zookeeper.connection.timeout.ms, or the session's
	MaxInFlight       int           // zookeeper.max.in.flight.requests
	// GenerateBrokerID says that a node without an id gets one above ReservedMaxID.
	GenerateBrokerID bool
	ReservedMaxID    int32 // reserved.broker.max.id
}

// OnZooKeeper reports whether the cluster's metadata is in ZooKeeper.
func (v *Values) OnZooKeeper() bool { return v.String("zookeeper.connect") != "" }

// ZooKeeper returns the keys of a node for which OnZooKeeper holds.
func (v *Values) ZooKeeper() ZooKeeper {
	z := ZooKeeper{
		Connect:           v.String("zookeeper.connect"),
		SessionTimeout:    v.Millis("zookeeper.session.timeout.ms"),
		ConnectionTimeout: v.Millis("zookeeper.connection.timeout.ms"),
		MaxInFlight:       v.Int("zookeeper.max.in.flight.requests"),
		GenerateBrokerID:  v.Bool("broker.id.generation.enable"),
		ReservedMaxID:     v.Int32("reserved.broker.max.id"),
	}
	if !v.Has("zookeeper.connection.timeout.ms") {
		z.ConnectionTimeout = z.SessionTimeout
	}
	return z
}

// defaultZooKeeperPort is that of ZooKeeper's clients where zookeeper.connect names none.
const defaultZooKeeperPort = 2181

// Servers reads Connect: the addresses, host:port, and the path below which everything lies, "" for the root.
func (z ZooKeeper) Servers() (addrs []string, chroot string, err error) {
	bad := func(reason string) error {
		return &Error{Key: "zookeeper.connect", Value: &z.Connect, Reason: reason + "; expected host:port, ... and perhaps a path, such as zk1:2181,zk2:2181,zk3:2181/kafka"}
	}
	hosts, path, _ := strings.Cut(z.Connect, "/")
	if path = strings.TrimRight(path, "/"); path != "" {
		chroot = "/" + path
		for part := range strings.SplitSeq(path, "/") {
			if part == "" || part == "." || part == ".." || strings.ContainsFunc(part, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				return nil, "", bad(fmt.Sprintf("%s is not a path of ZooKeeper", chroot))
			}
		}
	}
	for text := range strings.SplitSeq(hosts, ",") {
		text = strings.TrimSpace(text)
		host, port := text, defaultZooKeeperPort
		if colon := strings.LastIndexByte(text, ':'); colon >= 0 && (strings.HasSuffix(text[:colon], "]") || !strings.Contains(text[:colon], ":")) {
			n, err := strconv.ParseUint(text[colon+1:], 10, 16)
			if err != nil || n == 0 {
				return nil, "", bad(fmt.Sprintf("port %q is not a number from 1 to 65535", text[colon+1:]))
			}
			host, port = text[:colon], int(n)
		}
		if inner := strings.TrimPrefix(host, "["); inner != host && strings.HasSuffix(inner, "]") {
			host = strings.TrimSuffix(inner, "]")
		}
		if host == "" || strings.ContainsAny(host, " @[]") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return nil, "", bad(fmt.Sprintf("%q is not an address", text))
		}
		addrs = append(addrs, net.JoinHostPort(host, strconv.Itoa(port)))
	}
	return addrs, chroot, nil
}

// checkZooKeeper checks what must not be said together with zookeeper.connect.
func checkZooKeeper(v *Values) error {
	refuse := func(key, reason string) error {
		text, _ := v.Text(key)
		return &Error{Key: key, Value: &text, Reason: reason}
	}
	z := v.ZooKeeper()
	switch {
	case v.Has("process.roles"):
		return refuse("process.roles", "says that the metadata is with controllers, and zookeeper.connect that it is in ZooKeeper; remove one of them")
	case v.Bool("zookeeper.metadata.migration.enable"):
		return refuse("zookeeper.metadata.migration.enable", "moving a live cluster's metadata out of ZooKeeper "+ErrNotYet.Error()+"; set it to false")
	case len(v.List("controller.quorum.voters")) > 0:
		return refuse("controller.quorum.voters", "on ZooKeeper there is no quorum of controllers; remove it, or zookeeper.connect")
	case len(v.List("controller.quorum.bootstrap.servers")) > 0:
		return refuse("controller.quorum.bootstrap.servers", "on ZooKeeper there is no quorum of controllers; remove it, or zookeeper.connect")
	case len(v.List("controller.listener.names")) > 0:
		return refuse("controller.listener.names", "on ZooKeeper the controller is one of the brokers and has no listener of its own; remove it, or zookeeper.connect")
	case v.Bool("zookeeper.ssl.client.enable"):
		return refuse("zookeeper.ssl.client.enable", "TLS to ZooKeeper "+ErrNotYet.Error()+"; set it to false and connect to ZooKeeper's plain port")
	case v.Bool("zookeeper.set.acl"):
		return refuse("zookeeper.set.acl", "it needs a SASL or TLS identity at ZooKeeper, which "+ErrNotYet.Error()+"; set it to false")
	case z.SessionTimeout <= 0:
		return refuse("zookeeper.session.timeout.ms", "must be at least 1")
	case z.ConnectionTimeout <= 0:
		return refuse("zookeeper.connection.timeout.ms", "must be at least 1")
	}
	if _, ok := v.NodeID(); !ok && !z.GenerateBrokerID {
		return refuse("broker.id.generation.enable", "then broker.id must be set; give each broker a number of its own")
	}
	_, _, err := z.Servers()
	return err
}

// controlPlane is the name of the listener at which the active controller's requests are served: that of
// control.plane.listener.name if it is set (KIP-291), else the brokers' own. It is for nodes on ZooKeeper only.
func (v *Values) controlPlane(ls *Listeners) (string, error) {
	const key = "control.plane.listener.name"
	name := strings.ToUpper(v.String(key))
	if name == "" || !v.OnZooKeeper() {
		return ls.InterBroker, nil
	}
	text, _ := v.Text(key)
	switch {
	case !slices.ContainsFunc(ls.Advertised, func(l Listener) bool { return l.Name == name }):
		return "", &Error{Key: key, Value: &text, Reason: "must be the name of an advertised listener: " + names(ls.Advertised)}
	case name == ls.InterBroker:
		return "", &Error{Key: key, Value: &text, Reason: "must be another listener than that between brokers; remove the key, or set inter.broker.listener.name to another one"}
	}
	return name, nil
}
