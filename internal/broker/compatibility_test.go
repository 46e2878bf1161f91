package broker

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var update = flag.Bool("update", false, "write docs/compatibility.md")

const compatibilityPage = "../../docs/compatibility.md"

// kafkaVersions is what Apache Kafka 4.3.0 serves on a broker listener: key, lowest, highest stable version.
var kafkaVersions = strings.Fields(`
	0:3-13 1:4-18 2:1-11 3:0-13 8:2-10 9:1-10 10:0-6 11:0-9 12:0-4 13:0-5 14:0-5 15:0-6 16:0-5 17:0-1 18:0-4 19:2-7 20:1-6
	21:0-2 22:0-5 23:2-4 24:0-5 25:0-4 26:0-5 27:1-2 28:0-5 29:1-3 30:1-3 31:1-3 32:1-4 33:0-2 34:1-2 35:1-5 36:0-2 37:0-3
	38:1-3 39:1-2 40:1-2 41:1-3 42:0-2 43:0-2 44:0-1 45:0-1 46:0-0 47:0-0 48:0-1 49:0-1 50:0-0 51:0-0 55:0-2 57:0-2 60:0-2
	61:0-0 64:0-0 65:0-0 66:0-2 68:0-1 69:0-1 71:0-0 72:0-0 74:0-1 75:0-0 76:1-1 77:1-1 78:1-2 79:1-2 80:0-1 81:0-0 83:0-0
	84:0-0 85:0-1 86:0-0 87:0-1 88:0-0 89:0-0 90:0-1 91:0-0 92:0-0`)

// docs/compatibility.md says what the table says: `go test ./internal/broker -run Compatibility -update` writes it.
func TestCompatibilityPage(t *testing.T) {
	rows := newTable(handlers(), onBroker)
	var page bytes.Buffer
	page.WriteString("# Compatibility\n\n<!-- Written by: go test ./internal/broker -run Compatibility -update -->\n\n" +
		"The APIs of Apache Kafka 4.3.0's brokers, and the versions of each that gregor serves. A client asks with ApiVersions\n" +
		"and uses the highest version that both know; what is not served is not advertised.\n\n" +
		"| key | API | Apache Kafka 4.3.0 | gregor |\n|---:|---|---|---|\n")
	served := 0
	for _, k := range kafkaVersions {
		var key int16
		var lowest, highest int16
		if _, err := fmt.Sscanf(k, "%d:%d-%d", &key, &lowest, &highest); err != nil {
			t.Fatal(err)
		}
		ours := "not yet"
		if h := rows.find(key); h != nil {
			served++
			ours = versions(h.min, h.max)
			if h.min != lowest || h.max != highest {
				t.Errorf("%s is served in versions %s, Apache Kafka 4.3.0 has %s", kmsg.NameForKey(key), ours, versions(lowest, highest))
			}
		}
		fmt.Fprintf(&page, "| %d | %s | %s | %s |\n", key, kmsg.NameForKey(key), versions(lowest, highest), ours)
	}
	var not, besides []string
	for _, h := range handlers() {
		name := fmt.Sprintf("%s (%d)", kmsg.NameForKey(int16(h.key)), int16(h.key))
		switch {
		case h.quorum:
			not = append(not, name)
		case h.plane:
			besides = append(besides, fmt.Sprintf("%s in versions %s", name, versions(h.min, h.max)))
		}
	}
	page.WriteString("\nBrokers on ZooKeeper do not serve what Apache Kafka 3.9 does not serve there: " + strings.Join(not, ", ") +
		".\nAt the listener between brokers they serve what the active controller is asked for: " + strings.Join(besides, ", ") + ".\n")
	if served != len(rows.rows) {
		t.Errorf("the table has %d APIs, %d of them are Kafka's", len(rows.rows), served)
	}
	if *update {
		if err := os.WriteFile(compatibilityPage, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(compatibilityPage)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, page.Bytes()) {
		t.Errorf("%s is not what the table says; run this test with -update", compatibilityPage)
	}
}

func versions(lowest, highest int16) string {
	if lowest == highest {
		return fmt.Sprint(lowest)
	}
	return fmt.Sprintf("%d–%d", lowest, highest)
}

// Each API has one row, and a shape that a request of each version is checked against.
func TestTable(t *testing.T) {
	tb := startBroker(t, nil)
	type place struct {
		key kmsg.Key
		on  listeners
	}
	seen := make(map[place]bool)
	for _, h := range handlers() {
		for _, on := range []listeners{onBroker, onController} {
			if h.on != on && h.on != onBoth {
				continue
			}
			if seen[place{h.key, on}] {
				t.Errorf("%s stands twice in the table", h.key.Name())
			}
			seen[place{h.key, on}] = true
		}
		for v := h.min; v <= h.max; v++ {
			req := h.key.Request()
			req.SetVersion(v)
			if _, err := tb.b.server.shapes.Check(int16(h.key), v, req.AppendTo(nil)); err != nil {
				t.Errorf("%s version %d: %v", h.key.Name(), v, err)
			}
		}
	}
}
