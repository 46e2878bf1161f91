package zookeeper

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gregor/internal/config"
)

// ErrConfig is wrapped by every error about a configuration.
var ErrConfig = errors.New("invalid ZooKeeper configuration")

// Config is what zoo.cfg or Kafka's zookeeper.properties says, with ZooKeeper's names and defaults. Start takes a zero
// field for its default, unless it says otherwise.
type Config struct {
	DataDir           string // snapshots, and the log if DataLogDir is empty
	DataLogDir        string
	ClientPort        int    // 0: any that is free
	ClientPortAddress string // an address or a name of this machine; "": all
	MaxClientCnxns    int    // connections of one address; 0: no limit

	TickTime          time.Duration // 3 s; sessions end at its multiples
	MinSessionTimeout time.Duration // 2 ticks
	MaxSessionTimeout time.Duration // 20 ticks

	SnapCount         int           // 100,000: transactions between two snapshots
	SnapBytes         int64         // 4 GiB: or so many bytes of them (snapSizeLimitInKb)
	PreAllocBytes     int64         // 64 MiB: the log file grows by so much; below 0: by what is written
	SnapRetainCount   int           // 3, and no fewer: snapshots that a purge leaves
	PurgeInterval     time.Duration // 0: nothing is purged
	SnapshotGzip      bool          // snapshot.compression.method=gz
	MaxBufferBytes    int           // 1,048,575: the largest request (jute.maxbuffer)
	OutstandingLimit  int           // 1,000 requests of all clients that wait; a connection that has one among them waits with its next
	Whitelist         []string      // four-letter words that are answered beside srvr; "*" for all
	ExtendedTypes     bool          // nodes with a time to live are allowed
	SkipACL           bool
	ReconfigEnabled   bool          // only which error a reconfig gets
	SuperDigest       string        // user:hash of whoever may do everything
	ContainerInterval time.Duration // 1 min: how often empty containers and nodes whose time is over are looked for
	ContainerUnused   time.Duration // containers that never had a child are deleted after so long; 0: never

	Warnings []string // what ParseConfig found that has no effect
}

// withDefaults fills in what is not set.
func (c Config) withDefaults() Config {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	number := func(n *int, def int) {
		if *n == 0 {
			*n = def
		}
	}
	set(&c.TickTime, 3*time.Second)
	set(&c.MinSessionTimeout, 2*c.TickTime)
	set(&c.MaxSessionTimeout, 20*c.TickTime)
	set(&c.ContainerInterval, time.Minute)
	number(&c.SnapCount, 100_000)
	number(&c.SnapRetainCount, 3)
	number(&c.MaxBufferBytes, 0xfffff)
	number(&c.OutstandingLimit, 1000)
	if c.SnapBytes == 0 {
		c.SnapBytes = 4 << 30
	}
	if c.PreAllocBytes == 0 {
		c.PreAllocBytes = 64 << 20
	}
	if c.DataLogDir == "" {
		c.DataLogDir = c.DataDir
	}
	return c
}

// ensemble is keys that mean something among several servers only. The sample that comes with ZooKeeper has some of
// them, so they are taken without a word.
var ensemble = []string{"initLimit", "syncLimit", "electionAlg", "peerType", "quorumListenOnAllIPs", "connectToLearnerMasterLimit",
	"syncEnabled", "standaloneEnabled", "reconfigEnabled", "localSessionsEnabled", "localSessionsUpgradingEnabled", "observerMasterPort",
	"leaderServes", "cnxTimeout", "quorum.cnxn.threads.size", "multiAddress.enabled", "multiAddress.reachabilityCheckEnabled",
	"multiAddress.reachabilityCheckTimeoutMs"}

// ParseConfig reads zookeeper.properties or zoo.cfg. A key that has no effect here becomes one of Warnings. Errors name
// the file, the key, and what to do, and wrap ErrConfig unless the file cannot be read.
func ParseConfig(path string) (*Config, error) {
	props, err := config.ReadProperties(path)
	if err != nil {
		return nil, err
	}
	c, err := parse(props)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrConfig, path, err)
	}
	return c, nil
}

func parse(props map[string]string) (*Config, error) {
	r := &reader{props: props, used: map[string]bool{}}
	for k, v := range props {
		props[k] = strings.TrimSpace(v)
	}
	c := &Config{
		DataDir:           r.text("dataDir"),
		DataLogDir:        r.text("dataLogDir"),
		ClientPort:        r.number("clientPort", 0, 0, math.MaxUint16),
		ClientPortAddress: r.text("clientPortAddress"),
		MaxClientCnxns:    r.number("maxClientCnxns", 60, 0, math.MaxInt32),
		TickTime:          r.millis("tickTime", 3000, 1),
		MinSessionTimeout: r.millis("minSessionTimeout", -1, -1),
		MaxSessionTimeout: r.millis("maxSessionTimeout", -1, -1),
		SnapCount:         r.number("snapCount", 100_000, math.MinInt32, math.MaxInt32),
		SnapBytes:         int64(r.number("snapSizeLimitInKb", 4<<20, math.MinInt32, math.MaxInt32)) << 10,
		PreAllocBytes:     int64(r.number("preAllocSize", 64<<10, 0, math.MaxInt32)) << 10,
		SnapRetainCount:   r.number("autopurge.snapRetainCount", 3, math.MinInt32, math.MaxInt32),
		PurgeInterval:     time.Duration(r.number("autopurge.purgeInterval", 0, math.MinInt32, math.MaxInt32)) * time.Hour,
		MaxBufferBytes:    r.number("jute.maxbuffer", 0xfffff, 1, 512<<20),
		OutstandingLimit:  r.number("globalOutstandingLimit", 1000, 1, math.MaxInt32),
		ExtendedTypes:     r.flag("extendedTypesEnabled", "true"),
		SkipACL:           r.flag("skipACL", "yes"),
		ReconfigEnabled:   r.flag("reconfigEnabled", "true"),
		SuperDigest:       r.text("DigestAuthenticationProvider.superDigest"),
		ContainerInterval: r.millis("znode.container.checkIntervalMs", 60_000, 1),
		ContainerUnused:   r.millis("znode.container.maxNeverUsedIntervalMs", 0, 0),
	}
	for _, w := range strings.Split(r.text("4lw.commands.whitelist"), ",") {
		if w = strings.TrimSpace(w); w != "" {
			c.Whitelist = append(c.Whitelist, w)
		}
	}
	r.compression(c)
	r.ensembleKeys()
	if r.err == nil {
		r.err = c.check(r)
	}
	if r.err != nil {
		return nil, r.err
	}
	c.Warnings = append(r.warnings, r.unused()...)
	return c, nil
}

// check looks at what single keys cannot tell, and at what ZooKeeper corrects without refusing it.
func (c *Config) check(r *reader) error {
	_, port := r.props["clientPort"]
	switch {
	case c.DataDir == "":
		return errors.New("dataDir is not set; name a directory for the data")
	case !port:
		return errors.New("clientPort is not set; 2181 is what clients expect")
	case r.text("secureClientPort") != "" || r.text("secureClientPortAddress") != "":
		return errors.New("secureClientPort: TLS is not served yet; use clientPort alone")
	}
	if c.MinSessionTimeout < 0 {
		c.MinSessionTimeout = 2 * c.TickTime
	}
	if c.MaxSessionTimeout < 0 {
		c.MaxSessionTimeout = 20 * c.TickTime
	}
	if c.MinSessionTimeout > c.MaxSessionTimeout {
		return errors.New("minSessionTimeout must not be larger than maxSessionTimeout")
	}
	if c.SnapRetainCount < 3 {
		r.warn("autopurge.snapRetainCount=%d is too small: 3 is used", c.SnapRetainCount)
		c.SnapRetainCount = 3
	}
	if c.SnapCount < 2 {
		r.warn("snapCount=%d is too small: 2 is used", c.SnapCount)
		c.SnapCount = 2
	}
	if c.SnapBytes <= 0 {
		c.SnapBytes = math.MaxInt64
	}
	if c.PreAllocBytes == 0 {
		c.PreAllocBytes = -1
	}
	c.PurgeInterval = max(c.PurgeInterval, 0)
	if c.DataLogDir == "" {
		c.DataLogDir = c.DataDir
	}
	for _, dir := range []string{c.DataDir, c.DataLogDir} {
		if !filepath.IsAbs(dir) && !strings.HasPrefix(dir, "."+string(filepath.Separator)) {
			r.warn("%s is relative: it is taken from the directory that the server is started in; write ./%[1]s to say that it is meant", dir)
		}
	}
	r.warnings = slices.Compact(r.warnings)
	return nil
}

// reader takes values out of properties and remembers the first that is wrong.
type reader struct {
	props    map[string]string
	used     map[string]bool
	warnings []string
	err      error
}

func (r *reader) warn(format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

func (r *reader) fail(key, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%s=%s: %s", key, r.props[key], fmt.Sprintf(format, args...))
	}
}

func (r *reader) text(key string) string {
	r.used[key] = true
	return r.props[key]
}

func (r *reader) number(key string, def, least, most int) int {
	v := r.text(key)
	if v == "" {
		return def
	}
	// As Java's Integer.decode, which system properties are read with, so 0x is possible.
	n, err := strconv.ParseInt(v, 0, 64)
	if err != nil || n < int64(least) || n > int64(most) {
		r.fail(key, "must be a number from %d to %d", least, most)
		return def
	}
	return int(n)
}

func (r *reader) millis(key string, def, least int) time.Duration {
	return time.Duration(r.number(key, def, least, math.MaxInt32)) * time.Millisecond
}

// flag is off unless it has the one value that switches it on. ZooKeeper takes every other value for off.
func (r *reader) flag(key, on string) bool { return strings.EqualFold(r.text(key), on) }

func (r *reader) compression(c *Config) {
	switch method := r.text("snapshot.compression.method"); strings.ToLower(method) {
	case "", "checked":
	case "gz":
		c.SnapshotGzip = true
	default:
		r.warn("snapshot.compression.method=%s is not known here: snapshots are not compressed; gz is possible", method)
	}
}

// ensembleKeys refuses a configuration of several servers. Exactly one server.N line is standalone in ZooKeeper too.
func (r *reader) ensembleKeys() {
	var servers []string
	for k := range r.props {
		if strings.HasPrefix(k, "server.") {
			servers = append(servers, k)
		}
		if strings.HasPrefix(k, "server.") || strings.HasPrefix(k, "group.") || strings.HasPrefix(k, "weight.") ||
			strings.HasPrefix(k, "quorum.auth.") || slices.Contains(ensemble, k) || strings.HasPrefix(k, "admin.") ||
			strings.HasPrefix(k, "metricsProvider.") {
			r.used[k] = true
		}
	}
	slices.Sort(servers)
	if len(servers) > 1 || r.text("dynamicConfigFile") != "" {
		what := strings.Join(servers, ", ")
		if what == "" {
			what = "dynamicConfigFile"
		}
		if r.err == nil {
			r.err = fmt.Errorf("%s: this server runs alone, and this is an ensemble; run Apache ZooKeeper for that: brokers work on it with the same zookeeper.connect", what)
		}
	}
}

// unused is a warning for each key that nobody asked for.
func (r *reader) unused() []string {
	var list []string
	for k := range r.props {
		if !r.used[k] {
			list = append(list, k+" has no effect in this server")
		}
	}
	slices.Sort(list)
	return list
}
