package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// reassignment is a plan: which brokers shall have which partitions, in the order of the file.
type reassignment struct {
	partitions []assignedPartition
	moves      map[topicReplica]string // replicas that shall be in a certain log directory
}

// assignedPartition is an element of the plan's JSON.
type assignedPartition struct {
	topicPartition
	Replicas []int32  `json:"replicas"` // the preferred leader first
	LogDirs  []string `json:"log_dirs"` // one for each replica; anyDir leaves it to the broker
}

// anyDir is a log directory of the broker's choice.
const anyDir = "any"

// topicReplica names one replica of a partition.
type topicReplica struct {
	topicPartition
	broker int32
}

func (r topicReplica) String() string { return fmt.Sprintf("%s-%d", r.topicPartition, r.broker) }

func compareReplicas(a, b topicReplica) int {
	return cmp.Or(cmp.Compare(a.broker, b.broker), comparePartitions(a.topicPartition, b.topicPartition))
}

func sortedReplicas[V any](m map[topicReplica]V) []topicReplica {
	keys := make([]topicReplica, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareReplicas)
	return keys
}

func readReassignment(path string) (*reassignment, error) {
	file, err := readJSON(path)
	if err != nil {
		return nil, err
	}
	return parseReassignment(file)
}

func parseReassignment(file jsonObject) (*reassignment, error) {
	if err := file.version(); err != nil {
		return nil, err
	}
	items, err := file.objects("partitions")
	if err != nil {
		return nil, err
	}
	plan := &reassignment{moves: map[topicReplica]string{}}
	for _, item := range items {
		p, err := parseAssignedPartition(item)
		if err != nil {
			return nil, err
		}
		plan.partitions = append(plan.partitions, p)
		for i, dir := range p.LogDirs {
			if dir != anyDir {
				plan.moves[topicReplica{p.topicPartition, p.Replicas[i]}] = dir
			}
		}
	}
	return plan, nil
}

func parseAssignedPartition(item jsonObject) (p assignedPartition, err error) {
	if p.Topic, err = item.text("topic"); err != nil {
		return p, err
	}
	if p.Partition, err = item.int("partition"); err != nil {
		return p, err
	}
	replicas, err := item.field("replicas")
	if err != nil {
		return p, err
	}
	if p.Replicas, err = listOf(replicas, asInt); err != nil {
		return p, err
	}
	dirs, ok := item["log_dirs"]
	if !ok {
		p.LogDirs = slices.Repeat([]string{anyDir}, len(p.Replicas))
		return p, nil
	}
	if p.LogDirs, err = listOf(dirs, asText); err != nil {
		return p, err
	}
	if len(p.LogDirs) != len(p.Replicas) {
		return p, fmt.Errorf("Size of replicas list [%s] is different from size of log dirs list [%s] for partition %s",
			joinInts(p.Replicas, ", "), strings.Join(p.LogDirs, ", "), p.topicPartition)
	}
	return p, nil
}

// check refuses what cannot be executed.
func (plan *reassignment) check() error {
	if len(plan.partitions) == 0 {
		return errors.New("Partition reassignment list cannot be empty")
	}
	var repeated []string
	for _, p := range plan.partitions {
		if len(p.Replicas) == 0 {
			return errors.New("Partition replica list cannot be empty")
		}
		if twice := duplicates(p.Replicas); twice != nil {
			repeated = append(repeated, fmt.Sprintf("%s contains multiple entries for %s", p.topicPartition, joinInts(twice, ",")))
		}
	}
	if twice := duplicates(plan.names()); twice != nil {
		return fmt.Errorf("Partition reassignment contains duplicate topic partitions: %s", join(twice, ","))
	}
	if repeated != nil {
		return fmt.Errorf("Partition replica lists may not contain duplicate entries: %s", strings.Join(repeated, ". "))
	}
	return nil
}

// names are the plan's partitions, in order of topic and id.
func (plan *reassignment) names() []topicPartition {
	var names []topicPartition
	for _, p := range plan.partitions {
		names = append(names, p.topicPartition)
	}
	slices.SortFunc(names, comparePartitions)
	return names
}

func (plan *reassignment) topics() []string {
	var topics []string
	for _, p := range plan.names() {
		topics = append(topics, p.Topic)
	}
	return slices.Compact(topics)
}

// assignment is which brokers have which partitions.
type assignment map[topicPartition][]int32

func (plan *reassignment) assignment() assignment {
	a := assignment{}
	for _, p := range plan.partitions {
		a[p.topicPartition] = p.Replicas
	}
	return a
}

// planFile is the JSON of an assignment, as --reassignment-json-file wants it.
type planFile struct {
	Version    int                 `json:"version"`
	Partitions []assignedPartition `json:"partitions"`
}

// file writes an assignment down, with the log directories that are known.
func (a assignment) file(dirs map[topicReplica]string) planFile {
	file := planFile{1, []assignedPartition{}}
	for _, tp := range sortedKeys(a) {
		p := assignedPartition{tp, a[tp], make([]string, len(a[tp]))}
		for i, broker := range a[tp] {
			p.LogDirs[i] = cmp.Or(dirs[topicReplica{tp, broker}], anyDir)
		}
		file.Partitions = append(file.Partitions, p)
	}
	return file
}
