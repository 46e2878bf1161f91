package controller

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// SupportedFeatures are the levels that this program can work with, by feature. A feature that is only a promise is not
// here: a client that is told of transaction.version 2, for one, sends requests of KIP-890.
func SupportedFeatures() map[string]metadata.VersionRange {
	return map[string]metadata.VersionRange{
		metadata.MetadataVersionFeature: {Min: metadata.MinMetadataVersion, Max: metadata.MaxMetadataVersion},
		metadata.KRaftVersionFeature:    {Min: 0, Max: 1},
		metadata.GroupVersionFeature:    {Min: 0, Max: 0},
		metadata.TransactionVersion:     {Min: 0, Max: 2},
		metadata.ELRVersionFeature:      {Min: 0, Max: 1},
	}
}

// BootstrapRecords are the records that a new cluster begins with: the newest level of each feature (KIP-584).
func BootstrapRecords() []metadata.Versioned {
	records := []metadata.Versioned{{Record: &metadata.FeatureLevelRecord{Name: metadata.MetadataVersionFeature, FeatureLevel: metadata.MaxMetadataVersion}}}
	supported := SupportedFeatures()
	for _, name := range slices.Sorted(maps.Keys(supported)) {
		level := supported[name].Max
		if name == metadata.MetadataVersionFeature || name == metadata.KRaftVersionFeature || level == 0 {
			continue
		}
		records = append(records, metadata.Versioned{Record: &metadata.FeatureLevelRecord{Name: name, FeatureLevel: level}})
	}
	return records
}

// adoptFeatures brings the finalized levels to what this program can work with: a log that Apache Kafka wrote has
// features that are not here yet, and no broker of ours could register while they are finalized.
func (m *machine) adoptFeatures() ([]metadata.Record, error) {
	var records []metadata.Record
	supported, features := SupportedFeatures(), m.hard.image.Features()
	for _, name := range slices.Sorted(maps.Keys(features)) {
		r := supported[name]
		if level := features[name]; level <= r.Max && level >= r.Min {
			continue
		}
		if name == metadata.MetadataVersionFeature {
			return nil, fmt.Errorf("the metadata log is at %s %d, and this program works with %d to %d: use the program that wrote it", name, features[name], r.Min, r.Max)
		}
		records = append(records, &metadata.FeatureLevelRecord{Name: name, FeatureLevel: r.Max})
	}
	return records, nil
}

// Upgrade types of UpdateFeatures (KIP-778).
const (
	upgrade         = 1
	safeDowngrade   = 2
	unsafeDowngrade = 3
)

// updateFeatures decides UpdateFeatures (KIP-584, KIP-778): all updates, or none.
func (m *machine) updateFeatures(e env, req *kmsg.UpdateFeaturesRequest) decision {
	resp := req.ResponseKind().(*kmsg.UpdateFeaturesResponse)
	var records []metadata.Record
	var failed *apiError
	upgradeQuorum := false
	levels := maps.Clone(m.hard.image.Features())
	for _, u := range req.FeatureUpdates {
		levels[u.Feature] = u.MaxVersionLevel
	}
	for _, u := range req.FeatureUpdates {
		if failed = m.checkFeature(e, req, u, levels); failed != nil {
			break
		}
		if u.Feature == metadata.KRaftVersionFeature {
			upgradeQuorum = upgradeQuorum || u.MaxVersionLevel > e.kraftVersion
			continue
		}
		if u.MaxVersionLevel == m.hard.image.Features()[u.Feature] {
			continue // nothing changes; Apache Kafka writes the level again
		}
		records = append(records, &metadata.FeatureLevelRecord{Name: u.Feature, FeatureLevel: u.MaxVersionLevel})
		switch {
		case u.Feature == metadata.ELRVersionFeature && u.MaxVersionLevel > 0:
			records = append(records, m.minISRRecords(e)...)
		case u.Feature == metadata.ELRVersionFeature:
			// From now on min.insync.replicas may change unseen. When the feature is turned on again, who was eligible
			// before must not be it still.
			records = append(records, m.clearAllELR()...)
		}
	}
	if failed != nil {
		failed = refuse(failed.code, "The update failed for all features since the following feature had an error: %s", failed.text)
	}
	failed.put(&resp.ErrorCode, &resp.ErrorMessage)
	if req.Version < 2 && failed == nil {
		for _, u := range req.FeatureUpdates {
			none := "NONE" // what Kafka says of a success
			resp.Results = append(resp.Results, kmsg.UpdateFeaturesResponseResult{Feature: u.Feature, ErrorMessage: &none})
		}
	}
	if failed != nil || req.ValidateOnly {
		records, upgradeQuorum = nil, false
	}
	return decision{records: records, upgradeQuorum: upgradeQuorum, reply: resp}
}

// checkFeature checks one update; levels are those that the request as a whole leads to.
func (m *machine) checkFeature(e env, req *kmsg.UpdateFeaturesRequest, u kmsg.UpdateFeaturesRequestFeatureUpdate, levels map[string]int16) *apiError {
	kind := u.UpgradeType
	if req.Version == 0 {
		kind = upgrade // Kafka's controllers do not look at AllowDowngrade any more
	}
	bad := func(format string, args ...any) *apiError {
		err := refuse(kerr.InvalidUpdateVersion, format, args...)
		return refuse(kerr.InvalidUpdateVersion, "Invalid update version %d for feature %s. %s", u.MaxVersionLevel, u.Feature, err.text)
	}
	level, current := u.MaxVersionLevel, m.hard.image.Features()[u.Feature]
	if u.Feature == metadata.KRaftVersionFeature {
		current = e.kraftVersion
	}
	if kind < upgrade || kind > unsafeDowngrade {
		return bad("The controller does not support the given upgrade type.")
	}
	if level < 0 {
		return bad("A feature version cannot be less than 0.")
	}
	if who, r, ok := m.whoLacks(e, u.Feature, level); ok {
		if r == (metadata.VersionRange{}) {
			return bad("%s does not support this feature.", who)
		}
		return bad("%s only supports versions %d-%d", who, r.Min, r.Max)
	}
	switch {
	case level < current && kind == upgrade:
		return bad("Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.")
	case level > current && kind != upgrade:
		return bad("Can't downgrade to a newer version.")
	case level < current && u.Feature == metadata.KRaftVersionFeature:
		return bad("Can't downgrade the version of this feature.")
	case level < current && u.Feature == metadata.MetadataVersionFeature && metadata.LosesRecords(current, level):
		why := "Refusing to perform the requested downgrade because it might delete metadata information."
		if kind == unsafeDowngrade {
			why = "Unsafe metadata downgrade is not supported in this version."
		}
		return refuse(kerr.InvalidUpdateVersion, "Unsupported metadata.version downgrade from %d to %d. %s", current, level, why)
	case u.Feature == metadata.ELRVersionFeature && level > 0 && levels[metadata.MetadataVersionFeature] < metadata.LevelELR:
		return bad("%s could not be set to %d because it depends on %s level %d", u.Feature, level, metadata.MetadataVersionFeature, metadata.LevelELR)
	}
	return nil
}

// whoLacks finds a process that cannot work at a level.
func (m *machine) whoLacks(e env, feature string, level int16) (who string, r metadata.VersionRange, found bool) {
	if r := SupportedFeatures()[feature]; level < r.Min || level > r.Max {
		return "Local controller " + strconv.Itoa(e.config.Int("node.id")), r, true
	}
	for b := range m.hard.image.Brokers() {
		if r := b.Features[feature]; level != 0 && (level < r.Min || level > r.Max) {
			return "Broker " + strconv.Itoa(int(b.ID)), r, true
		}
	}
	for c := range m.hard.image.Controllers() {
		if r := c.Features[feature]; level != 0 && (level < r.Min || level > r.Max) {
			return "Controller " + strconv.Itoa(int(c.ID)), r, true
		}
	}
	return "", r, false
}
