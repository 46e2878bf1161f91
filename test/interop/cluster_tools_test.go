package interop

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"gregor/test/server"
)

// TestClusterTools runs the scenarios of testdata/cluster on three brokers of ours, each a controller too, with two log
// directories each. CONTROLLER stands for the address of a controller.
func TestClusterTools(t *testing.T) {
	if server.Apache() {
		t.Skip("starts brokers of ours only")
	}
	c := server.StartCluster(t, server.ClusterOptions{Dirs: 2})
	p := newPair(t, c.Nodes[0])
	p.words = []string{"CONTROLLER", c.Controllers[0]}
	prepareCluster(t, p, c)
	files, err := filepath.Glob("testdata/cluster/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runScenario(t, p, file) })
	}
}

// prepareCluster writes the files that scenarios name below TMP, one for each tool: TMP/NAME-move.json.
func prepareCluster(t *testing.T, p *pair, c *server.Cluster) {
	t.Helper()
	for _, name := range []string{"ours", "them"} {
		plan := func(file, partitions string) {
			text := strings.NewReplacer("NAME", name, "DIR1", filepath.Join(c.Node(1).Dir, "1")).Replace(`{"version":1,"partitions":[` + partitions + `]}`)
			write(t, filepath.Join(p.tmp, name+"-"+file+".json"), text)
		}
		plan("elect", `{"topic":"NAME-a","partition":0},{"topic":"NAME-a","partition":1},{"topic":"NAME-a","partition":9}`)
		plan("move", `{"topic":"NAME-a","partition":0,"replicas":[2,3]},{"topic":"NAME-a","partition":2,"replicas":[2,1]}`)
		plan("one", `{"topic":"NAME-a","partition":3,"replicas":[1,2]}`)
		plan("grow", `{"topic":"NAME-a","partition":0,"replicas":[2,3,1]}`)
		plan("dir", `{"topic":"NAME-a","partition":1,"replicas":[2,1],"log_dirs":["any","DIR1"]}`)
		plan("baddir", `{"topic":"NAME-a","partition":1,"replicas":[2,1],"log_dirs":["any","/nonexistent"]}`)
		plan("stranger", `{"topic":"NAME-a","partition":0,"replicas":[2,9]}`)
		plan("unknown", `{"topic":"NAME-none","partition":0,"replicas":[1]}`)
		plan("beyond", `{"topic":"NAME-a","partition":8,"replicas":[1]},{"topic":"NAME-a","partition":7,"replicas":[1]}`)
		plan("twice", `{"topic":"NAME-a","partition":0,"replicas":[1,1]}`)
		plan("empty", ``)
		write(t, filepath.Join(p.tmp, name+"-topics.json"), fmt.Sprintf(`{"version":1,"topics":[{"topic":"%s-a"}]}`, name))
		write(t, filepath.Join(p.tmp, name+"-notopic.json"), fmt.Sprintf(`{"version":1,"topics":[{"topic":"%s-none"}]}`, name))
	}
}
