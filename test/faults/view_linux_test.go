package faults

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// view is what a reader with read_committed has seen of the output and of the accounts.
type view struct {
	next     [partitions]int64 // of the output: the number that comes next
	copies   map[string]int    // attempt -> its records
	moves    map[string][]int  // transfer -> its amounts
	balances [partitions]int   // of the transfers that were seen whole
	offsets  map[string]int64  // topic-partition -> the last offset
	pending  map[string]move   // transfers of which one record was seen
}

type move struct {
	account int32
	amount  int
}

func newView() view {
	return view{copies: map[string]int{}, moves: map[string][]int{}, offsets: map[string]int64{}, pending: map[string]move{}}
}

// add takes the next record. The output must be the input, in its order, without a gap and without a repetition.
func (v *view) add(r *kgo.Record) error {
	n, err := strconv.ParseInt(string(r.Value), 10, 64)
	if err != nil {
		return fmt.Errorf("a record that nobody wrote: %q", r.Value)
	}
	place, name := fmt.Sprintf("%s-%d", r.Topic, r.Partition), string(r.Key)
	if last, ok := v.offsets[place]; ok && r.Offset <= last {
		return fmt.Errorf("%s: offset %d comes after %d", place, r.Offset, last)
	}
	v.offsets[place] = r.Offset
	if r.Topic == outputTopic {
		want := v.next[r.Partition]
		v.next[r.Partition] = n + 1
		v.copies[name]++
		if n != want {
			return fmt.Errorf("%s: %d of %s at offset %d, where %d should be", place, n, name, r.Offset, want)
		}
		return nil
	}
	if v.moves[name] = append(v.moves[name], int(n)); len(v.moves[name]) > 2 {
		return fmt.Errorf("%s: transfer %s has the records %v", place, name, v.moves[name])
	}
	if first, ok := v.pending[name]; ok {
		delete(v.pending, name)
		v.balances[first.account] += first.amount
		v.balances[r.Partition] += int(n)
		if sum := v.sum(); sum != 0 {
			return fmt.Errorf("%s: after transfer %s all accounts together have %d", place, name, sum)
		}
		return nil
	}
	v.pending[name] = move{r.Partition, int(n)}
	return nil
}

func (v *view) sum() (n int) {
	for _, b := range v.balances {
		n += b
	}
	return n
}

// missing is one of the attempts that was not seen, or not whole; empty if there is none. Copies are whole if the output is.
func (v *view) missing(names []string) string {
	for _, name := range names {
		if v.copies[name] == 0 && len(v.moves[name]) < 2 {
			return name
		}
	}
	return ""
}

// holdAgainst compares with what came of the attempts.
func (v *view) holdAgainst(t testing.TB, outcomes map[string]outcome) {
	t.Helper()
	for name, o := range outcomes {
		seen := v.copies[name] + len(v.moves[name])
		if o == aborted && seen > 0 {
			t.Errorf("%d records of %s are visible, which was aborted", seen, name)
		}
		if o == committed && v.missing([]string{name}) != "" {
			t.Errorf("%s was committed, and %d of its records are visible", name, seen)
		}
	}
	for _, names := range []map[string]int{v.copies, lengths(v.moves)} {
		for name := range names {
			if _, ok := outcomes[name]; !ok {
				t.Errorf("records of %q are visible, which nobody began", name)
			}
		}
	}
}

// holdWhole wants no half of a transfer, and nobody richer than all were before.
func (v *view) holdWhole(t testing.TB) {
	t.Helper()
	for name, m := range v.pending {
		t.Errorf("half of transfer %s is visible: %d", name, m.amount)
	}
	if sum := v.sum(); sum != 0 {
		t.Errorf("all accounts together have %d", sum)
	}
}

func lengths(m map[string][]int) map[string]int {
	n := map[string]int{}
	for k, v := range m {
		n[k] = len(v)
	}
	return n
}
