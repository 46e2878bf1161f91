package group

import (
	"sync"

	"gregor/internal/coordinator"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Requests about several groups are asked of each partition that keeps some of them, and the replies put together.

// part is what one partition is asked: the places in the request of the groups it keeps.
type part struct {
	partition int32
	at        []int
}

// divide says which partition is asked about which of n groups.
func (s *Service) divide(n int, group func(int) string) []part {
	var parts []part
	byPartition := map[int32]int{}
	for i := range n {
		p := s.PartitionFor(group(i))
		k, ok := byPartition[p]
		if !ok {
			k = len(parts)
			byPartition[p] = k
			parts = append(parts, part{partition: p})
		}
		parts[k].at = append(parts[k].at, i)
	}
	return parts
}

// spread submits one event a part. take gets each reply or error, one call at a time; done follows the last.
func (s *Service) spread(parts []part, event func(part) Event, take func(part, kmsg.Response, error), done func()) {
	if len(parts) == 0 {
		done()
		return
	}
	var mu sync.Mutex
	left := len(parts)
	for _, p := range parts {
		s.runtime.Submit(p.partition, event(p), func(r kmsg.Response, err error) {
			mu.Lock()
			take(p, r, err)
			left--
			last := left == 0
			mu.Unlock()
			if last {
				done()
			}
		})
	}
}

// OffsetFetch answers the groups of req.Groups; the caller converts versions before 8. Topics come by name, and with an
// id if the request was about ids; Topics nil asks for all.
func (s *Service) OffsetFetch(c Caller, req *kmsg.OffsetFetchRequest, done func(*kmsg.OffsetFetchResponse)) {
	r := kmsg.NewPtrOffsetFetchResponse()
	r.Groups = make([]kmsg.OffsetFetchResponseGroup, len(req.Groups))
	parts := s.divide(len(req.Groups), func(i int) string { return req.Groups[i].Group })
	s.spread(parts, func(p part) Event {
		q := kmsg.NewPtrOffsetFetchRequest()
		q.RequireStable = req.RequireStable
		for _, i := range p.at {
			q.Groups = append(q.Groups, req.Groups[i])
		}
		return Event{Caller: c, Request: q}
	}, func(p part, reply kmsg.Response, err error) {
		for k, i := range p.at {
			if err == nil {
				r.Groups[i] = reply.(*kmsg.OffsetFetchResponse).Groups[k]
				continue
			}
			r.Groups[i] = kmsg.NewOffsetFetchResponseGroup()
			r.Groups[i].Group, r.Groups[i].ErrorCode = req.Groups[i].Group, coordinator.Code(err).Code
		}
	}, func() { done(r) })
}

// once leaves a group that is named twice in its first place alone: the description of a large group is a million times
// as long as its name.
func once(groups []string) []string {
	var wanted []string
	seen := make(map[string]bool, len(groups))
	for _, g := range groups {
		if !seen[g] {
			seen[g] = true
			wanted = append(wanted, g)
		}
	}
	return wanted
}

// DescribeGroups describes each group, once.
func (s *Service) DescribeGroups(c Caller, req *kmsg.DescribeGroupsRequest, done func(*kmsg.DescribeGroupsResponse)) {
	r := kmsg.NewPtrDescribeGroupsResponse()
	wanted := once(req.Groups)
	r.Groups = make([]kmsg.DescribeGroupsResponseGroup, len(wanted))
	parts := s.divide(len(wanted), func(i int) string { return wanted[i] })
	s.spread(parts, func(p part) Event {
		q := kmsg.NewPtrDescribeGroupsRequest()
		for _, i := range p.at {
			q.Groups = append(q.Groups, wanted[i])
		}
		return Event{Caller: c, Request: q}
	}, func(p part, reply kmsg.Response, err error) {
		for k, i := range p.at {
			if err == nil {
				r.Groups[i] = reply.(*kmsg.DescribeGroupsResponse).Groups[k]
				continue
			}
			r.Groups[i] = kmsg.NewDescribeGroupsResponseGroup()
			r.Groups[i].Group, r.Groups[i].ErrorCode = wanted[i], coordinator.Code(err).Code
		}
	}, func() { done(r) })
}

// DeleteGroups removes empty groups with their offsets.
func (s *Service) DeleteGroups(c Caller, req *kmsg.DeleteGroupsRequest, done func(*kmsg.DeleteGroupsResponse)) {
	r := kmsg.NewPtrDeleteGroupsResponse()
	wanted := once(req.Groups)
	r.Groups = make([]kmsg.DeleteGroupsResponseGroup, len(wanted))
	parts := s.divide(len(wanted), func(i int) string { return wanted[i] })
	s.spread(parts, func(p part) Event {
		q := kmsg.NewPtrDeleteGroupsRequest()
		for _, i := range p.at {
			q.Groups = append(q.Groups, wanted[i])
		}
		return Event{Caller: c, Request: q}
	}, func(p part, reply kmsg.Response, err error) {
		for k, i := range p.at {
			if err == nil {
				r.Groups[i] = reply.(*kmsg.DeleteGroupsResponse).Groups[k]
				continue
			}
			r.Groups[i] = kmsg.NewDeleteGroupsResponseGroup()
			r.Groups[i].Group, r.Groups[i].ErrorCode = wanted[i], coordinator.Code(err).Code
		}
	}, func() { done(r) })
}

// ListGroups lists the groups of the partitions this broker leads. One that is loading fails the whole list, so that
// nobody takes an incomplete list for a complete one; one that has just been lost is left out.
func (s *Service) ListGroups(c Caller, req *kmsg.ListGroupsRequest, done func(*kmsg.ListGroupsResponse)) {
	r := kmsg.NewPtrListGroupsResponse()
	var parts []part
	for _, p := range s.runtime.Partitions() {
		parts = append(parts, part{partition: p})
	}
	s.spread(parts, func(part) Event { return Event{Caller: c, Request: req} }, func(_ part, reply kmsg.Response, err error) {
		if err == nil {
			r.Groups = append(r.Groups, reply.(*kmsg.ListGroupsResponse).Groups...)
		} else if e := coordinator.Code(err); e != kerr.NotCoordinator {
			r.ErrorCode = e.Code
		}
	}, func() {
		if r.ErrorCode != 0 {
			r.Groups = nil
		}
		done(r)
	})
}
