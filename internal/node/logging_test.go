package node

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"regexp"
	"testing"
)

func TestLogLine(t *testing.T) {
	var b bytes.Buffer
	logs := NewLogs(&b, slog.LevelInfo)
	l := logs.Part("broker").With("listener", "PLAINTEXT").WithGroup("peer")
	l.Info("line one\nline two \"x\"", "addr", "127.0.0.1:5", "error", errors.New("two words"), slog.Group("g", "n", 1), "empty", "")
	want := regexp.MustCompile(`^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\] INFO \[broker\] line one\\nline two "x" listener=PLAINTEXT peer.addr=127.0.0.1:5 peer.error="two words" peer.g.n=1 peer.empty=""\n$`)
	if !want.Match(b.Bytes()) {
		t.Errorf("%s", b.Bytes())
	}
}

func TestLogLevels(t *testing.T) {
	var b bytes.Buffer
	logs := NewLogs(&b, slog.LevelInfo)
	broker, log := logs.Part("broker"), logs.Part("log")
	written := func(l *slog.Logger) bool {
		b.Reset()
		l.Debug("x")
		return b.Len() > 0
	}
	if written(broker) {
		t.Error("DEBUG is written at INFO")
	}
	if !logs.Set("broker", "debug") || !written(broker) || written(log) {
		t.Error("a part's own level has no effect, or on others too")
	}
	if want := map[string]string{"root": "INFO", "broker": "DEBUG", "log": "INFO"}; !maps.Equal(logs.Levels(), want) {
		t.Errorf("levels: %v", logs.Levels())
	}
	if !logs.Set("root", "TRACE") || !written(log) {
		t.Error("root's level has no effect")
	}
	if !logs.Set("root", "ERROR") || !logs.Set("broker", "") || written(broker) {
		t.Error("the part's level stays")
	}
	for _, bad := range [][2]string{{"root", ""}, {"nobody", "INFO"}, {"broker", "LOUD"}} {
		if logs.Set(bad[0], bad[1]) {
			t.Errorf("Set%q is accepted", bad)
		}
	}
}
