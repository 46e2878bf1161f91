package controller

import (
	"gregor/internal/metadata"
	"gregor/internal/placement"

	"github.com/twmb/franz-go/pkg/kerr"
)

// placer places partitions one after the other.
type placer struct{ stripes *placement.Placer }

func newPlacer(brokers []*metadata.Broker, random func(n int) int) *placer {
	known := make([]placement.Broker, len(brokers))
	for i, b := range brokers {
		known[i] = placement.Broker{ID: b.ID, Fenced: b.Fenced}
		if b.Rack != nil {
			known[i].Rack = *b.Rack
		}
	}
	return &placer{placement.New(known, random)}
}

// check says why a number of replicas cannot be placed.
func (p *placer) check(replicas int) *apiError {
	if err := p.stripes.Check(replicas); err != nil {
		return refuse(kerr.InvalidReplicationFactor, "%s", err)
	}
	return nil
}

// place returns the replicas of one partition, the preferred leader first. check has passed.
func (p *placer) place(replicas int) []int32 { return p.stripes.Place(replicas) }
