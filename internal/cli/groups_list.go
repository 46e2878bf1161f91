package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// listedGroup is a group as --list shows it.
type listedGroup struct {
	Group        string `json:"group"`
	Type         string `json:"type"`
	ProtocolType string `json:"protocolType"`
	State        string `json:"state"`
}

var groupStates = []string{"Stable", "Reconciling", "Dead", "CompletingRebalance", "PreparingRebalance", "Empty", "Assigning"}

var consumerGroupTypes = []string{"Consumer", "Classic"}

func (f *groupsFlags) runList(ctx context.Context, c *groupsClient) error {
	states, err := oneOfList("state", f.state.Value(), groupStates)
	if err != nil {
		return err
	}
	types, err := oneOfList("types", f.kind.Value(), consumerGroupTypes)
	if err != nil {
		return err
	}
	groups, err := c.listGroups(ctx, states, types)
	if err != nil {
		return err
	}
	if f.JSON() {
		return PrintJSON(c.io.Out, append([]listedGroup{}, groups...))
	}
	if !f.state.Seen() && !f.kind.Seen() {
		for _, g := range groups {
			fmt.Fprintln(c.io.Out, g.Group)
		}
		return nil
	}
	header := []string{"GROUP"}
	if f.kind.Seen() {
		header = append(header, "TYPE")
	}
	if f.state.Seen() {
		header = append(header, "STATE")
	}
	width := 15
	for _, g := range groups {
		width = max(width, len(g.Group))
	}
	line := func(words []string) {
		text := fmt.Sprintf("%-*s", width+10, words[0])
		for _, w := range words[1:] {
			text += fmt.Sprintf(" %-20s", w)
		}
		fmt.Fprintln(c.io.Out, text)
	}
	line(header)
	for _, g := range groups {
		words := []string{g.Group}
		if f.kind.Seen() {
			words = append(words, g.Type)
		}
		if f.state.Seen() {
			words = append(words, g.State)
		}
		line(words)
	}
	return nil
}

// oneOfList reads a list of names in any case, as Kafka does.
func oneOfList(what, text string, valid []string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	var names []string
	for _, word := range strings.Split(text, ",") {
		i := slices.IndexFunc(valid, func(v string) bool { return strings.EqualFold(v, strings.TrimSpace(word)) })
		if i < 0 {
			return nil, Usagef("Invalid %s list '%s'. Valid %s are: %s", what, text, strings.TrimSuffix(what, "s")+"s", strings.Join(valid, ", "))
		}
		names = append(names, valid[i])
	}
	return names, nil
}

// listGroups asks every broker for the groups it coordinates, and keeps those of consumers, by name. The brokers
// filter if they know how to; the rest is done here.
func (c *groupsClient) listGroups(ctx context.Context, states, types []string) ([]listedGroup, error) {
	all, err := c.listAllGroups(ctx, states, types)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(g listedGroup) bool {
		return g.ProtocolType != "" && g.ProtocolType != "consumer" || g.Type == "Share" || g.Type == "Streams"
	}), nil
}

// listAllGroups is listGroups for groups of every kind.
func (c *groupsClient) listAllGroups(ctx context.Context, states, types []string) ([]listedGroup, error) {
	req := kmsg.NewPtrListGroupsRequest()
	req.StatesFilter, req.TypesFilter = states, types
	var groups []listedGroup
	for _, shard := range c.kafka.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		resp := shard.Resp.(*kmsg.ListGroupsResponse)
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return nil, &groupError{err: err}
		}
		for _, g := range resp.Groups {
			listed := listedGroup{Group: g.Group, Type: capital(g.GroupType), ProtocolType: g.ProtocolType, State: g.GroupState}
			if listed.Type == "" {
				listed.Type = "Classic"
			}
			if len(states) > 0 && !containsFold(states, listed.State) || len(types) > 0 && !containsFold(types, listed.Type) {
				continue
			}
			groups = append(groups, listed)
		}
	}
	slices.SortFunc(groups, func(a, b listedGroup) int { return strings.Compare(a.Group, b.Group) })
	return groups, nil
}

func containsFold(list []string, word string) bool {
	return slices.ContainsFunc(list, func(v string) bool { return strings.EqualFold(v, word) })
}

// capital is the form in which Kafka prints a group's type: Classic, Consumer, Share.
func capital(word string) string {
	if word == "" {
		return ""
	}
	return strings.ToUpper(word[:1]) + strings.ToLower(word[1:])
}
