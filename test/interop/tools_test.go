package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gregor/test/server"
)

// TestTools runs every scenario of testdata on one broker and one JVM.
func TestTools(t *testing.T) {
	t.Parallel()
	s := server.Start(t, server.Options{Extra: []string{"offsets.topic.num.partitions=1"}}) // one file to look at
	p := newPair(t, s)
	prepare(t, p)
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runScenario(t, p, file) })
	}
}

// prepare writes the files that scenarios name below TMP.
func prepare(t *testing.T, p *pair) {
	t.Helper()
	for _, name := range []string{"ours", "them"} {
		write(t, filepath.Join(p.tmp, name+".json"), fmt.Sprintf(
			`{"partitions": [{"topic": "%s-off", "partition": 0, "offset": 1}, {"topic": "%[1]s-off", "partition": 1, "offset": -1}], "version": 1}`, name))
		write(t, filepath.Join(p.tmp, name+"-high.json"), fmt.Sprintf(
			`{"partitions": [{"topic": "%s-off", "partition": 0, "offset": 100}], "version": 1}`, name))
		write(t, filepath.Join(p.tmp, name+"-broken.json"), `{"partitions": [`)
		properties := fmt.Sprintf("process.roles=broker,controller\nnode.id=7\ncontroller.quorum.voters=7@localhost:%d\n"+
			"controller.listener.names=CONTROLLER\nlisteners=PLAINTEXT://localhost:%d,CONTROLLER://localhost:%d\nlog.dirs=%s",
			p.server.Port+101, p.server.Port+100, p.server.Port+101, p.tmp)
		write(t, filepath.Join(p.tmp, name+".properties"), properties+"/"+name+"\n")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
