// Package transactions asks our broker about transactions in every version of every request, and compares the answers with
// those of Apache Kafka 4.3.0, which are in testdata. To write these anew, start Kafka and run
//
//	go test ./test/transactions -run Same -kafka localhost:9092
package transactions

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gregor/test/server"
)

var kafka = flag.String("kafka", "", "address of a new Apache Kafka 4.3.0 broker; rewrites testdata with its answers")

func TestMain(m *testing.M) { server.Main(m) }

func TestSameAnswersAsKafka(t *testing.T) {
	addr := *kafka
	if addr == "" {
		addr = server.Start(t, server.Options{Ours: true}).Addr
	}
	newScript(t, addr, "").warmUp()
	for _, sc := range scenes {
		t.Run(sc.name, func(t *testing.T) {
			s := newScript(t, addr, sc.name)
			sc.play(s)
			got := s.text.String()
			file := filepath.Join("testdata", sc.name+".txt")
			if *kafka != "" {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, string(want), got)
		})
	}
}

func compare(t *testing.T, want, got string) {
	t.Helper()
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		switch {
		case i >= len(w):
			t.Errorf("more than Kafka: %s", g[i])
		case i >= len(g):
			t.Errorf("missing: %s", w[i])
		case w[i] != g[i]:
			t.Errorf("\n kafka %s\n ours  %s", w[i], g[i])
		}
	}
}
