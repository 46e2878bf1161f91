package config

import (
	"os"
	"strings"
	"testing"
)

func TestListeners(t *testing.T) {
	host, _ := os.Hostname()
	for _, c := range []struct {
		props                           map[string]string
		broker, controller, advert, ibl string
	}{
		{nil, "PLAINTEXT://:9092", "", "PLAINTEXT://" + host + ":9092", "PLAINTEXT"},
		{map[string]string{"listeners": "PLAINTEXT://localhost:0"}, "PLAINTEXT://localhost:0", "", "PLAINTEXT://localhost:0", "PLAINTEXT"},
		{map[string]string{"listeners": "PLAINTEXT://:9092,CONTROLLER://:9093", "controller.listener.names": "CONTROLLER", "advertised.listeners": "PLAINTEXT://kafka.example:9000"},
			"PLAINTEXT://:9092", "CONTROLLER://:9093", "PLAINTEXT://kafka.example:9000", "PLAINTEXT"},
		{map[string]string{"listeners": "in://[::1]:1, out://127.0.0.1:2", "listener.security.protocol.map": "IN:PLAINTEXT,out:plaintext", "inter.broker.listener.name": "in"},
			"IN://[::1]:1 OUT://127.0.0.1:2", "", "IN://[::1]:1 OUT://127.0.0.1:2", "IN"},
		{map[string]string{"listeners": "PLAINTEXT://127.0.0.1:1,PLAINTEXT://[::1]:1"}, "PLAINTEXT://127.0.0.1:1 PLAINTEXT://[::1]:1", "", "PLAINTEXT://127.0.0.1:1", "PLAINTEXT"},
	} {
		v, _, err := ParseBroker(c.props)
		if err != nil {
			t.Errorf("%v: %v", c.props, err)
			continue
		}
		ls, err := v.Listeners()
		if err != nil {
			t.Errorf("%v: %v", c.props, err)
			continue
		}
		text := func(ls []Listener) string {
			var s []string
			for _, l := range ls {
				s = append(s, l.String())
			}
			return strings.Join(s, " ")
		}
		if text(ls.Broker) != c.broker || text(ls.Controller) != c.controller || text(ls.Advertised) != c.advert || ls.InterBroker != c.ibl {
			t.Errorf("%v: %+v", c.props, ls)
		}
	}
}

func TestBadListeners(t *testing.T) {
	for _, c := range []struct {
		key, value, want string
	}{
		{"listeners", "localhost:9092", "expected NAME://host:port"},
		{"listeners", "PLAINTEXT://localhost", "port is missing"},
		{"listeners", "PLAINTEXT://localhost:port", "not a number from 0 to 65535"},
		{"listeners", "PLAINTEXT://localhost:65536", "not a number from 0 to 65535"},
		{"listeners", "PLAINTEXT://::1:9092", "in brackets"},
		{"listeners", "PLAINTEXT://[::1:9092", "']' of the IPv6 address is missing"},
		{"listeners", "PLAINTEXT://[localhost]:9092", "not an IPv6 address"},
		{"listeners", "PLAINTEXT://a b:9092", "character that no host name has"},
		{"listeners", "PLAINTEXT://a:1,PLAINTEXT://b:2", "twice"},
		{"listeners", "PLAINTEXT://:1,SSL://:1", "same port 1"},
		{"listeners", "OTHER://:1", "add OTHER:PLAINTEXT to listener.security.protocol.map"},
		{"listeners", "", "at least one listener"},
		{"listeners", "PLAINTEXT://0.0.0.0:9092", "set advertised.listeners"},
		{"advertised.listeners", "PLAINTEXT://0.0.0.0:9092", "not an address that a client can connect to"},
		{"advertised.listeners", "SSL://a:9092", "not in listeners"},
		{"controller.listener.names", "PLAINTEXT", "needs one for its clients"},
		{"listener.security.protocol.map", "PLAINTEXT:TLS", "must be one of PLAINTEXT, SSL"},
		{"listener.security.protocol.map", "PLAINTEXT", "expected NAME:PROTOCOL"},
		{"inter.broker.listener.name", "INTERNAL", "advertised listener: PLAINTEXT"},
		{"security.inter.broker.protocol", "SSL", "set inter.broker.listener.name"},
	} {
		_, _, err := ParseBroker(map[string]string{c.key: c.value})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%s: %v, want %q", c.key, c.value, err, c.want)
		}
	}
}

// FuzzListener: a listener that is read is written so that it reads the same.
func FuzzListener(f *testing.F) {
	for _, s := range []string{"PLAINTEXT://localhost:9092", "a://[::1]:1", "SSL://:0", "x://[fe80::1%eth0]:5", "://", "a://b", "PLAINTEXT://::1:9092"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := parseListener("listeners", s)
		if err != nil {
			return
		}
		again, err := parseListener("listeners", l.String())
		if err != nil || again != l {
			t.Errorf("%q: %+v, then %+v, %v", s, l, again, err)
		}
	})
}
