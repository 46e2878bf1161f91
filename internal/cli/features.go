package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func featuresCommand() Command {
	return Command{Name: "features", Script: "kafka-features", Summary: "Show and change the cluster's feature levels.", Build: buildFeatures}
}

type featuresFlags struct {
	*Flags
	connection               *Connection
	metadata, release, level *Flag
	unsafe, dryRun           *Flag
}

func buildFeatures(flags *Flags) Action {
	flags.About = "This tool manages feature flags in Kafka.\nUsage: kafka-features.sh {describe | upgrade | downgrade | disable | version-mapping | feature-dependencies} [options]"
	flags.Examples = []string{
		"kafka-features.sh --bootstrap-server localhost:9092 describe",
		"kafka-features.sh --bootstrap-server localhost:9092 upgrade --release-version 4.3-IV0 --dry-run",
		"kafka-features.sh --bootstrap-server localhost:9092 downgrade --feature share.version=0",
		"kafka-features.sh --bootstrap-controller localhost:9093 disable --feature eligible.leader.replicas.version",
		"kafka-features.sh version-mapping --release-version 4.1",
		"kafka-features.sh feature-dependencies --feature eligible.leader.replicas.version=1",
	}
	flags.Words = featureCommands
	f := &featuresFlags{Flags: flags, connection: flags.Connection().WithControllers()}
	f.metadata = f.String("metadata", "version", "DEPRECATED. With upgrade, downgrade: the metadata.version, for example 4.0-IV3.")
	f.release = f.String("release-version", "version", "With upgrade, downgrade: set every feature to its level in this release. With version-mapping: the release to look up (default: "+latestProduction+").")
	f.level = f.String("feature", "feature=level", "The feature and its level, for example metadata.version=25; with disable the feature alone. May be repeated.")
	f.unsafe = f.Switch("unsafe", "With downgrade, disable: do it even if metadata is lost for good.")
	f.dryRun = f.Switch("dry-run", "With upgrade, downgrade, disable: say whether it could be done, and do not do it.")
	f.Output()
	return f.run
}

// commandLineError is how Kafka's tool words every mistake of its command line.
func commandLineError(format string, args ...any) error {
	return fmt.Errorf("Command line error: "+format+". Type --help for help.", args...)
}

var featureCommands = []string{"describe", "upgrade", "downgrade", "disable", "version-mapping", "feature-dependencies"}

func (f *featuresFlags) run(ctx context.Context, io IO) error {
	c := f.connection
	switch {
	case len(f.Rest) == 0:
		return commandLineError("too few arguments")
	case len(f.Rest) > 1:
		return commandLineError("unrecognized arguments: '%s'", f.Rest[1])
	case !slices.Contains(featureCommands, f.Rest[0]):
		return commandLineError("invalid choice: '%s' (choose from '%s')", f.Rest[0], strings.Join(featureCommands, "', '"))
	case c.Bootstrap.Seen() && c.Controllers.Seen():
		return commandLineError("argument --bootstrap-controller: not allowed with argument --bootstrap-server")
	}
	switch f.Rest[0] {
	case "version-mapping":
		return f.printMapping(io)
	case "feature-dependencies":
		if !f.level.Seen() {
			return commandLineError("argument --feature is required")
		}
		return f.printDependencies(io)
	}
	if !c.Bootstrap.Seen() && !c.Controllers.Seen() {
		return commandLineError("You must specify either --bootstrap-controller or --bootstrap-server.")
	}
	if f.Rest[0] == "describe" {
		ctx, cluster, done, err := c.DialCluster(ctx, io)
		if err != nil {
			return err
		}
		defer done()
		return cluster.printFeatures(ctx, f.JSON())
	}
	updates, err := f.updates(io)
	if err != nil {
		return err
	}
	ctx, cluster, done, err := c.DialCluster(ctx, io)
	if err != nil {
		return err
	}
	defer done()
	return cluster.updateFeatures(ctx, featureChange{operation: f.Rest[0], updates: updates, dryRun: f.dryRun.Seen(), asJSON: f.JSON()})
}

func (f *featuresFlags) printMapping(io IO) error {
	text := latestProduction
	if f.release.Seen() {
		text = f.release.Value()
	}
	levels, err := versionMapping(text)
	if err != nil {
		return err
	}
	if f.JSON() {
		return PrintJSON(io.Out, levels)
	}
	for _, l := range levels {
		fmt.Fprintln(io.Out, l)
	}
	return nil
}

func (f *featuresFlags) printDependencies(io IO) error {
	type needs struct {
		featureLevel
		Requires []featureLevel `json:"requires"`
	}
	all := []needs{}
	for _, word := range f.level.Values() {
		name, level, err := parseFeatureLevel(word)
		if err != nil {
			return err
		}
		requires, err := dependencies(name, level)
		if err != nil {
			return err
		}
		all = append(all, needs{newFeatureLevel(name, level), append([]featureLevel{}, requires...)})
		if f.JSON() {
			continue
		}
		if len(requires) == 0 {
			fmt.Fprintf(io.Out, "%s has no dependencies.\n", newFeatureLevel(name, level))
			continue
		}
		fmt.Fprintf(io.Out, "%s requires:\n", newFeatureLevel(name, level))
		for _, l := range requires {
			fmt.Fprintf(io.Out, "    %s\n", l)
		}
	}
	if f.JSON() {
		return PrintJSON(io.Out, all)
	}
	return nil
}

// parseFeatureLevel reads feature=level.
func parseFeatureLevel(word string) (string, int16, error) {
	name, text, ok := strings.Cut(word, "=")
	if !ok {
		return "", 0, fmt.Errorf("Can't parse feature=level string %s: equals sign not found.", word)
	}
	name, text = strings.TrimSpace(name), strings.TrimSpace(text)
	level, err := strconv.ParseInt(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("Can't parse feature=level string %s: unable to parse %s as a short.", word, text)
	}
	return name, int16(level), nil
}

// How a level may change (KIP-584).
const (
	featureUpgrade = 1 + iota
	featureSafeDowngrade
	featureUnsafeDowngrade
)

// updates are the changes that the options ask for, by feature.
func (f *featuresFlags) updates(io IO) (map[string]kmsg.UpdateFeaturesRequestFeatureUpdate, error) {
	updates := map[string]kmsg.UpdateFeaturesRequestFeatureUpdate{}
	kind := int8(featureUpgrade)
	if f.Rest[0] != "upgrade" {
		kind = featureSafeDowngrade
		if f.unsafe.Seen() {
			kind = featureUnsafeDowngrade
		}
	}
	set := func(name string, level int16) error {
		if _, twice := updates[name]; twice {
			return fmt.Errorf("Feature %s was specified more than once.", name)
		}
		updates[name] = kmsg.UpdateFeaturesRequestFeatureUpdate{Feature: name, MaxVersionLevel: level, AllowDowngrade: kind != featureUpgrade, UpgradeType: kind}
		return nil
	}
	if f.Rest[0] == "disable" {
		for _, name := range f.level.Values() {
			if err := set(name, 0); err != nil {
				return nil, err
			}
		}
		return updates, f.someUpdate(updates)
	}
	if f.release.Seen() {
		if f.metadata.Seen() || f.level.Seen() {
			return nil, errors.New("Can not specify `release-version` with other feature flags.")
		}
		levels, err := versionMapping(f.release.Value())
		if err != nil {
			return nil, err
		}
		for _, l := range levels {
			// A feature is not upgraded to nothing.
			if kind == featureUpgrade && l.Level == 0 {
				continue
			}
			if err := set(l.Feature, l.Level); err != nil {
				return nil, err
			}
		}
		return updates, nil
	}
	if f.metadata.Seen() {
		fmt.Fprintln(io.Out, " `metadata` flag is deprecated and may be removed in a future release.")
		level, _, err := lookupRelease(f.metadata.Value())
		if err != nil {
			return nil, err
		}
		if err := set(metadataVersion, level); err != nil {
			return nil, err
		}
	}
	for _, word := range f.level.Values() {
		name, level, err := parseFeatureLevel(word)
		if err != nil {
			return nil, err
		}
		if err := set(name, level); err != nil {
			return nil, err
		}
	}
	return updates, f.someUpdate(updates)
}

func (f *featuresFlags) someUpdate(updates map[string]kmsg.UpdateFeaturesRequestFeatureUpdate) error {
	if len(updates) == 0 {
		return errors.New("You must specify at least one feature to " + f.Rest[0])
	}
	return nil
}

// featureState is one line of describe, and its form with --output json.
type featureState struct {
	Feature               string `json:"feature"`
	SupportedMinVersion   int16  `json:"supportedMinVersion"`
	SupportedMaxVersion   int16  `json:"supportedMaxVersion"`
	FinalizedVersionLevel int16  `json:"finalizedVersionLevel"`
	Release               string `json:"release,omitempty"` // the name of a metadata.version
	Epoch                 *int64 `json:"epoch"`
}

func (c *clusterClient) printFeatures(ctx context.Context, asJSON bool) error {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "gregor", KafkaVersion
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	if err := answer(resp.ErrorCode, nil); err != nil {
		return err
	}
	features := []featureState{}
	for _, s := range resp.SupportedFeatures {
		state := featureState{Feature: s.Name, SupportedMinVersion: s.MinVersion, SupportedMaxVersion: s.MaxVersion}
		for _, done := range resp.FinalizedFeatures {
			if done.Name == s.Name {
				state.FinalizedVersionLevel = done.MaxVersionLevel
			}
		}
		if s.Name == metadataVersion {
			state.Release, _ = releaseName(state.FinalizedVersionLevel)
		}
		if resp.FinalizedFeaturesEpoch >= 0 {
			state.Epoch = &resp.FinalizedFeaturesEpoch
		}
		features = append(features, state)
	}
	slices.SortFunc(features, func(a, b featureState) int { return cmp.Compare(a.Feature, b.Feature) })
	if asJSON {
		return PrintJSON(c.io.Out, features)
	}
	for _, s := range features {
		epoch := "-"
		if s.Epoch != nil {
			epoch = strconv.FormatInt(*s.Epoch, 10)
		}
		level := func(l int16) string { return levelText(s.Feature, l) }
		fmt.Fprintf(c.io.Out, "Feature: %-40s  SupportedMinVersion: %-15s  SupportedMaxVersion: %-15s  FinalizedVersionLevel: %-15s  Epoch: %s\n",
			s.Feature, level(s.SupportedMinVersion), level(s.SupportedMaxVersion), level(s.FinalizedVersionLevel), epoch)
	}
	return nil
}

// featureChange is an upgrade, a downgrade or a disabling.
type featureChange struct {
	operation string
	updates   map[string]kmsg.UpdateFeaturesRequestFeatureUpdate
	dryRun    bool
	asJSON    bool
}

func (c *clusterClient) updateFeatures(ctx context.Context, change featureChange) error {
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.TimeoutMillis, req.ValidateOnly = requestTimeoutMs, change.dryRun
	var names []string
	for name := range change.updates {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		req.FeatureUpdates = append(req.FeatureUpdates, change.updates[name])
	}
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	all := answer(resp.ErrorCode, resp.ErrorMessage)
	failed := map[string]error{}
	for _, name := range names {
		if all != nil {
			failed[name] = all
		}
	}
	for _, r := range resp.Results { // of version 0 and 1: one for each feature
		if err := answer(r.ErrorCode, r.ErrorMessage); err != nil && failed[r.Feature] == nil {
			failed[r.Feature] = err
		}
	}
	return change.print(c.io, names, failed)
}

func (change featureChange) print(io IO, names []string, failed map[string]error) error {
	type outcome struct {
		featureLevel
		Error string `json:"error,omitempty"`
	}
	outcomes := []outcome{}
	for _, name := range names {
		o := outcome{featureLevel: newFeatureLevel(name, change.updates[name].MaxVersionLevel)}
		target, done := fmt.Sprintf("%s %s to %d", change.operation, name, o.Level), fmt.Sprintf("%sd to %d", change.operation, o.Level)
		if change.operation == "disable" {
			target, done = "disable "+name, "disabled"
		}
		could, was := "Could not", "was"
		if change.dryRun {
			could, was = "Can not", "can be"
		}
		if err := failed[name]; err != nil {
			o.Error = err.Error()
		}
		outcomes = append(outcomes, o)
		switch {
		case change.asJSON:
		case o.Error != "":
			fmt.Fprintf(io.Out, "%s %s. %s\n", could, target, o.Error)
		default:
			fmt.Fprintf(io.Out, "%s %s %s.\n", name, was, done)
		}
	}
	if change.asJSON {
		if err := PrintJSON(io.Out, outcomes); err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d out of %d operation(s) failed.", len(failed), len(names))
	}
	return nil
}
