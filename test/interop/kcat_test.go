package interop

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"gregor/test/client"
	"gregor/test/server"
)

// TestKcat uses kcat, and so librdkafka, in its four modes: list, produce, consume, group.
func TestKcat(t *testing.T) {
	if _, err := exec.LookPath("kcat"); err != nil {
		t.Fatal("kcat is not installed (Debian: apt-get install kcat)")
	}
	s := server.Start(t, server.Options{})
	client.Create(t, s.Addr, "kcat", 2)

	if out := kcat(t, s, "", "-L"); !strings.Contains(out, "1 brokers:") || !strings.Contains(out, `topic "kcat" with 2 partitions:`) ||
		!strings.Contains(out, "partition 1, leader 1, replicas: 1, isrs: 1") {
		t.Errorf("kcat -L says\n%s", out)
	}
	if out := kcat(t, s, "", "-L", "-J", "-t", "kcat"); !strings.Contains(out, `"topic":"kcat"`) || !strings.Contains(out, `"controllerid":1`) {
		t.Errorf("kcat -L -J says\n%s", out)
	}

	var want []string
	for i, codec := range client.Sorted(client.Codecs) {
		line := fmt.Sprintf("key-%d:value in %s", i, codec)
		kcat(t, s, line+"\n", "-P", "-t", "kcat", "-p", "0", "-K:", "-z", codec, "-H", "codec="+codec)
		want = append(want, fmt.Sprintf("%d codec=%s %s", i, codec, line))
	}
	kcat(t, s, "null:\n", "-P", "-t", "kcat", "-p", "0", "-K:", "-Z")
	want = append(want, "5  null:")
	if got := kcat(t, s, "", "-C", "-t", "kcat", "-p", "0", "-e", "-f", `%o %h %k:%s\n`); got != strings.Join(want, "\n")+"\n" {
		t.Errorf("kcat -C printed\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if got := kcat(t, s, "", "-C", "-t", "kcat", "-p", "0", "-o", "-2", "-c", "1", "-f", `%o\n`); got != "4\n" {
		t.Errorf("kcat -C -o -2 -c 1 printed %q", got)
	}
	if got := kcat(t, s, "", "-C", "-t", "kcat", "-p", "0", "-e", "-X", "check.crcs=true", "-f", "%o "); got != "0 1 2 3 4 5 " {
		t.Errorf("kcat -C with its check of checksums printed %q", got)
	}
	if got := kcat(t, s, "", "-Q", "-t", "kcat:0:-1"); !strings.Contains(got, "offset 6") {
		t.Errorf("kcat -Q printed %q", got)
	}

	// A balanced group: what one run has committed, the next does not print again.
	group := []string{"-X", "auto.offset.reset=earliest", "-f", `%s\n`, "-c", "3", "-G", "kcat-group", "kcat"}
	first := strings.Split(strings.TrimSpace(kcat(t, s, "", group...)), "\n")
	second := strings.Split(strings.TrimSuffix(kcat(t, s, "", group...), "\n"), "\n")
	if len(first) != 3 || len(second) != 3 || first[0] != "value in gzip" || second[0] != "value in snappy" {
		t.Errorf("kcat -G printed first %q, then %q", first, second)
	}

	// Idempotent, many records, then counted.
	var lines strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&lines, "%d\n", i)
	}
	kcat(t, s, lines.String(), "-P", "-t", "kcat", "-p", "1", "-X", "enable.idempotence=true", "-z", "lz4")
	if got := kcat(t, s, "", "-C", "-t", "kcat", "-p", "1", "-e"); got != lines.String() {
		t.Errorf("of 20000 lines came back %d, or in another order", strings.Count(got, "\n"))
	}
}

func kcat(t *testing.T, s *server.Server, stdin string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var stdout, stderr bytes.Buffer
	// -q: no word about an end of a partition among the errors.
	cmd := exec.CommandContext(ctx, "kcat", append([]string{"-b", s.Addr, "-q", "-m", "10"}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("kcat %q: %v\n%s", args, err, stderr.String())
	}
	return stdout.String()
}
