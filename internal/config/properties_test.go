package config

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadProperties(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.properties")
	text := "# a comment\n! another\nlog.dirs=/a,\\\n   /b  \nnode.id : 3\nbroker.rack=${HOME}\nempty=\nnode.id=4\n\u00fc=\u00e4\nwin=C:\\\\data\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadProperties(path)
	want := map[string]string{"log.dirs": "/a,/b", "node.id": "4", "broker.rack": "${HOME}", "empty": "", "\u00fc": "\u00e4", "win": "C:\\data"}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ReadProperties(path + "x"); !os.IsNotExist(err) {
		t.Error(err)
	}
}

func TestOverride(t *testing.T) {
	props := map[string]string{"a": "1"}
	if err := Override(props, []string{"a=2", "b=x=y", "c="}); err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"a": "2", "b": "x=y", "c": ""}; !maps.Equal(props, want) {
		t.Errorf("%v", props)
	}
	if err := Override(props, []string{"novalue"}); err == nil || !strings.Contains(err.Error(), "novalue") {
		t.Error(err)
	}
}

// FuzzBroker: no properties file makes the reader or the checks panic, and what is accepted is accepted again.
func FuzzBroker(f *testing.F) {
	f.Add([]byte("node.id=1\nlisteners=PLAINTEXT://:9092,CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER\n"))
	f.Add([]byte("broker.id=0\nlog.dirs=/a,/b\nlog.retention.hours=-1\nmax.connections.per.ip.overrides=a:1,[::1]:2"))
	f.Add([]byte("a=\\u00e4\\\n b"))
	f.Add([]byte("controller.quorum.voters=1@a:1\nprocess.roles=broker,controller"))
	f.Fuzz(func(t *testing.T, data []byte) {
		props, err := ParseProperties(data)
		if err != nil {
			return
		}
		v, _, err := ParseBroker(props)
		if err != nil {
			return
		}
		if _, _, err := ParseBroker(v.Static()); err != nil {
			t.Errorf("%v: %v", v.Static(), err)
		}
		NewLive(v).DescribeBroker()
	})
}
