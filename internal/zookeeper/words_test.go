package zookeeper

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"

	"gregor/internal/zookeeper/proto"
)

// TestWords compares the answers with those of Apache ZooKeeper 3.8.4, but for figures that differ from run to run.
func TestWords(t *testing.T) {
	ts := newServer(t)
	p := ts.session(60000)
	p.must(create("/a", "hello"))
	p.must(ephemeral("/a/e"))
	p.must(&proto.GetDataRequest{Path: "/a", Watch: true})
	if h, _ := p.do(exists("/nope", true)); h.Err != proto.NoNode {
		t.Fatal(h)
	}
	sid := fmt.Sprintf("0x%x", p.session)
	local := strings.ReplaceAll(p.LocalAddr().String(), ".", `\.`)
	port := ts.Addr().(*net.TCPAddr).Port
	server := `Latency min/avg/max: \d+/\d+\.\d+/\d+\nReceived: \d+\nSent: \d+\nConnections: 2\nOutstanding: 0\nZxid: 0x3\nMode: standalone\nNode count: 7\n`
	version := `Zookeeper version: 3\.8\.4-\S+, built on [^\n]+\n`
	date := `\w{3} \w{3} \d\d \d\d:\d\d:\d\d \w+ \d{4}`
	for word, want := range map[string]string{
		"ruok": `imok`,
		"isro": `rw`,
		"srvr": version + server,
		"stat": version + `Clients:\n /` + local + `\[1\]\(queued=0,recved=5,sent=5\)\n /127\.0\.0\.1:\d+\[0\]\(queued=0,recved=1,sent=0\)\n\n` + server,
		"cons": ` /` + local + `\[1\]\(queued=0,recved=5,sent=5,sid=` + sid + `,lop=EXIS,est=\d+,to=60000,lcxid=0x4,lzxid=0x3,lresp=\d+,llat=\d+,minlat=\d+,avglat=\d+,maxlat=\d+\)\n` +
			` /127\.0\.0\.1:\d+\[0\]\(queued=0,recved=1,sent=0\)\n\n`,
		"conf": fmt.Sprintf(`clientPort=%d\nsecureClientPort=-1\ndataDir=/zk/version-2\ndataDirSize=\d+\ndataLogDir=/zk/version-2\ndataLogSize=\d+\ntickTime=100\nmaxClientCnxns=0\nminSessionTimeout=200\nmaxSessionTimeout=60000\nclientPortListenBacklog=-1\nserverId=0\n`, port),
		"dump": `SessionTracker dump:\nSession Sets \(1\)/\(1\):\n1 expire at ` + date + `:\n\t` + sid + `\nephemeral nodes dump:\nSessions with Ephemerals \(1\):\n` + sid + `:\n\t/a/e\n` +
			`Connections dump:\nConnections Sets \(1\)/\(2\):\n2 expire at ` + date + `:\n\tip: /` + local + ` sessionId: ` + sid + `\n\tip: /127\.0\.0\.1:\d+ sessionId: 0x0\n`,
		"wchs": `1 connections watching 2 paths\nTotal watches:2\n`,
		"wchc": sid + `\n\t/a\n\t/nope\n\n`,
		"wchp": `/a\n\t` + sid + `\n/nope\n\t` + sid + `\n\n`,
		"dirs": `datadir_size: \d+\nlogdir_size: \d+\n`,
		"envi": `Environment:\nzookeeper\.version=3\.8\.4-.*\n(.+=.*\n)+`,
		"mntr": `zk_version\t3\.8\.4-.*\nzk_server_state\tstandalone\nzk_ephemerals_count\t1\nzk_num_alive_connections\t2\n(zk_\w+\t[\d.-]+\n)+`,
		"gtmk": `gtmk is not executed because it is not in the whitelist\.\n`,
	} {
		if got := ts.word(word); !regexp.MustCompile(`^` + want + `$`).MatchString(got) {
			t.Errorf("%s:\n%s\nwant\n%s", word, got, want)
		}
		eventually(t, "the connection ends", func() bool { return len(ts.connections()) == 1 })
	}
	if got := ts.word("mntr"); !strings.Contains(got, "zk_watch_count\t2\n") || !strings.Contains(got, "zk_znode_count\t7\n") {
		t.Error(got)
	}
	if got := ts.word("crst") + ts.word("srst"); got != "Connection stats reset.\nServer stats reset.\n" {
		t.Error(got)
	}
	if got := ts.word("stat"); !strings.Contains(got, "(queued=0,recved=0,sent=0)") || !strings.Contains(got, "Sent: 0\n") {
		t.Error(got)
	}
}

// TestWhitelist answers srvr alone unless the configuration names more. A client may end its half of the connection
// before it reads, as netcat does.
func TestWhitelist(t *testing.T) {
	ts := newServer(t, func(c *Config) { c.Whitelist = []string{"ruok"} })
	for word, want := range map[string]string{"ruok\n": "imok", "stat": "stat is not executed because it is not in the whitelist.\n", "srvr": "Zookeeper version: "} {
		p := ts.dial()
		if _, err := io.WriteString(p, word); err != nil {
			t.Fatal(err)
		}
		if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil || !strings.HasPrefix(string(b), want) {
			t.Errorf("%q: %q, %v", word, b, err)
		}
	}
}
