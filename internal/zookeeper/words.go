package zookeeper

import (
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"gregor/internal/zookeeper/tree"
)

// version is the ZooKeeper that this server behaves like, and what tools look for at the beginning of the line.
const version = "3.8.4"

// words are the four-letter words (class FourLetterCommands). Output is as Apache ZooKeeper prints it, since it is read
// by scripts.
var words = map[string]func(*loop, *conn, *strings.Builder){
	"conf": (*loop).wordConf, "cons": (*loop).wordCons, "crst": (*loop).wordCrst, "dirs": (*loop).wordDirs, "dump": (*loop).wordDump,
	"envi": (*loop).wordEnvi, "isro": (*loop).wordIsro, "mntr": (*loop).wordMntr, "ruok": (*loop).wordRuok, "srst": (*loop).wordSrst,
	"srvr": (*loop).wordSrvr, "stat": (*loop).wordStat, "wchc": (*loop).wordWchc, "wchp": (*loop).wordWchp, "wchs": (*loop).wordWchs,
}

// knownWord tells a four-letter word from the length of a frame. Those of ZooKeeper that look into its Java process
// (gtmk, stmk) and at the digests of single transactions (hash) are words too, but none that this server allows.
func knownWord(s string) bool {
	switch s {
	case "gtmk", "stmk", "hash":
		return true
	}
	_, ok := words[s]
	return ok
}

// allowed says whether the configuration lets a word be answered; srvr always is.
func (c *Config) allowed(word string) bool {
	return word == "srvr" || slices.Contains(c.Whitelist, word) || slices.Contains(c.Whitelist, "*")
}

// word answers a four-letter word.
func (l *loop) word(c *conn, word string) string {
	do, ok := words[word]
	if !ok || !l.s.config.allowed(word) {
		return word + " is not executed because it is not in the whitelist.\n"
	}
	var b strings.Builder
	do(l, c, &b)
	return b.String()
}

func (l *loop) wordRuok(_ *conn, b *strings.Builder) { b.WriteString("imok") }

func (l *loop) wordIsro(_ *conn, b *strings.Builder) { b.WriteString("rw") }

func fullVersion() string {
	revision, built := "gregor", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				revision += "-" + s.Value
			case "vcs.time":
				if t, err := time.Parse(time.RFC3339, s.Value); err == nil {
					built = t.UTC().Format("2006-01-02 15:04 MST")
				}
			}
		}
	}
	return version + "-" + revision + ", built on " + built
}

func (l *loop) wordSrvr(_ *conn, b *strings.Builder) {
	fmt.Fprintf(b, "Zookeeper version: %s\n", fullVersion())
	l.server(b)
}

func (l *loop) wordStat(c *conn, b *strings.Builder) {
	fmt.Fprintf(b, "Zookeeper version: %s\nClients:\n", fullVersion())
	for _, other := range l.byNumber() {
		b.WriteString(l.describe(other, other == c, true))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	l.server(b)
}

func (l *loop) server(b *strings.Builder) {
	s := &l.s.counters
	fmt.Fprintf(b, "Latency min/avg/max: %d/%s/%d\n", l.latency.least(), javaDouble(l.latency.average()), l.latency.max)
	fmt.Fprintf(b, "Received: %d\nSent: %d\nConnections: %d\n", s.received.Load(), s.sent.Load(), len(l.conns))
	fmt.Fprintf(b, "Outstanding: %d\nZxid: %s\nMode: standalone\nNode count: %d\n", l.s.gate.waiting(), hexOf(l.tree.Zxid()), l.nodeCount())
}

// nodeCount counts the root twice, as ZooKeeper does, which knows it by two names.
func (l *loop) nodeCount() int { return l.tree.Counts().Nodes + 1 }

// byNumber gives the connections, the oldest first.
func (l *loop) byNumber() []*conn {
	list := make([]*conn, 0, len(l.conns))
	for _, n := range slices.Sorted(maps.Keys(l.conns)) {
		list = append(list, l.conns[n])
	}
	return list
}

// describe is a line of cons and stat. The figure in brackets says what the server waits for: 1 is requests.
func (l *loop) describe(c *conn, asking, brief bool) string {
	var b strings.Builder
	reads, st := 1, &c.stats
	if asking {
		reads = 0
	}
	fmt.Fprintf(&b, " %s[%d](queued=%d,recved=%d,sent=%d", c, reads, l.s.gate.waitingOf(c.pass), c.received.Load(), st.sent)
	if !brief && c.session != 0 {
		fmt.Fprintf(&b, ",sid=%s,lop=%s,est=%d,to=%d", hexOf(c.session), st.lastOp, c.since.UnixMilli(), c.timeoutMs)
		if st.lastCxid >= 0 {
			fmt.Fprintf(&b, ",lcxid=%s", hexOf(st.lastCxid))
		}
		fmt.Fprintf(&b, ",lzxid=%s,lresp=%d,llat=%d,minlat=%d,avglat=%d,maxlat=%d",
			hexOf(st.lastZxid), st.lastAtMs, st.lastMs, st.latency.least(), int64(st.latency.average()), st.latency.max)
	}
	b.WriteByte(')')
	return b.String()
}

func (l *loop) wordCons(c *conn, b *strings.Builder) {
	for _, other := range l.byNumber() {
		b.WriteString(l.describe(other, other == c, false))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
}

func (l *loop) wordCrst(_ *conn, b *strings.Builder) {
	for _, c := range l.conns {
		c.stats.reset()
		c.received.Store(0)
	}
	b.WriteString("Connection stats reset.\n")
}

func (l *loop) wordSrst(_ *conn, b *strings.Builder) {
	l.latency, l.sizes = newLatency(), newSizes()
	l.s.counters.received.Store(0)
	l.s.counters.sent.Store(0)
	b.WriteString("Server stats reset.\n")
}

func (l *loop) wordDirs(_ *conn, b *strings.Builder) {
	snapshots, log := l.store.Sizes()
	fmt.Fprintf(b, "datadir_size: %d\nlogdir_size: %d\n", snapshots, log)
}

func (l *loop) wordConf(_ *conn, b *strings.Builder) {
	c := &l.s.config
	snapshots, log := l.store.Sizes()
	dir := func(d string) string {
		if abs, err := filepath.Abs(d); err == nil {
			d = abs
		}
		return filepath.Join(d, "version-2")
	}
	fmt.Fprintf(b, "clientPort=%d\nsecureClientPort=-1\ndataDir=%s\ndataDirSize=%d\ndataLogDir=%s\ndataLogSize=%d\n", l.s.port(), dir(c.DataDir), snapshots, dir(c.DataLogDir), log)
	fmt.Fprintf(b, "tickTime=%d\nmaxClientCnxns=%d\nminSessionTimeout=%d\nmaxSessionTimeout=%d\nclientPortListenBacklog=-1\nserverId=0\n",
		c.TickTime.Milliseconds(), c.MaxClientCnxns, c.MinSessionTimeout.Milliseconds(), c.MaxSessionTimeout.Milliseconds())
}

func (l *loop) wordDump(c *conn, b *strings.Builder) {
	fmt.Fprintf(b, "SessionTracker dump:\nSession Sets (%d)/(%d):\n", len(l.expiry.buckets), len(l.expiry.at))
	for _, due := range slices.Sorted(maps.Keys(l.expiry.buckets)) {
		set := l.expiry.buckets[due]
		fmt.Fprintf(b, "%d expire at %s:\n", len(set), javaDate(l.start.Add(time.Duration(due)*time.Millisecond)))
		for _, id := range slices.Sorted(maps.Keys(set)) {
			fmt.Fprintf(b, "\t%s\n", hexOf(id))
		}
	}
	owners := l.tree.EphemeralOwners()
	fmt.Fprintf(b, "ephemeral nodes dump:\nSessions with Ephemerals (%d):\n", len(owners))
	for _, id := range owners {
		fmt.Fprintf(b, "%s:\n", hexOf(id))
		for _, path := range l.tree.Ephemerals(id) {
			fmt.Fprintf(b, "\t%s\n", path)
		}
	}
	// ZooKeeper lists connections by when they expire. Here they end with their sessions, so there is one set.
	fmt.Fprintf(b, "Connections dump:\nConnections Sets (1)/(%d):\n%d expire at %s:\n", len(l.conns), len(l.conns), javaDate(time.Now().Add(l.s.config.MaxSessionTimeout)))
	for _, other := range l.byNumber() {
		fmt.Fprintf(b, "\tip: %s sessionId: %s\n", other, hexOf(other.session))
	}
}

func (l *loop) wordEnvi(_ *conn, b *strings.Builder) {
	host, _ := os.Hostname()
	dir, _ := os.Getwd()
	name, home := "", ""
	if u, err := user.Current(); err == nil {
		name, home = u.Username, u.HomeDir
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Fprintf(b, "Environment:\nzookeeper.version=%s\nhost.name=%s\ngo.version=%s\nos.name=%s\nos.arch=%s\n", fullVersion(), host, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(b, "user.name=%s\nuser.home=%s\nuser.dir=%s\nos.memory.free=%dMB\nos.memory.total=%dMB\n", name, home, dir, (m.HeapIdle-m.HeapReleased)>>20, (m.Sys-m.HeapReleased)>>20)
}

func (l *loop) wordWchs(_ *conn, b *strings.Builder) {
	n := l.watches.Counts()
	fmt.Fprintf(b, "%d connections watching %d paths\nTotal watches:%d\n", n.Watchers, n.Paths, n.Watches)
}

func (l *loop) wordWchp(_ *conn, b *strings.Builder) {
	for path, by := range l.watches.ByPath() {
		fmt.Fprintf(b, "%s\n", path)
		for _, w := range by {
			fmt.Fprintf(b, "\t%s\n", l.sessionOf(w))
		}
	}
	b.WriteByte('\n')
}

func (l *loop) wordWchc(_ *conn, b *strings.Builder) {
	paths := map[tree.Watcher][]string{}
	for path, by := range l.watches.ByPath() {
		for _, w := range by {
			paths[w] = append(paths[w], path)
		}
	}
	for _, w := range slices.Sorted(maps.Keys(paths)) {
		fmt.Fprintf(b, "%s\n", l.sessionOf(w))
		for _, path := range paths[w] {
			fmt.Fprintf(b, "\t%s\n", path)
		}
	}
	b.WriteByte('\n')
}

func (l *loop) sessionOf(w tree.Watcher) string {
	if c := l.conns[w]; c != nil {
		return hexOf(c.session)
	}
	return hexOf(0)
}
