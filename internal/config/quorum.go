package config

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Roles is what a process does in its cluster (process.roles). A configuration that names none is a single node: both.
type Roles struct {
	Broker, Controller bool
}

func (r Roles) String() string {
	switch {
	case r.Broker && r.Controller:
		return "broker,controller"
	case r.Broker:
		return "broker"
	}
	return "controller"
}

// Voter is an entry of controller.quorum.voters.
type Voter struct {
	ID   int32
	Host string
	Port int
}

// Addr is the voter's address in the form that package net takes.
func (v Voter) Addr() string { return net.JoinHostPort(v.Host, strconv.Itoa(v.Port)) }

func (v Voter) String() string { return fmt.Sprintf("%d@%s", v.ID, v.Addr()) }

// Quorum is how a node finds the controllers: by a list of voters that never changes, or by the addresses of some
// controllers, of which it learns who votes (KIP-853). Neither is a node that is alone.
type Quorum struct {
	Voters    []Voter  // controller.quorum.voters
	Bootstrap []string // controller.quorum.bootstrap.servers, host:port
}

// Roles returns process.roles. On ZooKeeper every node is a broker, and may become the active controller.
func (v *Values) Roles() Roles {
	if !v.Has("process.roles") {
		return Roles{Broker: true, Controller: true}
	}
	roles := v.List("process.roles")
	return Roles{Broker: slices.Contains(roles, "broker"), Controller: slices.Contains(roles, "controller")}
}

// IsAlone reports whether this node is the only one of its quorum.
func (v *Values) IsAlone() bool {
	if !v.Roles().Controller || v.OnZooKeeper() {
		return false
	}
	q, err := v.Quorum()
	if err != nil || len(q.Bootstrap) > 1 {
		return false
	}
	if len(q.Voters) > 0 {
		return len(q.Voters) == 1
	}
	// One bootstrap server may be this node, or one of a quorum that this node is to join. Without process.roles it can
	// only be this node.
	return len(q.Bootstrap) == 0 || !v.Has("process.roles")
}

// Quorum reads controller.quorum.voters and controller.quorum.bootstrap.servers.
func (v *Values) Quorum() (Quorum, error) {
	const votersKey, serversKey = "controller.quorum.voters", "controller.quorum.bootstrap.servers"
	var q Quorum
	for _, text := range v.List(votersKey) {
		id, addr, ok := strings.Cut(text, "@")
		n, err := strconv.ParseInt(id, 10, 32)
		host, port, hostErr := splitAddr(addr)
		if !ok || err != nil || n < 0 || hostErr != "" {
			return q, &Error{Key: votersKey, Value: &text, Reason: "expected id@host:port, such as 1@localhost:9093"}
		}
		for _, other := range q.Voters {
			if other.ID == int32(n) {
				return q, &Error{Key: votersKey, Value: &text, Reason: fmt.Sprintf("voter %d is there twice; each node has an id of its own", n)}
			}
			if other.Host == host && other.Port == port {
				return q, &Error{Key: votersKey, Value: &text, Reason: fmt.Sprintf("voters %d and %d have the same address", other.ID, n)}
			}
		}
		q.Voters = append(q.Voters, Voter{ID: int32(n), Host: host, Port: port})
	}
	for _, text := range v.List(serversKey) {
		host, port, reason := splitAddr(text)
		if reason != "" {
			return q, &Error{Key: serversKey, Value: &text, Reason: reason + "; expected host:port, such as localhost:9093"}
		}
		if addr := net.JoinHostPort(host, strconv.Itoa(port)); !slices.Contains(q.Bootstrap, addr) {
			q.Bootstrap = append(q.Bootstrap, addr)
		}
	}
	return q, nil
}

// splitAddr reads host:port where somebody else listens; what is wrong with it is said in reason.
func splitAddr(text string) (host string, port int, reason string) {
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		return "", 0, "not an address"
	}
	n, err := strconv.ParseUint(portText, 10, 16)
	switch {
	case err != nil || n == 0:
		return "", 0, fmt.Sprintf("port %q is not a number from 1 to 65535", portText)
	case host == "" || strings.ContainsAny(host, " /@"):
		return "", 0, "the host is missing"
	case host == "0.0.0.0" || host == "::":
		return "", 0, host + " is not an address that others can connect to"
	}
	return host, int(n), ""
}

// checkRoles checks that roles, voters and this node's id fit together.
func checkRoles(v *Values) error {
	const rolesKey, votersKey, serversKey = "process.roles", "controller.quorum.voters", "controller.quorum.bootstrap.servers"
	if v.OnZooKeeper() {
		return checkZooKeeper(v)
	}
	rolesText, _ := v.Text(rolesKey)
	if v.Has(rolesKey) && len(v.List(rolesKey)) == 0 {
		return &Error{Key: rolesKey, Value: &rolesText, Reason: "a node has at least one role"}
	}
	if list := v.List(rolesKey); len(list) == 2 && list[0] == list[1] {
		return &Error{Key: rolesKey, Value: &rolesText, Reason: list[0] + " is there twice"}
	}
	q, err := v.Quorum()
	if err != nil {
		return err
	}
	votersText, _ := v.Text(votersKey)
	serversText, _ := v.Text(serversKey)
	roles := v.Roles()
	switch {
	case !v.Has(rolesKey) && len(q.Voters) > 1:
		return &Error{Key: votersKey, Value: &votersText, Reason: "with several voters process.roles must say whether this node is one: set process.roles=broker,controller, or controller, or broker"}
	case !v.Has(rolesKey) && len(q.Bootstrap) > 1:
		return &Error{Key: serversKey, Value: &serversText, Reason: "with several controllers process.roles must say whether this node is one: set process.roles=broker,controller, or controller, or broker"}
	case !roles.Controller && len(q.Voters) == 0 && len(q.Bootstrap) == 0:
		return &Error{Key: rolesKey, Value: &rolesText, Reason: "a node that is only a broker needs to know its controllers: set " + serversKey + " to their addresses (host:port, ...), or " + votersKey + " to all of them (id@host:port, ...)"}
	}
	own, known := v.NodeID()
	if !known || len(q.Voters) == 0 {
		return nil
	}
	votes := slices.ContainsFunc(q.Voters, func(o Voter) bool { return o.ID == own })
	switch {
	case roles.Controller && !votes && len(q.Voters) == 1:
		return &Error{Key: votersKey, Value: &votersText, Reason: fmt.Sprintf("the only voter must be this node, node.id=%d; name the others too if there are several", own)}
	case roles.Controller && !votes:
		return &Error{Key: votersKey, Value: &votersText, Reason: fmt.Sprintf("this node, node.id=%d, has the role controller and must be one of the voters; add it to the list of every node, or set process.roles=broker", own)}
	case !roles.Controller && votes:
		return &Error{Key: votersKey, Value: &votersText, Reason: fmt.Sprintf("this node, node.id=%d, has only the role broker and must not be a voter; give it another node.id, or set process.roles=broker,controller", own)}
	}
	return nil
}

// checkControllerListeners checks that a node listens for its quorum if and only if it is a controller.
func (v *Values) checkControllerListeners(ls *Listeners) error {
	const key = "controller.listener.names"
	text, _ := v.Text(key)
	roles := v.Roles()
	listeners, _ := v.Text("listeners")
	switch {
	case v.OnZooKeeper():
		return nil
	case !roles.Controller && len(v.List(key)) == 0:
		return &Error{Key: key, Value: &text, Reason: "a node that is only a broker needs the name of its controllers' listener, such as CONTROLLER"}
	case !roles.Controller && len(ls.Controller) > 0:
		return &Error{Key: "listeners", Value: &listeners, Reason: fmt.Sprintf("%s is a listener of controllers, and this node is only a broker; remove it, or set process.roles=broker,controller", ls.Controller[0].Name)}
	case roles.Controller && !roles.Broker && len(ls.Broker) > 0:
		return &Error{Key: "listeners", Value: &listeners, Reason: fmt.Sprintf("%s is no listener of controllers, and this node is only a controller; list it in controller.listener.names, remove it, or set process.roles=broker,controller", ls.Broker[0].Name)}
	case v.IsAlone() && roles.Broker:
		return nil // a node alone needs nobody to reach it
	case roles.Controller && len(v.List(key)) == 0:
		return &Error{Key: key, Value: &text, Reason: "a controller needs a listener for the others: add CONTROLLER://:9093 to listeners and set controller.listener.names=CONTROLLER"}
	case roles.Controller && len(ls.Controller) == 0:
		return &Error{Key: "listeners", Value: &listeners, Reason: fmt.Sprintf("a controller needs a listener for the others: add %[1]s://:9093, since controller.listener.names=%[1]s", strings.ToUpper(v.List(key)[0]))}
	}
	return nil
}
