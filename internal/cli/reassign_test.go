package cli

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gregor/internal/placement"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// A plan keeps every partition and its number of replicas, uses only the brokers it may, and is even.
func TestProposedAssignment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		current := assignment{}
		topics := rapid.IntRange(1, 3).Draw(t, "topics")
		most := 0
		for i := range topics {
			replicas := rapid.IntRange(1, 3).Draw(t, "replicas")
			most = max(most, replicas)
			for p := range int32(rapid.IntRange(1, 12).Draw(t, "partitions")) {
				current[topicPartition{string(rune('a' + i)), p}] = make([]int32, replicas)
			}
		}
		var brokers []placement.Broker
		n := rapid.IntRange(1, 6).Draw(t, "brokers")
		for id := range int32(n) {
			brokers = append(brokers, placement.Broker{ID: 10 + id})
		}
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		proposed, err := proposeAssignment(current, brokers, rnd.IntN)
		if most > n {
			if err == nil || !strings.HasPrefix(err.Error(), "The target replication factor of ") || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%d replicas on %d brokers: %v", most, n, err)
			}
			return
		}
		if err != nil || len(proposed) != len(current) {
			t.Fatalf("%d of %d partitions: %v", len(proposed), len(current), err)
		}
		leads := map[string]map[int32]int{}
		for tp, replicas := range proposed {
			if len(replicas) != len(current[tp]) || duplicates(replicas) != nil {
				t.Fatalf("%s had %d replicas and gets %v", tp, len(current[tp]), replicas)
			}
			for _, id := range replicas {
				if id < 10 || id >= 10+int32(n) {
					t.Fatalf("%s goes to %v", tp, replicas)
				}
			}
			if leads[tp.Topic] == nil {
				leads[tp.Topic] = map[int32]int{}
			}
			leads[tp.Topic][replicas[0]]++
		}
		for topic, counts := range leads {
			total := 0
			for _, c := range counts {
				total += c
			}
			for id, c := range counts {
				// Two rounds can meet at a shuffle.
				if c > total/n+2 {
					t.Fatalf("broker %d leads %d of %d partitions of %s among %d brokers", id, c, total, topic, n)
				}
			}
		}
	})
}

func TestParseReassignment(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"empty", `{"version":1,"partitions":[]}`, "Partition reassignment list cannot be empty"},
		{"no list", `{}`, "Partition reassignment list cannot be empty"},
		{"another version", `{"version":3,"partitions":[]}`, "Not supported version field value 3"},
		{"no replicas", `{"partitions":[{"topic":"a","partition":0,"replicas":[]}]}`, "Partition replica list cannot be empty"},
		{"a replica twice", `{"partitions":[{"topic":"a","partition":0,"replicas":[1,1]},{"topic":"a","partition":1,"replicas":[2,2,3,3]}]}`,
			"Partition replica lists may not contain duplicate entries: a-0 contains multiple entries for 1. a-1 contains multiple entries for 2,3"},
		{"a partition twice", `{"partitions":[{"topic":"a","partition":0,"replicas":[1]},{"topic":"a","partition":0,"replicas":[2]}]}`,
			"Partition reassignment contains duplicate topic partitions: a-0"},
		{"too few directories", `{"partitions":[{"topic":"a","partition":0,"replicas":[1,2],"log_dirs":["any"]}]}`,
			"Size of replicas list [1, 2] is different from size of log dirs list [any] for partition a-0"},
		{"no partition", `{"partitions":[{"topic":"a","replicas":[1]}]}`, "No such field exists: `partition`"},
		{"a word for a number", `{"partitions":[{"topic":"a","partition":"b","replicas":[1]}]}`, "Expected `Integer` value, received \"b\""},
		{"a fraction", `{"partitions":[{"topic":"a","partition":0.5,"replicas":[1]}]}`, "Expected `Integer` value, received 0.5"},
		{"too large", `{"partitions":[{"topic":"a","partition":4294967296,"replicas":[1]}]}`, "Expected `Integer` value, received 4294967296"},
		{"a number for a topic", `{"partitions":[{"topic":7,"partition":0,"replicas":[1]}]}`, "Expected `String` value, received 7"},
		{"a list", `[]`, "Expected JSON object, received []"},
		{"an object for a list", `{"partitions":{}}`, "Expected JSON array, received {}"},
		{"cut off", "{\"version\":1,\n\"partitions\":[", "The input string is not a valid JSON: line 2: unexpected EOF"},
		{"two values", `{} {}`, "The input string is not a valid JSON: line 1: there is more after the first value"},
		{"good", `{"partitions":[{"topic":"b","partition":1,"replicas":[2,1],"log_dirs":["any","/d"]},{"topic":"a","partition":0,"replicas":[3]}]}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			file, err := parseJSON([]byte(test.text))
			var plan *reassignment
			if err == nil {
				plan, err = parseReassignment(file)
			}
			if err == nil {
				err = plan.check()
			}
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Fatalf("%q, want %q", got, test.want)
			}
			if err != nil {
				return
			}
			if join(plan.names(), " ") != "a-0 b-1" || len(plan.moves) != 1 || plan.moves[topicReplica{topicPartition{"b", 1}, 1}] != "/d" {
				t.Errorf("%v moves %v", plan.names(), plan.moves)
			}
		})
	}
}

// The file that is written is the one that Kafka's tool writes, and is read again.
func TestPlanFile(t *testing.T) {
	a := assignment{{"b", 0}: {3, 1}, {"a", 10}: {1}, {"a", 9}: {2}}
	text := jsonText(a.file(map[topicReplica]string{{topicPartition{"b", 0}, 1}: "/x&y"}))
	want := `{"version":1,"partitions":[{"topic":"a","partition":9,"replicas":[2],"log_dirs":["any"]},{"topic":"a","partition":10,"replicas":[1],"log_dirs":["any"]},{"topic":"b","partition":0,"replicas":[3,1],"log_dirs":["any","/x&y"]}]}`
	if text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	file, err := parseJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if plan, err := parseReassignment(file); err != nil || plan.check() != nil || jsonText(plan.assignment().file(plan.moves)) != want {
		t.Errorf("read again: %v, %v", plan, err)
	}
	if got := jsonText(assignment{}.file(nil)); got != `{"version":1,"partitions":[]}` {
		t.Error(got)
	}
}

// A partition that is new to the plan is read from where it is; one that moves already, from where it moves from.
func TestThrottledReplicas(t *testing.T) {
	running := map[topicPartition]kmsg.ListPartitionReassignmentsResponseTopicPartition{
		{"a", 0}: {Replicas: []int32{4, 1, 2}, AddingReplicas: []int32{4}, RemovingReplicas: []int32{2}},
		{"c", 0}: {Replicas: []int32{5, 6}, AddingReplicas: []int32{6}},
	}
	proposed := assignment{{"a", 0}: {1, 3}, {"b", 10}: {2, 3}, {"b", 2}: {1}}
	current := assignment{{"a", 0}: {4, 1, 2}, {"b", 10}: {1, 2}, {"b", 2}: {1}}
	leaders, followers := throttledReplicas(movesOf(running, proposed, current))
	for topic, want := range map[string][2]string{
		"a": {"0:1,0:2", "0:3"},
		"b": {"10:1,10:2,2:1", "10:3"}, // Kafka sorts them as text
		"c": {"0:5", "0:6"},
	} {
		if leaders[topic] != want[0] || followers[topic] != want[1] {
			t.Errorf("%s: leaders %q, followers %q, want %q", topic, leaders[topic], followers[topic], want)
		}
	}
}

func TestReassignmentLines(t *testing.T) {
	tp := topicPartition{"a", 1}
	for want, line := range map[string]any{
		"Reassignment of partition a-1 is completed.":                                                                         partitionState{tp, true, []int32{1, 2}, []int32{1, 2}},
		"Reassignment of partition a-1 is still in progress.":                                                                 partitionState{tp, false, []int32{1, 2}, []int32{1, 2}},
		"There is no active reassignment of partition a-1, but replica set is 2,1 rather than 1,2.":                           partitionState{tp, true, []int32{2, 1}, []int32{1, 2}},
		"There is no active reassignment of partition a-1, but replica set is  rather than 1.":                                partitionState{tp, true, nil, []int32{1}},
		"a-1: replicas: 1,2,3. adding: 3. removing: 1.":                                                                       runningReassignment{tp, []int32{1, 2, 3}, []int32{3}, []int32{1}},
		"a-1: replicas: 1,2. adding: 2.":                                                                                      runningReassignment{tp, []int32{1, 2}, []int32{2}, nil},
		"Reassignment of replica a-1-7 completed successfully.":                                                               moveState{tp, 7, moveCompleted, "/x", "", "/x"},
		"Reassignment of replica a-1-7 is still in progress.":                                                                 moveState{tp, 7, moveActive, "/x", "/y", "/y"},
		"Partition a-1 on broker 7 is being moved to log dir /z instead of /y.":                                               moveState{tp, 7, moveElsewhere, "/x", "/z", "/y"},
		"Partition a-1 on broker 7 is not being moved from log dir /x to /y.":                                                 moveState{tp, 7, moveCancelled, "/x", "", "/y"},
		"Partition a-1 cannot be found in any live log directory on broker 7.":                                                moveState{tp, 7, moveMissingReplica, "", "", "/y"},
		"Partition a-1 is not found in any live log dir on broker 7. There is likely an offline log directory on the broker.": moveState{tp, 7, moveMissingDir, "", "", "/y"},
	} {
		if got := line.(interface{ String() string }).String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestReassignOptions(t *testing.T) {
	for line, want := range map[string]string{
		"--list":                                 "Please specify either --bootstrap-server or --bootstrap-controller",
		"--bootstrap-server a:1":                 "Command must include exactly one action: --generate, --execute, --verify, --cancel, --list",
		"--bootstrap-server a:1 --list --cancel": "Command must include exactly one action: --generate, --execute, --verify, --cancel, --list",
		"--bootstrap-server a:1 --bootstrap-controller b:1 --list":                "Please don't specify both --bootstrap-server and --bootstrap-controller",
		"--bootstrap-server a:1 --generate --broker-list 1":                       `Missing required argument "[topics-to-move-json-file]"`,
		"--bootstrap-server a:1 --verify":                                         `Missing required argument "[reassignment-json-file]"`,
		"--bootstrap-server a:1 --list --throttle 7":                              `Option "[throttle]" can't be used with action "[list]"`,
		"--bootstrap-controller a:1 --execute --reassignment-json-file f":         `Option "[bootstrap-controller]" can't be used with action "[execute]"`,
		"--bootstrap-server a:1 --cancel --reassignment-json-file f --additional": `Option "[additional]" can't be used with action "[cancel]"`,
	} {
		var out, errs bytes.Buffer
		code := reassignCommand().Exec(t.Context(), strings.Fields(line), IO{strings.NewReader(""), &out, &errs})
		if first, _, _ := strings.Cut(errs.String(), "\n"); code != 1 || first != want {
			t.Errorf("%s: code %d, %q, want %q", line, code, first, want)
		}
	}
}

func TestDuplicates(t *testing.T) {
	if got := duplicates([]int{1, 2, 1, 3, 2, 1}); !slices.Equal(got, []int{1, 2}) {
		t.Error(got)
	}
}
