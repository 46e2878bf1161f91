package node

import (
	"log/slog"
	"strconv"

	"gregor/internal/config"
	"gregor/internal/coordinator/group"
	"gregor/internal/metadata"
)

// configPublisher brings what was altered at run time into force.
type configPublisher struct {
	node int32
	live *config.Live
	log  *slog.Logger
}

func (p *configPublisher) Publish(delta *metadata.Delta, image *metadata.Image) {
	own := strconv.Itoa(int(p.node))
	if !delta.ConfigChanged(metadata.BrokerConfig, "") && !delta.ConfigChanged(metadata.BrokerConfig, own) {
		return
	}
	if err := p.live.Update(image.Config(metadata.BrokerConfig, ""), image.Config(metadata.BrokerConfig, own)); err != nil {
		p.log.Error("altered configuration cannot be used; the one before stays in force", "error", err.Error())
		return
	}
	p.log.Info("configuration altered", "cluster", len(image.Config(metadata.BrokerConfig, "")), "broker", len(image.Config(metadata.BrokerConfig, own)))
}

// groupPublisher tells the group coordinator of topics: how many partitions its own has, and which are gone.
type groupPublisher struct {
	groups interface { // a *group.Service
		SetPartitions(n int32)
		OnTopicsDeleted(names []string)
	}
}

func (p *groupPublisher) Publish(delta *metadata.Delta, image *metadata.Image) {
	var deleted []string
	for td := range delta.Topics() {
		if td.Old != nil && td.Old.Name == group.Topic || td.New != nil && td.New.Name == group.Topic {
			n := 0
			if t := image.Topic(group.Topic); t != nil {
				n = len(t.Partitions)
			}
			p.groups.SetPartitions(int32(n))
		}
		// Also if a topic of that name is there again: it is another one, and nobody has committed an offset of it yet.
		if td.Deleted() && td.Old.Name != group.Topic {
			deleted = append(deleted, td.Old.Name)
		}
	}
	if len(deleted) > 0 {
		p.groups.OnTopicsDeleted(deleted)
	}
}

// openGroups starts the group coordinator. Its configuration is made anew when the broker's changes, not per request.
func (n *Node) openGroups() {
	current := following(n.live, func(v *config.Values) group.Config {
		return group.Config{
			MinSessionTimeoutMs:      v.Int32("group.min.session.timeout.ms"),
			MaxSessionTimeoutMs:      v.Int32("group.max.session.timeout.ms"),
			InitialRebalanceDelayMs:  v.Int32("group.initial.rebalance.delay.ms"),
			MaxSize:                  v.Int("group.max.size"),
			OffsetMetadataMaxBytes:   v.Int("offset.metadata.max.bytes"),
			OffsetsRetentionMs:       v.Int64("offsets.retention.minutes") * 60_000,
			OffsetsRetentionCheckMs:  v.Int64("offsets.retention.check.interval.ms"),
			OffsetsTopicPartitions:   v.Int32("offsets.topic.num.partitions"),
			OffsetsTopicMaxBatchSize: v.Int("message.max.bytes"),
			CommitTimeoutMs:          v.Int64("offsets.commit.timeout.ms"),
		}
	})
	n.group = group.NewService(group.Options{
		Config: current,
		Logger: n.logs.Part("group"),
	})
}
