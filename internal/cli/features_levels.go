package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// What the features' levels mean, as Kafka 4.3.0 knows them: version-mapping and feature-dependencies answer from
// here, without a cluster.

const metadataVersion = "metadata.version"

// release is one metadata.version. Its level is firstMetadataLevel plus its place in releases.
type release struct {
	name     string
	features [6]int16 // levels of otherFeatures
}

const firstMetadataLevel = 7

// otherFeatures are the features beside metadata.version, in the order in which version-mapping prints them.
var otherFeatures = [...]struct {
	name string
	max  int16 // highest level that the release knows
}{
	{"kraft.version", 1},
	{"transaction.version", 2},
	{"group.version", 1},
	{"eligible.leader.replicas.version", 1},
	{"share.version", 1},
	{"streams.version", 1},
}

var releases = []release{
	{name: "3.3-IV3"}, {name: "3.4-IV0"}, {name: "3.5-IV0"}, {name: "3.5-IV1"}, {name: "3.5-IV2"}, {name: "3.6-IV0"},
	{name: "3.6-IV1"}, {name: "3.6-IV2"}, {name: "3.7-IV0"}, {name: "3.7-IV1"}, {name: "3.7-IV2"}, {name: "3.7-IV3"},
	{name: "3.7-IV4"}, {name: "3.8-IV0"},
	{"3.9-IV0", [6]int16{1}},
	{"4.0-IV0", [6]int16{1, 0, 1}}, {"4.0-IV1", [6]int16{1, 0, 1}}, {"4.0-IV2", [6]int16{1, 2, 1}}, {"4.0-IV3", [6]int16{1, 2, 1}},
	{"4.1-IV0", [6]int16{1, 2, 1, 1}}, {"4.1-IV1", [6]int16{1, 2, 1, 1}},
	{"4.2-IV0", [6]int16{1, 2, 1, 1, 1}}, {"4.2-IV1", [6]int16{1, 2, 1, 1, 1, 1}},
	{"4.3-IV0", [6]int16{1, 2, 1, 1, 1, 1}},
	{"4.4-IV0", [6]int16{1, 2, 1, 1, 1, 1}}, // not in production in 4.3
}

// latestProduction is the release that a new cluster of 4.3.0 begins with; "4.4" alone names nothing yet.
const latestProduction = "4.3-IV0"

// lookupRelease finds 4.0-IV1, or the last one of 4.0 or 4.0.1.
func lookupRelease(text string) (level int16, r release, err error) {
	name := text
	if parts := strings.SplitN(text, ".", 3); len(parts) > 2 {
		name = parts[0] + "." + parts[1]
	}
	production := slices.IndexFunc(releases, func(r release) bool { return r.name == latestProduction })
	for i := len(releases) - 1; i >= 0; i-- {
		if releases[i].name == name || i <= production && strings.HasPrefix(releases[i].name, name+"-") {
			return firstMetadataLevel + int16(i), releases[i], nil
		}
	}
	names := make([]string, len(releases))
	for i, r := range releases {
		names[i] = r.name
	}
	return 0, release{}, fmt.Errorf("Unknown metadata.version '%s'. Supported metadata.version are: %s", text, strings.Join(names, ", "))
}

// levelText is how describe prints a level: a metadata.version by its name.
func levelText(feature string, level int16) string {
	if feature != metadataVersion {
		return fmt.Sprint(level)
	}
	if name, ok := releaseName(level); ok {
		return name
	}
	return fmt.Sprintf("UNKNOWN %d", level)
}

func releaseName(level int16) (string, bool) {
	i := int(level) - firstMetadataLevel
	if i < 0 || i >= len(releases) {
		return "", false
	}
	return releases[i].name, true
}

// featureLevel is one feature at one level.
type featureLevel struct {
	Feature string `json:"feature"`
	Level   int16  `json:"level"`
	Release string `json:"release,omitempty"` // of a metadata.version
}

func newFeatureLevel(feature string, level int16) featureLevel {
	l := featureLevel{Feature: feature, Level: level}
	if feature == metadataVersion {
		l.Release, _ = releaseName(level)
	}
	return l
}

func (l featureLevel) String() string {
	if l.Release != "" {
		return fmt.Sprintf("%s=%d (%s)", l.Feature, l.Level, l.Release)
	}
	return fmt.Sprintf("%s=%d", l.Feature, l.Level)
}

// versionMapping is the level of every feature in a release; the release is named as the user named it.
func versionMapping(text string) ([]featureLevel, error) {
	level, r, err := lookupRelease(text)
	if err != nil {
		return nil, err
	}
	levels := []featureLevel{{metadataVersion, level, text}}
	for i, f := range otherFeatures {
		levels = append(levels, featureLevel{Feature: f.name, Level: r.features[i]})
	}
	return levels, nil
}

// dependencies are what a feature's level needs of other features.
func dependencies(feature string, level int16) ([]featureLevel, error) {
	if feature == metadataVersion {
		if _, ok := releaseName(level); !ok {
			return nil, fmt.Errorf("Unknown metadata.version %d", level)
		}
		return nil, nil
	}
	for _, f := range otherFeatures {
		if f.name != feature {
			continue
		}
		if level < 0 || level > f.max {
			return nil, fmt.Errorf("No feature:%s with feature level %d", feature, level)
		}
		if feature == "eligible.leader.replicas.version" && level == 1 {
			return []featureLevel{newFeatureLevel(metadataVersion, 23)}, nil
		}
		return nil, nil
	}
	return nil, errors.New("Unknown feature: " + feature)
}
