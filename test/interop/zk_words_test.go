package interop

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	zk "gregor/test/zookeeper"
)

// zkVaries are what differs from run to run in the answers to four-letter words, with what is put in its place.
var zkVaries = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`(?i)(zookeeper[. _]version[:=]\s*|zk_version\t).*`), "${1}V"},
	{regexp.MustCompile(`/(127\.0\.0\.1|0:0:0:0:0:0:0:1|\[?::1\]?|\[0:0:0:0:0:0:0:1\]):\d+\[`), "/CLIENT["},
	{regexp.MustCompile(`Latency min/avg/max: \S+`), "Latency T"},
	{regexp.MustCompile(`(lop|est|llat|minlat|avglat|maxlat|lresp|lcxid|lzxid|recved|sent)=[^,)]*`), "$1=N"},
	{regexp.MustCompile(`(zk_(?:avg_latency|min_latency|max_latency|packets_sent|packets_received|open_file_descriptor_count|max_file_descriptor_count)\t).*`), "${1}N"},
	{regexp.MustCompile(`(Received|Sent): \d+`), "$1: N"},
	{regexp.MustCompile(`Zxid: 0x[0-9a-f]+`), "Zxid: Z"},
	{regexp.MustCompile(`(clientPort|dataDir|dataLogDir|dataDirSize|dataLogSize)=.*`), "$1=X"},
	{regexp.MustCompile(`(host\.name|user\.name|user\.home|user\.dir|os\.name|os\.arch|os\.version)=.*`), "$1=X"},
	{regexp.MustCompile(`[A-Z][a-z]{2} [A-Z][a-z]{2} \d+ [\d:]+ \S+ \d{4}`), "DATE"},
	{regexp.MustCompile(`(Session Sets) \(\d+\)`), "$1 (N)"},
}

// zkMonitored is what mntr is documented to say of every server; a release adds counters of its insides as it likes.
var zkMonitored = []string{"zk_version", "zk_server_state", "zk_avg_latency", "zk_min_latency", "zk_max_latency", "zk_packets_received", "zk_packets_sent",
	"zk_num_alive_connections", "zk_outstanding_requests", "zk_znode_count", "zk_watch_count", "zk_ephemerals_count", "zk_approximate_data_size",
	"zk_open_file_descriptor_count", "zk_max_file_descriptor_count", "zk_global_sessions"}

func scriptWords(s *side, word string) {
	text := s.server.Word(s.t, word)
	for id, name := range s.ids() {
		text = regexp.MustCompile(fmt.Sprintf("(?i)0x%x", uint64(id))).ReplaceAllString(text, name)
	}
	for _, v := range zkVaries {
		text = v.pattern.ReplaceAllString(text, v.with)
	}
	lines := strings.Split(text, "\n")
	switch word {
	case "mntr":
		lines = slices.DeleteFunc(lines, func(line string) bool {
			key, _, _ := strings.Cut(line, "\t")
			return !slices.Contains(zkMonitored, key)
		})
		slices.Sort(lines)
	case "envi": // what is Java's or Go's, and what is the system's, differs
		lines = slices.DeleteFunc(lines, func(line string) bool { return regexp.MustCompile(`^(java|os|go)\.`).MatchString(line) })
	case "dump": // how sessions and connections fall into the steps of the clock depends on the moment
		if i := slices.Index(lines, "Connections dump:"); i >= 0 {
			lines = lines[:i+1]
		}
		lines = zkSortBlocks(slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, "expire at") }))
	case "cons", "stat", "wchc", "wchp": // in the order of hash tables
		lines = zkSortBlocks(lines)
	}
	s.say("> %s", word)
	for _, line := range lines {
		s.say("  %s", line)
	}
}

// zkSortBlocks sorts lines that are indented below the line that they belong to, and these blocks.
func zkSortBlocks(lines []string) []string {
	var blocks []string
	for _, line := range lines {
		if len(blocks) > 0 && strings.HasPrefix(line, "\t") {
			blocks[len(blocks)-1] += "\n" + line
		} else {
			blocks = append(blocks, line)
		}
	}
	for i, b := range blocks {
		all := strings.Split(b, "\n")
		slices.Sort(all[1:])
		blocks[i] = strings.Join(all, "\n")
	}
	slices.Sort(blocks)
	return blocks
}

// TestZooKeeperWords compares the answers to four-letter words, line by line.
func TestZooKeeperWords(t *testing.T) {
	words := []string{"ruok", "srvr", "stat", "mntr", "conf", "cons", "dump", "envi", "isro", "wchs", "wchc", "wchp", "crst", "srst", "nope", "ruok\n", "ruo"}
	t.Run("all", func(t *testing.T) {
		ours, apache := zkPair(t, zk.Options{})
		compare(t, ours, apache, func(s *side) {
			for _, word := range []string{"dump", "cons", "wchs", "wchc", "wchp"} { // of an empty server
				scriptWords(s, word)
			}
			s.connect("a", 10_000)
			s.connect("b", 5000)
			s.do("a", create("/words"))
			s.do("a", createOf("/words/e1", zk.Ephemeral))
			s.do("a", createOf("/words/e2", zk.Ephemeral))
			s.do("b", createOf("/words/e3", zk.Ephemeral))
			s.do("a", watch("/words"))
			s.do("b", watch("/words"))
			s.do("b", zk.Read(zk.OpGetChildren, "/words", true))
			s.do("b", zk.Read(zk.OpExists, "/words/none", true))
			s.connect("c", 2000)
			s.do("c", zk.Numbered(zk.OpAddWatch, "/words", zk.WatchPersistentRecur))
			for _, word := range words {
				if word == "ruo" {
					continue // both wait for more
				}
				scriptWords(s, word)
			}
		})
	})
	t.Run("whitelist", func(t *testing.T) {
		ours, apache := zkPair(t, zk.Options{Extra: []string{"4lw.commands.whitelist=ruok, isro"}})
		compare(t, ours, apache, func(s *side) {
			for _, word := range []string{"ruok", "isro", "srvr", "stat", "mntr", "nope"} {
				scriptWords(s, word)
			}
		})
	})
	t.Run("in pieces", func(t *testing.T) {
		ours, apache := zkPair(t, zk.Options{})
		compare(t, ours, apache, func(s *side) {
			for _, pieces := range [][]string{{"r", "uok"}, {"ruok", "ruok"}, {"ruok", "\n"}} {
				c, err := net.Dial("tcp", s.server.Addr)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range pieces {
					_, _ = c.Write([]byte(p))
				}
				_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
				b := make([]byte, 100)
				n, _ := c.Read(b)
				s.say("%q: %q", pieces, b[:n])
				_ = c.Close()
			}
		})
	})
}

// ids are the sessions that have a name.
func (s *side) ids() map[int64]string {
	all := map[int64]string{}
	for _, name := range s.order {
		all[s.conns[name].session] = name
	}
	return all
}
