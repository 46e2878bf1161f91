package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var mutants = flag.Int("sim.mutants", 0, "in how many worlds each mutation of the program has to be found; 0: leave them out")

// mutation is a mistake that somebody could make. The checkers have to find it, in worlds that ask for it.
type mutation struct {
	name     string
	file     string // below internal
	old, new string // old is there exactly once
	args     string // of the simulation, besides the number of worlds; separated by "; "
}

// Three mistakes were tried and not found in a thousand worlds. A voter that lost its disk and does not join above a leader
// of its own epoch (raft.Engine.tickJoining) was found by another mix of faults than today's; that takes an election in the
// very moment in which it joins. A voter that forgets its vote in a restart does no harm but
// when two voters ask for votes in the same epoch, which pre-votes and their order all but rule out. A follower that is
// taken into the ISR without the end of the last leader's epoch is kept out by the high watermark as well, unless the
// leader has just been elected.
var mutations = []mutation{
	{"acknowledge before the ISR has it", "replica/leader.go",
		"if ld.inMaximal(id) ||", "if false &&", ""},
	{"count only the ISR, not who is about to be in it", "replica/leader.go",
		"|| ld.proposed != nil && slices.Contains(ld.proposed.isr, id)", "", ""},
	{"an offset's commit acknowledges whatever epoch it was written in", "replica/append.go",
		"ld.epoch != epoch", "false", "-sim.faults=isolate,pause,elect"},
	{"never tell a follower that its log diverges", "replica/read.go",
		"if found < epoch || end < offset {", "if false {", ""},
	{"a broker that comes back stays in the ISR", "controller/registration.go",
		"records = m.withoutUnclean(e, req.BrokerID)", "", ""},
	{"elect any replica", "controller/partitionchange.go",
		"return (slices.Contains(c.isr, id) || len(c.isr) == 0 && slices.Contains(c.elr, id)) && c.canLead(id)", "return c.canLead(id)", ""},
	{"take a change of an ISR that builds on an old one", "controller/alterpartition.go",
		"case want.PartitionEpoch < p.PartitionEpoch:", "case false:", "-sim.faults=one way,pause,isolate,reassign"},
	{"promise before it is durable", "journal/raft/send.go",
		"if promises(m.GetType()) != promising {", "if promising {", "-sim.power=1; -sim.faults=fuse,demote"},
	{"do not sync the metadata log", "journal/raft/metalog.go",
		"if err := seg.log.Sync(); err != nil {", "if err := error(nil); err != nil {", "-sim.power=1; -sim.faults=power,fuse,all down"},
	{"write the same batch twice", "log/append.go",
		"if err != nil || !b.HasProducerID() {", "if err != nil || true {", ""},
	{"do not sync a partition's log", "log/segment.go",
		"if err := f.Sync(); err != nil || !sealed {", "if err := error(nil); err != nil || !sealed {", "-sim.power=1; -sim.faults=power,fuse,all down"},

	// What the simulation found, undone.
	{"found: leave what a crash left in memory there", "log/flush.go",
		"if end := l.EndOffset(); n != math.MaxInt64", "if end := l.EndOffset(); false", "-sim.nodes=1; -sim.power=1; -sim.faults=fuse,power"},
	{"found: send the entry of a term that ended in the same turn", "journal/raft/send.go",
		"if i < e.log.first || i > e.log.lastIndex() || uint64(e.log.at(i).epoch) != entry.GetTerm() {", "if false {", "-sim.faults=demote,hand over,kill"},
	{"found: do not ask again when the connection breaks", "replica/fetcher.go",
		"if d.state == fetchAskEnd || d.state == fetchAskStart {", "if d.state == fetchAskStart {", "-sim.power=2; -sim.faults=wipe,retention,one way"},
	{"found: leave the replicas of a replaced disk offline", "replica/manager.go",
		"if errors.Is(err, log.ErrDirOffline) && len(m.o.Dirs.Offline()) == 0 {", "if false {", "-sim.power=2; -sim.faults=wipe"},
}

// TestMutants builds the simulation with one mistake at a time and looks whether it is found. It takes minutes.
func TestMutants(t *testing.T) {
	if *mutants == 0 {
		t.Skip("needs -sim.mutants=N")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutations {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			out := mutated(t, root, m)
			found := regexp.MustCompile(`seed \d+: .*|panic: .*`).FindString(out)
			if found == "" {
				t.Fatalf("not found in %d worlds:\n%s", *mutants, out)
			}
			t.Log(found)
		})
	}
}

// mutated runs the simulation with a mistake, and returns what it says.
func mutated(t *testing.T, root string, m mutation) string {
	path := filepath.Join(root, "internal", m.file)
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), m.old); n != 1 {
		t.Fatalf("%s has this %d times, so the mutation does not fit any more: %s", m.file, n, m.old)
	}
	dir := t.TempDir()
	mutant := filepath.Join(dir, "mutant.go")
	if err := os.WriteFile(mutant, []byte(strings.Replace(string(source), m.old, m.new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: mutant}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"test", "-vet=off", "-overlay", file, "-run", "TestSeeds", "-failfast", "./test/sim", fmt.Sprintf("-sim.seeds=%d", *mutants)}
	if m.args != "" {
		args = append(args, strings.Split(m.args, "; ")...)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil && !strings.Contains(string(out), "TestSeeds") {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}
