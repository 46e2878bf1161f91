package sim

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"
)

var (
	seeds = flag.Int("sim.seeds", 0, "how many worlds to simulate")
	first = flag.Uint64("sim.seed", 0, "the first one; with -sim.seeds=1 its trace is printed with -sim.trace")
	nodes = flag.Int("sim.nodes", 0, "how many nodes there are")
	kinds = flag.String("sim.faults", "", "only these kinds of faults, separated by commas")
	loses = flag.Int("sim.power", -1, "0: no machine loses power; 1: any does, with flushes; 2: one at a time, without")
	trace = flag.Bool("sim.trace", false, "print everything that happens")
)

func run(t *testing.T, seed uint64, o Options) Result {
	cryptotest.SetGlobalRandom(t, seed)
	return Run(seed, o)
}

// ciTime is for how long TestSeeds simulates when nobody says how much, and ciSeeds how many worlds at most.
const (
	ciTime  = 50 * time.Second
	ciSeeds = 400
)

// TestSeedsThatFailed replays worlds in which something was found that other tests do not find.
func TestSeedsThatFailed(t *testing.T) {
	for _, seed := range []uint64{1105} {
		if r := run(t, seed, focus(t, RandomOptions(seed))); r.Err != nil {
			t.Errorf("seed %d: %v", seed, r.Err)
		}
	}
}

// TestSeeds simulates worlds, each with other faults. A seed that fails is printed; -sim.seed and -sim.seeds=1 replay it.
func TestSeeds(t *testing.T) {
	n, until := *seeds, time.Time{}
	if n == 0 {
		n, until = ciSeeds, time.Now().Add(ciTime)
	}
	if testing.Short() {
		n = min(n, 30)
	}
	for i := range n {
		if !until.IsZero() && time.Now().After(until) {
			t.Logf("%d worlds of %d in %v", i, n, ciTime)
			return
		}
		seed := *first + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			o := focus(t, RandomOptions(seed))
			if *trace {
				o.Trace = os.Stdout
			}
			r := run(t, seed, o)
			if r.Err != nil {
				t.Errorf("seed %d: %v\n\t%v\n\tagain: go test ./test/sim -run TestSeeds -sim.seeds=1 -sim.seed=%d -sim.trace", seed, r.Err, r, seed)
			} else if testing.Verbose() {
				t.Log(r)
			}
		})
	}
}

// focus narrows a world down to what the flags say.
func focus(t *testing.T, o Options) Options {
	if *nodes > 0 {
		o.Nodes = *nodes
		o.Replicas, o.MinISR = min(o.Replicas, *nodes), min(o.MinISR, *nodes)
	}
	if *loses >= 0 {
		o.Power = power(*loses)
	}
	if o.Power == powerLost {
		o.MinISR = min(2, o.Replicas)
	}
	if *kinds == "" {
		return o
	}
	o.Kinds = nil
	for name := range strings.SplitSeq(*kinds, ",") {
		i := slices.Index(faultNames[:], name)
		if i < 0 {
			t.Fatalf("no such fault: %q; there are %q", name, faultNames)
		}
		o.Kinds = append(o.Kinds, fault(i))
	}
	return o
}

// TestSameSeedSameTrace simulates some worlds twice.
func TestSameSeedSameTrace(t *testing.T) {
	for seed := range uint64(5) {
		o := RandomOptions(seed)
		a, b := run(t, seed, o), run(t, seed, o)
		if a.Hash != b.Hash || a.Events != b.Events {
			t.Errorf("seed %d: first %v, then %v", seed, a, b)
		}
	}
}
