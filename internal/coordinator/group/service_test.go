package group

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// slowLog is a log that cannot be read yet, or fails.
type slowLog struct {
	endlessLog
	reads   chan struct{}
	refuses bool
}

func (l *slowLog) Read(int64, int) ([]byte, error) { <-l.reads; return nil, nil }

func (l *slowLog) Append(epoch int32, b []byte) (int64, error) {
	if l.refuses {
		return 0, errors.New("not enough replicas")
	}
	return l.endlessLog.Append(epoch, b)
}

// answer runs a request and returns its reply, which must come without time going by.
func answer[Q any, R any](t *testing.T, ask func(Caller, Q, func(R)), version int16, req Q) R {
	t.Helper()
	var got R
	done := false
	ask(Caller{ClientID: "c", ClientHost: "/10.0.0.1", Version: version}, req, func(r R) { got, done = r, true })
	synctest.Wait()
	if !done {
		t.Fatalf("%T was not answered", req)
	}
	return got
}

func TestServiceSpeaksForItsPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewService(Options{})
		defer s.Close()
		s.SetPartitions(3)
		groups := []string{"a", "b", "c", "d", "e"} // of partitions 1, 2, 0, 1, 2
		s.Elected(1, 1, &endlessLog{})
		s.Elected(2, 1, &endlessLog{})
		synctest.Wait()
		commit := func(g string) int16 {
			req := commitEvent(1).Request.(*kmsg.OffsetCommitRequest)
			req.Group = g
			return answer(t, s.OffsetCommit, 9, req).Topics[0].Partitions[0].ErrorCode
		}
		for _, g := range groups {
			want := int16(0)
			if s.PartitionFor(g) == 0 {
				want = kerr.NotCoordinator.Code
			}
			if got := commit(g); got != want {
				t.Errorf("commit of %s: error %d, want %d", g, got, want)
			}
		}
		list := answer(t, s.ListGroups, 5, kmsg.NewPtrListGroupsRequest())
		var listed []string
		for _, g := range list.Groups {
			listed = append(listed, g.Group)
		}
		slices.Sort(listed)
		if want := []string{"a", "b", "d", "e"}; list.ErrorCode != 0 || !slices.Equal(listed, want) {
			t.Errorf("list: error %d, %q, want %q", list.ErrorCode, listed, want)
		}
		fetch := kmsg.NewPtrOffsetFetchRequest()
		for _, g := range groups {
			q := kmsg.NewOffsetFetchRequestGroup()
			q.Group = g
			fetch.Groups = append(fetch.Groups, q)
		}
		for i, g := range answer(t, s.OffsetFetch, 8, fetch).Groups {
			want := int16(0)
			if groups[i] == "c" {
				want = kerr.NotCoordinator.Code
			}
			if g.Group != groups[i] || g.ErrorCode != want || want == 0 && len(g.Topics) != 1 {
				t.Errorf("fetch of %s: %+v", groups[i], g)
			}
		}
		describe := kmsg.NewPtrDescribeGroupsRequest()
		describe.Groups = groups
		for i, g := range answer(t, s.DescribeGroups, 5, describe).Groups {
			if g.Group != groups[i] || (g.ErrorCode == kerr.NotCoordinator.Code) != (groups[i] == "c") {
				t.Errorf("describe of %s: %+v", groups[i], g)
			}
		}
		s.OnTopicsDeleted([]string{"a-topic-with-a-name"})
		synctest.Wait()
		for _, g := range answer(t, s.OffsetFetch, 8, fetch).Groups {
			if len(g.Topics) != 0 {
				t.Errorf("offsets of a deleted topic: %+v", g)
			}
		}
		del := kmsg.NewPtrDeleteGroupsRequest()
		del.Groups = []string{"a", "b", "a", "c", "none"}
		deleted := answer(t, s.DeleteGroups, 2, del).Groups
		codes := map[string]int16{}
		for _, g := range deleted {
			codes[g.Group] = g.ErrorCode
		}
		if len(deleted) != 4 || codes["a"] != 0 || codes["b"] != 0 || codes["c"] != kerr.NotCoordinator.Code || codes["none"] == 0 {
			t.Errorf("delete: %+v", deleted)
		}
		s.Resigned(2, 1)
		if got := commit("b"); got != kerr.NotCoordinator.Code {
			t.Errorf("commit after resignation: error %d", got)
		}
	})
}

func TestServiceWhileLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewService(Options{})
		defer s.Close()
		s.SetPartitions(1)
		l := &slowLog{reads: make(chan struct{})}
		l.end = 1
		s.Elected(0, 1, l)
		synctest.Wait()
		loading := kerr.CoordinatorLoadInProgress.Code
		if r := answer(t, s.ListGroups, 5, kmsg.NewPtrListGroupsRequest()); r.ErrorCode != loading {
			t.Errorf("list: error %d", r.ErrorCode)
		}
		join := kmsg.NewPtrJoinGroupRequest()
		join.Group, join.SessionTimeoutMillis = "g", 10_000
		if r := answer(t, s.JoinGroup, 9, join); r.ErrorCode != loading {
			t.Errorf("join: error %d", r.ErrorCode)
		}
		beat := kmsg.NewPtrHeartbeatRequest()
		beat.Group, beat.MemberID = "g", "m"
		if r := answer(t, s.Heartbeat, 4, beat); r.ErrorCode != 0 {
			t.Errorf("heartbeat: error %d, want none: nobody's session ends meanwhile", r.ErrorCode)
		}
		del := kmsg.NewPtrOffsetDeleteRequest()
		del.Group = "g"
		if r := answer(t, s.OffsetDelete, 0, del); r.ErrorCode != loading {
			t.Errorf("offset delete: error %d", r.ErrorCode)
		}
		close(l.reads)
		synctest.Wait()
		if r := answer(t, s.Heartbeat, 4, beat); r.ErrorCode != kerr.UnknownMemberID.Code {
			t.Errorf("heartbeat: error %d", r.ErrorCode)
		}
	})
}

func TestServiceWhenTheLogRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewService(Options{})
		defer s.Close()
		s.SetPartitions(1)
		l := &slowLog{refuses: true}
		s.Elected(0, 1, l)
		synctest.Wait()
		req := commitEvent(1).Request.(*kmsg.OffsetCommitRequest)
		if got := answer(t, s.OffsetCommit, 9, req).Topics[0].Partitions[0].ErrorCode; got != kerr.CoordinatorNotAvailable.Code {
			t.Errorf("commit: error %d", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		leave := kmsg.NewPtrLeaveGroupRequest()
		leave.Group, leave.MemberID = "g", "m"
		if r := answer(t, s.LeaveGroup, 1, leave); r.ErrorCode != kerr.UnknownMemberID.Code || r.Members != nil {
			t.Errorf("leave of version 1: %+v", r)
		}
	})
}

// TestServiceEndsWaitingRequests: a member that waits for others is not left behind when the coordinator goes.
func TestServiceEndsWaitingRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewService(Options{})
		s.SetPartitions(1)
		s.Elected(0, 1, &endlessLog{})
		synctest.Wait()
		got := int16(-1)
		s.JoinGroup(Caller{ClientID: "c", Version: 3}, benchJoin(""), func(r *kmsg.JoinGroupResponse) { got = r.ErrorCode })
		synctest.Wait()
		if got != -1 {
			t.Fatalf("join: error %d before the delay is over", got)
		}
		s.Close()
		if got != kerr.NotCoordinator.Code {
			t.Errorf("join: error %d", got)
		}
	})
}

// TestServiceAnswersOnce asks for the same again and again: what is short to ask and long to answer is answered once.
func TestServiceAnswersOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewService(Options{})
		defer s.Close()
		s.SetPartitions(1)
		s.Elected(0, 1, &endlessLog{})
		synctest.Wait()
		commit := commitEvent(1).Request.(*kmsg.OffsetCommitRequest)
		topic := &commit.Topics[0]
		said := strings.Repeat("m", 4000)
		topic.Partitions[0].Metadata = &said
		if got := answer(t, s.OffsetCommit, 9, commit).Topics[0].Partitions[0].ErrorCode; got != 0 {
			t.Fatalf("commit: error %d", got)
		}
		describe := kmsg.NewPtrDescribeGroupsRequest()
		describe.Groups = []string{commit.Group, "other", commit.Group}
		if got := answer(t, s.DescribeGroups, 5, describe).Groups; len(got) != 2 || got[0].Group != commit.Group || got[1].Group != "other" {
			t.Errorf("describe: %+v", got)
		}
		all, named := kmsg.NewOffsetFetchRequestGroup(), kmsg.NewOffsetFetchRequestGroup()
		all.Group, named.Group = commit.Group, commit.Group
		of := kmsg.NewOffsetFetchRequestGroupTopic()
		of.Topic, of.TopicID = topic.Topic, topic.TopicID
		for range 100 {
			of.Partitions = append(of.Partitions, topic.Partitions[0].Partition)
		}
		named.Topics = append(named.Topics, of)
		for _, asked := range [][]kmsg.OffsetFetchRequestGroup{slices.Repeat([]kmsg.OffsetFetchRequestGroup{all}, 100), {named}} {
			fetch := kmsg.NewPtrOffsetFetchRequest()
			fetch.Version, fetch.Groups = 8, asked
			got := answer(t, s.OffsetFetch, 8, fetch)
			if len(got.Groups) != len(asked) || len(got.Groups[0].Topics) != 1 || *got.Groups[0].Topics[0].Partitions[0].Metadata != said {
				t.Errorf("fetch: %+v", got)
			}
			got.SetVersion(8)
			if size := len(got.AppendTo(nil)); size > 3*len(said) {
				t.Errorf("the answer to 100 questions about one offset has %d bytes", size)
			}
		}
	})
}

// TestServiceJoinBounds joins with a name that leaves no room for a member's id, and with so many protocols that
// anything but time in proportion to them would hold the shard for minutes.
func TestServiceJoinBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewService(Options{})
		defer s.Close()
		s.SetPartitions(1)
		s.Elected(0, 1, &endlessLog{})
		synctest.Wait()
		join := func() *kmsg.JoinGroupRequest {
			req := kmsg.NewPtrJoinGroupRequest()
			req.Group, req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = "g", "consumer", 10_000, 10_000
			req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
			return req
		}
		for _, c := range []struct {
			length   int
			instance bool
			want     int16
		}{
			{1<<15 - 1, false, kerr.InvalidRequest.Code}, {1<<15 - 1, true, kerr.InvalidRequest.Code},
			{1<<15 - 1 - 36, false, kerr.InvalidRequest.Code}, {1<<15 - 1 - 37, false, kerr.MemberIDRequired.Code},
		} {
			req, name := join(), strings.Repeat("n", c.length)
			caller := Caller{ClientID: name, Version: 9}
			if c.instance {
				caller.ClientID, req.InstanceID = "c", &name
			}
			var got *kmsg.JoinGroupResponse
			s.JoinGroup(caller, req, func(r *kmsg.JoinGroupResponse) { got = r })
			synctest.Wait()
			if got == nil || got.ErrorCode != c.want || len(got.MemberID) > 1<<15-1 {
				t.Errorf("a name of %d bytes: %+v, want error %d", c.length, got, c.want)
			}
		}
	})
	const n = 300_000
	offered := make([]kmsg.JoinGroupRequestProtocol, n)
	for i := range offered {
		offered[i].Name = strconv.Itoa(n + i)
	}
	began := time.Now()
	if got := len(readProtocols(append(offered, offered[0]))); got != n {
		t.Errorf("%d protocols, want %d", got, n)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("reading the protocols took %s", took)
	}
}
