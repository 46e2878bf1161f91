// Package admin asks our broker about topics, configurations and the cluster in every version of every request, and
// compares the answers with those of Apache Kafka 4.3.0, which are in testdata. To write these anew, start Kafka and run
//
//	go test ./test/admin -run Same -kafka localhost:9092
package admin

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
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

// compare shows the lines that differ, step by step.
func compare(t *testing.T, want, got string) {
	t.Helper()
	w, g := steps(want), steps(got)
	for i := range max(len(w), len(g)) {
		switch {
		case i >= len(w):
			t.Errorf("more than Kafka: %s", g[i][0])
		case i >= len(g):
			t.Errorf("missing: %s", w[i][0])
		case !slices.Equal(w[i], g[i]):
			var b strings.Builder
			for _, l := range w[i] {
				if !slices.Contains(g[i], l) {
					b.WriteString("\n kafka" + l)
				}
			}
			for _, l := range g[i] {
				if !slices.Contains(w[i], l) {
					b.WriteString("\n ours " + l)
				}
			}
			t.Errorf("%s%s", w[i][0], b.String())
		}
	}
}

// steps cuts a transcript into its steps.
func steps(text string) (all [][]string) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, " ") {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], strings.TrimSuffix(line, "\n"))
	}
	return all
}
