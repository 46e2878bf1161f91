package config

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Listener is one address that a node listens at or that it tells clients to use.
type Listener struct {
	Name     string // upper case
	Host     string // "" listens at all interfaces
	Port     int    // 0: any free port (listeners only)
	Protocol string // PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL
}

// Addr is the address in the form that package net takes.
func (l Listener) Addr() string { return net.JoinHostPort(l.Host, strconv.Itoa(l.Port)) }

func (l Listener) String() string { return l.Name + "://" + l.Addr() }

// Listeners is what the listener keys of a broker say together.
type Listeners struct {
	Broker      []Listener // for clients and other brokers
	Controller  []Listener // for the controller's quorum
	Advertised  []Listener // what clients are told; port 0 means the port that Broker's listener of that name got
	InterBroker string     // the name of the listener that other brokers use; "" if this node is no broker
	// ControlPlane is the name of the listener that serves the requests of brokers to the active controller, on a node
	// whose metadata is in ZooKeeper: mostly InterBroker.
	ControlPlane string

	AdvertisedController []Listener // what other nodes are told of Controller
}

var securityProtocols = []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}

// parseListener reads NAME://host:port; the host may be empty, and an IPv6 address is in brackets.
func parseListener(key, text string) (Listener, error) {
	bad := func(reason string) (Listener, error) {
		return Listener{}, &Error{Key: key, Value: &text, Reason: reason}
	}
	name, addr, ok := strings.Cut(text, "://")
	if !ok || name == "" {
		return bad("expected NAME://host:port, such as PLAINTEXT://localhost:9092")
	}
	for _, r := range name {
		if !(r == '_' || r == '-' || r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z') {
			return bad(fmt.Sprintf("listener name %q may have letters, digits, '_', '-' and '.' only", name))
		}
	}
	colon := strings.LastIndexByte(addr, ':')
	if colon < 0 {
		return bad("the port is missing; expected NAME://host:port")
	}
	host, portText := addr[:colon], addr[colon+1:]
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return bad(fmt.Sprintf("port %q is not a number from 0 to 65535", portText))
	}
	if strings.HasPrefix(host, "[") {
		if !strings.HasSuffix(host, "]") {
			return bad("the ']' of the IPv6 address is missing")
		}
		host = host[1 : len(host)-1]
		ip, _, _ := strings.Cut(host, "%")
		if net.ParseIP(ip) == nil || !strings.Contains(ip, ":") {
			return bad(fmt.Sprintf("%q is not an IPv6 address", host))
		}
	} else if strings.Contains(host, ":") {
		return bad("write an IPv6 address in brackets: NAME://[::1]:9092")
	}
	for _, r := range host {
		if r <= ' ' || r == '/' || r == 0x7f || r > 0x7f {
			return bad(fmt.Sprintf("host %q has a character that no host name has", host))
		}
	}
	return Listener{Name: strings.ToUpper(name), Host: host, Port: int(port)}, nil
}

// protocolMap reads listener.security.protocol.map. Unless it is set, controller listeners are PLAINTEXT.
func (v *Values) protocolMap() (map[string]string, error) {
	const key = "listener.security.protocol.map"
	m := map[string]string{}
	for _, pair := range splitList(v.String(key)) {
		name, protocol, ok := strings.Cut(pair, ":")
		name, protocol = strings.ToUpper(strings.TrimSpace(name)), strings.ToUpper(strings.TrimSpace(protocol))
		if !ok || name == "" {
			return nil, &Error{Key: key, Value: &pair, Reason: "expected NAME:PROTOCOL, such as CLIENTS:PLAINTEXT"}
		}
		if !slices.Contains(securityProtocols, protocol) {
			return nil, &Error{Key: key, Value: &pair, Reason: "the protocol must be one of " + strings.Join(securityProtocols, ", ")}
		}
		if _, twice := m[name]; twice {
			return nil, &Error{Key: key, Value: &pair, Reason: "listener " + name + " is mapped twice"}
		}
		m[name] = protocol
	}
	if v.Source(key) == SourceDefault {
		for _, name := range v.List("controller.listener.names") {
			if name = strings.ToUpper(name); m[name] == "" {
				m[name] = "PLAINTEXT"
			}
		}
	}
	return m, nil
}

// parseListeners reads a list key of listeners and gives each its protocol.
func (v *Values) parseListeners(key string, protocols map[string]string) ([]Listener, error) {
	var list []Listener
	for _, text := range v.List(key) {
		l, err := parseListener(key, text)
		if err != nil {
			return nil, err
		}
		if l.Protocol = protocols[l.Name]; l.Protocol == "" {
			return nil, &Error{Key: key, Value: &text, Reason: fmt.Sprintf("no security protocol for listener %s; add %s:PLAINTEXT to listener.security.protocol.map", l.Name, l.Name)}
		}
		list = append(list, l)
	}
	return list, nil
}

// Listeners reads the listener keys and checks that they fit together. It looks up no names and opens nothing.
func (v *Values) Listeners() (*Listeners, error) {
	protocols, err := v.protocolMap()
	if err != nil {
		return nil, err
	}
	all, err := v.parseListeners("listeners", protocols)
	if err != nil {
		return nil, err
	}
	text, _ := v.Text("listeners")
	if len(all) == 0 {
		return nil, &Error{Key: "listeners", Value: &text, Reason: "at least one listener is needed, such as PLAINTEXT://:9092"}
	}
	for i, l := range all {
		for _, other := range all[:i] {
			if l.Name == other.Name && !bothFamilies(l, other) {
				return nil, &Error{Key: "listeners", Value: &text, Reason: "listener " + l.Name + " is there twice; each needs a name of its own"}
			}
			if l.Port != 0 && l.Port == other.Port && overlap(l.Host, other.Host) {
				return nil, &Error{Key: "listeners", Value: &text, Reason: fmt.Sprintf("%s and %s have the same port %d", other.Name, l.Name, l.Port)}
			}
		}
	}

	ls := &Listeners{}
	controllers := v.List("controller.listener.names")
	isController := func(name string) bool {
		return slices.ContainsFunc(controllers, func(c string) bool { return strings.EqualFold(c, name) })
	}
	for _, l := range all {
		if isController(l.Name) {
			ls.Controller = append(ls.Controller, l)
		} else {
			ls.Broker = append(ls.Broker, l)
		}
	}
	if err := v.checkControllerListeners(ls); err != nil {
		return nil, err
	}
	if len(ls.Broker) == 0 && v.Roles().Broker {
		return nil, &Error{Key: "listeners", Value: &text, Reason: "all of them are in controller.listener.names; a broker needs one for its clients"}
	}
	if err := v.advertised(ls, protocols, isController); err != nil {
		return nil, err
	}
	if len(ls.Broker) == 0 {
		return ls, nil
	}
	if ls.InterBroker, err = v.interBroker(ls); err != nil {
		return nil, err
	}
	if ls.ControlPlane, err = v.controlPlane(ls); err != nil {
		return nil, err
	}
	return ls, nil
}

// advertised reads advertised.listeners; without it the broker's listeners are advertised, at this machine's name
// where they have none. So are those of controllers that it does not mention.
func (v *Values) advertised(ls *Listeners, protocols map[string]string, isController func(string) bool) error {
	const key = "advertised.listeners"
	given, err := v.parseListeners(key, protocols)
	if err != nil {
		return err
	}
	text, _ := v.Text(key)
	var forBrokers, forControllers []Listener
	for _, l := range given {
		if isController(l.Name) {
			forControllers = append(forControllers, l)
		} else {
			forBrokers = append(forBrokers, l)
		}
	}
	for _, l := range ls.Controller {
		if !slices.ContainsFunc(forControllers, func(o Listener) bool { return o.Name == l.Name }) {
			if l.Host == "0.0.0.0" || l.Host == "::" {
				l.Host = "" // other nodes find a voter by the quorum's keys, so this is no reason to refuse
			}
			forControllers = append(forControllers, l)
		}
	}
	if len(given) == 0 {
		forBrokers, text = ls.Broker, ""
	}
	if len(ls.Controller) > 0 {
		if ls.AdvertisedController, err = advertise(key, text, forControllers, ls.Controller); err != nil {
			return err
		}
	}
	if ls.Advertised, err = advertise(key, text, forBrokers, ls.Broker); err != nil {
		return err
	}
	if len(ls.Advertised) == 0 && len(ls.Broker) > 0 {
		return &Error{Key: key, Value: &text, Reason: "there must be at least one listener for clients"}
	}
	return nil
}

// advertise completes what is said of listeners to others. text is what was set, "" if nothing was.
func advertise(key, text string, given, listeners []Listener) (list []Listener, err error) {
	for _, l := range given {
		i := slices.IndexFunc(listeners, func(b Listener) bool { return b.Name == l.Name })
		if i < 0 {
			return nil, &Error{Key: key, Value: &text, Reason: fmt.Sprintf("%s is not in listeners, which has %s", l.Name, names(listeners))}
		}
		if l.Host == "0.0.0.0" || l.Host == "::" {
			if text != "" {
				return nil, &Error{Key: key, Value: &text, Reason: l.Host + " is not an address that a client can connect to; use a host name or address of this machine"}
			}
			return nil, &Error{Key: "listeners", Value: ptr(l.String()), Reason: "clients cannot connect to " + l.Host + "; set advertised.listeners to a host name or address of this machine, such as " + l.Name + "://" + hostname() + ":" + strconv.Itoa(l.Port)}
		}
		if l.Host == "" {
			l.Host = hostname()
		}
		if l.Port == 0 && listeners[i].Port != 0 {
			l.Port = listeners[i].Port
		}
		if slices.ContainsFunc(list, func(o Listener) bool { return o.Name == l.Name }) {
			continue // the same name for IPv4 and IPv6: clients get the first
		}
		list = append(list, l)
	}
	return list, nil
}

func (v *Values) interBroker(ls *Listeners) (string, error) {
	const nameKey, protocolKey = "inter.broker.listener.name", "security.inter.broker.protocol"
	if name := strings.ToUpper(v.String(nameKey)); name != "" {
		if v.Source(protocolKey) != SourceDefault {
			return "", &Error{Key: nameKey, Value: &name, Reason: "set either this or " + protocolKey + ", not both"}
		}
		if !slices.ContainsFunc(ls.Advertised, func(l Listener) bool { return l.Name == name }) {
			return "", &Error{Key: nameKey, Value: &name, Reason: "must be the name of an advertised listener: " + names(ls.Advertised)}
		}
		return name, nil
	}
	protocol := v.String(protocolKey)
	for _, l := range ls.Advertised {
		if l.Name == protocol {
			return l.Name, nil
		}
	}
	if len(ls.Advertised) == 1 && v.Source(protocolKey) == SourceDefault {
		return ls.Advertised[0].Name, nil
	}
	return "", &Error{Key: protocolKey, Value: &protocol, Reason: "no advertised listener has this name; set " + nameKey + " to one of " + names(ls.Advertised)}
}

func names(ls []Listener) string {
	var s []string
	for _, l := range ls {
		s = append(s, l.Name)
	}
	return strings.Join(s, ", ")
}

// bothFamilies: one name or port may serve IPv4 and IPv6 (KIP-797).
func bothFamilies(a, b Listener) bool {
	x, y := net.ParseIP(a.Host), net.ParseIP(b.Host)
	return a.Port == b.Port && x != nil && y != nil && (x.To4() == nil) != (y.To4() == nil)
}

// overlap reports whether two listeners at the same port would fight for it.
func overlap(a, b string) bool {
	if a == b || a == "" || b == "" {
		return true
	}
	x, y := net.ParseIP(a), net.ParseIP(b)
	return x == nil || y == nil || (x.To4() == nil) == (y.To4() == nil)
}

func hostname() string {
	if h, err := os.Hostname(); err == nil && h != "" {
		return h
	}
	return "localhost"
}
