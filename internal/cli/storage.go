package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"gregor/internal/config"
	"gregor/internal/log"
	"gregor/internal/log/vfs"
	"gregor/internal/metadata"
	"gregor/internal/node"
)

// releaseVersion is the release whose features a new cluster has.
const releaseVersion = "4.3-IV0"

// storageCommand is kafka-storage. Its flags follow a subcommand, as Kafka's do (argparse4j, not joptsimple).
func storageCommand() Command {
	return Command{
		Name: "storage", Script: "kafka-storage", Summary: "Format log directories, or tell what they are.",
		Run: runStorage,
	}
}

const storageUsage = `usage: kafka-storage [-h] {info,format,random-uuid} ...

The Kafka storage tool.

positional arguments:
  {info,format,random-uuid}
    info                 Get information about the Kafka log directories on this node.
    format               Format the Kafka log directories on this node. A node formats empty
                         directories by itself when it starts, and the nodes of
                         controller.quorum.voters agree on a cluster id; this is for who wants to
                         choose the id, or to have the voters in the metadata log.
    random-uuid          Print a random UUID.

optional arguments:
  -h, --help             show this help message and exit

Examples
  kafka-storage random-uuid
  kafka-storage format --cluster-id $(kafka-storage random-uuid) --config config/server.properties
  kafka-storage info --config config/server.properties --output json
`

const storageFormatUsage = `usage: kafka-storage format [-h] --config CONFIG --cluster-id CLUSTER_ID [--ignore-formatted]
                     [--release-version RELEASE_VERSION]
                     [--standalone | --no-initial-controllers | --initial-controllers INITIAL_CONTROLLERS]

optional arguments:
  -h, --help             show this help message and exit
  --config CONFIG, -c CONFIG
                         The Kafka configuration file to use.
  --cluster-id CLUSTER_ID, -t CLUSTER_ID
                         The cluster ID to use.
  --ignore-formatted, -g
                         When this option is passed, the format command will skip over already
                         formatted directories rather than failing.
  --release-version RELEASE_VERSION, -r RELEASE_VERSION
                         The release version to use for the initial feature settings. The only one
                         is ` + releaseVersion + `.
  --standalone, -s       Used to initialize a controller as a single-node dynamic quorum.
  --no-initial-controllers, -N
                         Used to initialize a server without a dynamic quorum topology.
  --initial-controllers INITIAL_CONTROLLERS, -I INITIAL_CONTROLLERS
                         Used to initialize a server with a specific dynamic quorum topology. The
                         argument is a comma-separated list of id@hostname:port:directory. The same
                         values must be used to format all nodes.

Examples
  kafka-storage format -t $ID -c config/server.properties
  kafka-storage format -t $ID -c controller1.properties --standalone
  kafka-storage format -t $ID -c controller1.properties --initial-controllers \
      1@host1:9093:JEXY6aqzQY-32P5TStzaFg,2@host2:9093:MvDxzVmcRsaTz33bUuRU6A,3@host3:9093:07R5amHmR32VDA6jHkGbTA
`

const storageInfoUsage = `usage: kafka-storage info [-h] --config CONFIG [--output text|json]

optional arguments:
  -h, --help             show this help message and exit
  --config CONFIG, -c CONFIG
                         The Kafka configuration file to use.
  --output text|json     How to print the result: text as Kafka prints it, or json.
`

// storageFlags are the options of a subcommand.
type storageFlags struct {
	config, clusterID, release, output string
	initialControllers                 string
	ignoreFormatted, help              bool
	standalone, noInitialControllers   bool
	later                              string // an option that this version cannot do
}

func runStorage(_ context.Context, args []string, io IO) int {
	if len(args) == 0 {
		fmt.Fprint(io.Err, storageUsage, "kafka-storage: error: too few arguments\n")
		return 1
	}
	usage := map[string]string{
		"info": storageInfoUsage, "format": storageFormatUsage,
		"random-uuid": "usage: kafka-storage random-uuid [-h]\n",
	}[args[0]]
	switch {
	case args[0] == "-h" || args[0] == "--help":
		fmt.Fprint(io.Out, storageUsage)
		return 0
	case usage == "":
		fmt.Fprintf(io.Err, "%skafka-storage: error: invalid choice: '%s' (choose from 'info', 'format', 'random-uuid')\n", storageUsage, args[0])
		return 1
	}
	f, err := parseStorage(args[0], args[1:])
	if err != nil {
		fmt.Fprintf(io.Err, "%skafka-storage: error: %v\n", usage, err)
		return 1
	}
	switch {
	case f.help:
		fmt.Fprint(io.Out, usage)
		return 0
	case args[0] == "random-uuid":
		fmt.Fprintln(io.Out, metadata.NewUUID())
		return 0
	case f.later != "":
		fmt.Fprintf(io.Err, "%s comes with a later version\n", f.later)
		return 1
	}
	props, err := config.ReadProperties(f.config)
	var values *config.Values
	if err == nil {
		values, _, err = config.ParseBroker(props)
	}
	if err == nil {
		if args[0] == "info" {
			return storageInfo(values, f.output == "json", io)
		}
		err = storageFormat(values, f, io)
	}
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s: no such file", f.config)
		}
		fmt.Fprintln(io.Err, err)
		return 1
	}
	return 0
}

func parseStorage(command string, args []string) (storageFlags, error) {
	f := storageFlags{release: releaseVersion, output: "text"}
	text := map[string]*string{}
	if command != "random-uuid" {
		text = map[string]*string{"--config": &f.config, "-c": &f.config}
	}
	switches := map[string]*bool{"--help": &f.help, "-h": &f.help}
	switch command {
	case "info":
		text["--output"] = &f.output
	case "format":
		text["--cluster-id"], text["-t"] = &f.clusterID, &f.clusterID
		text["--release-version"], text["-r"] = &f.release, &f.release
		text["--initial-controllers"], text["-I"] = &f.initialControllers, &f.initialControllers
		for _, later := range []string{"--add-scram", "-S", "--feature", "-f"} {
			text[later] = &f.later
		}
		switches["--ignore-formatted"], switches["-g"] = &f.ignoreFormatted, &f.ignoreFormatted
		switches["--standalone"], switches["-s"] = &f.standalone, &f.standalone
		switches["--no-initial-controllers"], switches["-N"] = &f.noInitialControllers, &f.noInitialControllers
	}
	for len(args) > 0 {
		name, value, hasValue := strings.Cut(args[0], "=")
		args = args[1:]
		switch {
		case switches[name] != nil && !hasValue:
			*switches[name] = true
		case text[name] == nil:
			return f, fmt.Errorf("unrecognized arguments: '%s'", name)
		case hasValue:
			*text[name] = value
		case len(args) == 0:
			return f, fmt.Errorf("argument %s: expected one argument", name)
		default:
			*text[name], args = args[0], args[1:]
		}
		if text[name] == &f.later {
			f.later = name
		}
	}
	switch {
	case f.help || command == "random-uuid":
	case f.config == "":
		return f, errors.New("argument --config/-c is required")
	case command == "format" && f.clusterID == "":
		return f, errors.New("argument --cluster-id/-t is required")
	case f.standalone && f.noInitialControllers:
		return f, errors.New("argument --no-initial-controllers/-N: not allowed with argument --standalone/-s")
	case f.standalone && f.initialControllers != "":
		return f, errors.New("argument --initial-controllers/-I: not allowed with argument --standalone/-s")
	case f.noInitialControllers && f.initialControllers != "":
		return f, errors.New("argument --initial-controllers/-I: not allowed with argument --no-initial-controllers/-N")
	case f.output != "text" && f.output != "json":
		return f, fmt.Errorf("argument --output: invalid choice: '%s' (choose from 'text', 'json')", f.output)
	case f.release != releaseVersion:
		return f, fmt.Errorf("argument --release-version/-r: '%s': the only release version is %s", f.release, releaseVersion)
	}
	return f, nil
}

func storageFormat(v *config.Values, f storageFlags, io IO) error {
	if v.OnZooKeeper() {
		return errors.New("The kafka configuration file appears to be for a legacy cluster. Formatting is only supported for clusters in KRaft mode.")
	}
	nodeID, ok := v.NodeID()
	if !ok {
		return errors.New("node.id is not set in " + f.config)
	}
	voters, err := initialVoters(v, f)
	if err != nil {
		return err
	}
	var empty []string
	for _, dir := range node.Directories(v) {
		m, err := log.ReadMetaProperties(vfs.OS{}, dir)
		switch {
		case err != nil:
			return err
		case m == nil:
			empty = append(empty, dir)
		case m.ClusterID != f.clusterID && m.ClusterID != "":
			return fmt.Errorf("Invalid cluster.id in: %s. Expected %s, but read %s", log.MetaPropertiesPath(dir), f.clusterID, m.ClusterID)
		case m.NodeID >= 0 && m.NodeID != nodeID:
			return fmt.Errorf("Invalid node.id in: %s. Expected %d, but read %d", log.MetaPropertiesPath(dir), nodeID, m.NodeID)
		case !f.ignoreFormatted:
			return fmt.Errorf("Log directory %s is already formatted. Use --ignore-formatted to ignore this directory and format the others.", dir)
		}
	}
	if len(empty) == 0 {
		fmt.Fprintln(io.Out, "All of the log directories are already formatted.")
	}
	for _, dir := range empty {
		kind := "data directory"
		switch {
		case dir != v.MetadataDir():
		case len(voters) == 0:
			kind = "metadata directory"
		case slices.ContainsFunc(voters, func(o node.InitialVoter) bool { return o.ID == nodeID }):
			kind = "dynamic metadata voter directory"
		default:
			kind = "dynamic metadata directory"
		}
		fmt.Fprintf(io.Out, "Formatting %s %s with metadata.version %s.\n", kind, dir, f.release)
		if err := node.FormatDirectory(v, dir, f.clusterID, nodeID, voters); err != nil {
			return fmt.Errorf("Error while writing meta.properties file %s: %w", dir, err)
		}
	}
	return nil
}

// storageState is what info prints.
type storageState struct {
	Directories []string          `json:"directories"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Problems    []string          `json:"problems"`
}

func storageInfo(v *config.Values, asJSON bool, io IO) int {
	s := inspect(v)
	if asJSON {
		if err := PrintJSON(io.Out, s); err != nil {
			fmt.Fprintln(io.Err, err)
			return 1
		}
	} else {
		list := func(one, many string, lines []string) {
			if len(lines) == 0 {
				return
			}
			fmt.Fprintln(io.Out, map[bool]string{true: one, false: many}[len(lines) == 1])
			for _, l := range lines {
				fmt.Fprintln(io.Out, "  "+l)
			}
			fmt.Fprintln(io.Out)
		}
		list("Found log directory:", "Found log directories:", s.Directories)
		if s.Metadata != nil {
			var pairs []string
			for _, key := range slices.Sorted(maps.Keys(s.Metadata)) {
				pairs = append(pairs, key+"="+s.Metadata[key])
			}
			fmt.Fprintf(io.Out, "Found metadata: {%s}\n\n", strings.Join(pairs, ", "))
		}
		list("Found problem:", "Found problems:", s.Problems)
	}
	return min(len(s.Problems), 1)
}

// inspect looks at the directories without changing them.
func inspect(v *config.Values) storageState {
	s := storageState{Directories: []string{}, Problems: []string{}}
	var first *log.MetaProperties
	dirs := slices.Sorted(slices.Values(node.Directories(v)))
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			s.Problems = append(s.Problems, dir+" does not exist")
			continue
		case err != nil:
			s.Problems = append(s.Problems, err.Error())
			continue
		case !info.IsDir():
			s.Problems = append(s.Problems, dir+" is not a directory")
			continue
		}
		s.Directories = append(s.Directories, dir)
		m, err := log.ReadMetaProperties(vfs.OS{}, dir)
		switch {
		case err != nil:
			s.Problems = append(s.Problems, err.Error())
		case m == nil:
			s.Problems = append(s.Problems, dir+" is not formatted.")
		case first == nil:
			first = m
			s.Metadata = m.Map()
		case m.ClusterID != first.ClusterID:
			s.Problems = append(s.Problems, "Mismatched cluster IDs between storage directories.")
		case cmp.Compare(m.NodeID, first.NodeID) != 0:
			s.Problems = append(s.Problems, "Mismatched node IDs between storage directories.")
		}
	}
	return s
}
