// Package admin asks our broker about topics, configurations and the cluster in every version of every request, and
// compares the answers with those of Apache Kafka 4.3.0, which are in testdata. To write these anew, start Kafka and run
//
//	go test ./test/admin -run Same -kafka localhost:9092
package admin

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gregor/test/server"
)

var kafka = flag.String("kafka", "", "address of a new Apache Kafka 4.3.0 broker with node.id=1; rewrites testdata with its answers")

func TestMain(m *testing.M) { server.Main(m) }

func TestSameAnswersAsKafka(t *testing.T) {
	addr := *kafka
	if addr == "" {
		addr = server.Start(t, server.Options{Ours: true}).Addr
	}
	for _, sc := range scenes {
		t.Run(sc.name, func(t *testing.T) {
			s := &script{conn: dial(t, addr), ids: map[string]string{}}
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

// compare shows the steps whose answers differ.
func compare(t *testing.T, want, got string) {
	t.Helper()
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	if len(w) != len(g) {
		t.Errorf("%d lines, Kafka has %d", len(g), len(w))
	}
	for i := 0; i+1 < len(w) && i+1 < len(g); i += 2 {
		if w[i] != g[i] || w[i+1] != g[i+1] {
			t.Errorf("%s\n  kafka:%s\n  ours: %s", w[i], w[i+1], g[i+1])
		}
	}
}
