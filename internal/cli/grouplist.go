package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
)

func groupsCommand() Command {
	return Command{Name: "groups", Script: "kafka-groups", Summary: "List groups of every kind.", Build: buildGroups}
}

func buildGroups(f *Flags) Action {
	f.About = "This tool helps to list groups of all types."
	f.Examples = []string{
		"kafka-groups.sh --bootstrap-server localhost:9092 --list",
		"kafka-groups.sh --bootstrap-server localhost:9092 --list --consumer --output json",
	}
	connection := f.Connection()
	connection.Bootstrap.Required()
	list := f.Switch("list", "List the groups.")
	kind := f.String("group-type", "type", "Only groups of this type: classic, consumer, share or streams.")
	protocolType := f.String("protocol", "protocol", "Only groups of this protocol type.")
	consumer := f.Switch("consumer", "Only groups of consumers.")
	share := f.Switch("share", "Only share groups.")
	streams := f.Switch("streams", "Only streams groups.")
	f.Output()
	return func(ctx context.Context, io IO) error {
		if !list.Seen() {
			return Usagef("Command must include exactly one action: --list.")
		}
		for _, rule := range [][]*Flag{{consumer, share, streams, kind, protocolType}, {share, streams, kind, protocolType}, {streams, kind, protocolType}} {
			if err := Exclude(rule[0], rule[1:]...); err != nil {
				return err
			}
		}
		wanted := strings.ToLower(kind.Value())
		if kind.Seen() && !slices.Contains([]string{"classic", "consumer", "share", "streams"}, wanted) {
			return Usagef("Not a valid group type: %s. Valid types are: 'classic', 'consumer', 'share' and 'streams'.", kind.Value())
		}
		switch {
		case share.Seen():
			wanted = "share"
		case streams.Seen():
			wanted = "streams"
		}
		ctx, client, done, err := connection.Dial(ctx, io)
		if err != nil {
			return err
		}
		defer done()
		groups, err := (&groupsClient{kadm.NewClient(client), client, io}).listAllGroups(ctx, nil, nil)
		if err != nil {
			return err
		}
		groups = slices.DeleteFunc(groups, func(g listedGroup) bool {
			return wanted != "" && !strings.EqualFold(g.Type, wanted) ||
				protocolType.Seen() && g.ProtocolType != protocolType.Value() ||
				consumer.Seen() && !isConsumerGroup(g)
		})
		if f.JSON() {
			return PrintJSON(io.Out, append([]listedGroup{}, groups...))
		}
		printAllGroups(io, groups)
		return nil
	}
}

// isConsumerGroup tells whether --consumer keeps a group.
func isConsumerGroup(g listedGroup) bool {
	return g.Type == "Consumer" || g.Type == "Classic" && (g.ProtocolType == "" || g.ProtocolType == "consumer")
}

func printAllGroups(io IO, groups []listedGroup) {
	width := 20 // of every column, as Kafka has it
	for _, g := range groups {
		width = max(width, len(g.Group))
	}
	fmt.Fprintf(io.Out, "%-*s %-*s %-*s\n", width, "GROUP", width, "TYPE", width, "PROTOCOL")
	for _, g := range groups {
		fmt.Fprintf(io.Out, "%-*s %-*s %-*s \n", width, g.Group, width, g.Type, width, g.ProtocolType)
	}
}
