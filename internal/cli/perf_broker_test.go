package cli

import (
	"bytes"
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gregor"
)

// Produce, consume, and look at the files: the three tools on a broker in this process.
func TestPerfToolsOnABroker(t *testing.T) {
	dir := t.TempDir()
	broker, err := gregor.Start(t.Context(), gregor.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	server := []string{"--bootstrap-server", broker.Addr(), "--topic", "load"}
	run := func(c Command, want string, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		code := c.Exec(t.Context(), append(args, server...), IO{In: strings.NewReader(""), Out: &out, Err: &errs})
		if code != 0 || !regexp.MustCompile(`^(?:`+want+`)$`).MatchString(out.String()) {
			t.Fatalf("%v: exit code %d\n%s%swant %s", args, code, out.String(), errs.String(), want)
		}
	}
	const (
		rate  = `\d+\.\d{6} records/sec \(\d+\.\d\d MB/sec\), \d+\.\d\d ms avg latency, \d+\.00 ms max latency, \d+ ms 50th, \d+ ms 95th, \d+ ms 99th, \d+ ms 99\.9th\.\n`
		date  = `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d:\d{3}`
		times = `, \d+\.\d{4}, `
	)
	run(producerPerfCommand(), `2000 records sent, `+rate, "--num-records", "2000", "--throughput", "-1", "--record-size", "100", "--command-property", "compression.type=zstd", "batch.size=2000")
	run(producerPerfCommand(), `Warmup first 10 records\..*\n(?s:.*)50 records sent, `+rate+`40 steady state records sent, `+rate+`\nMetric Name +Value\n(producer-metrics:.* : .*\n)+`,
		"--num-records", "50", "--throughput", "1000", "--payload-monotonic", "--warmup-records", "10", "--print-metrics", "--command-property", "linger.ms=0")
	file := filepath.Join(dir, "lines.txt")
	writeFile(t, file, []byte("one;two;three;;"))
	run(producerPerfCommand(), `Reading payloads from: .*lines.txt\nNumber of records read: 3\n20 records sent, `+rate, "--num-records", "20", "--throughput", "-1", "--payload-file", file, "--payload-delimiter", ";")
	run(consumerPerfCommand(), `start.time, .*\n`+date+`, `+date+`, 0\.19\d\d`+times+`2070`+times+`\d+, -?\d+, .*\n`, "--num-records", "2070")
	run(consumerPerfCommand(), date+`, 0, `+`(?s:.*)\n`, "--num-records", "2070", "--show-detailed-stats", "--hide-header", "--reporting-interval", "1")
	run(consumerPerfCommand(), `start.time, .*\nWARNING: Exiting before consuming .* \(300 ms\) exceeded.*\n.*, 2070, .*\n`, "--num-records", "3000", "--timeout", "300", "--group", "g")

	// A topic that cannot be: every record fails, the error comes once.
	var out, errs bytes.Buffer
	args := []string{"--bootstrap-server", broker.Addr(), "--topic", "not/valid", "--num-records", "5", "--throughput", "-1", "--payload-monotonic"}
	if code := producerPerfCommand().Exec(t.Context(), args, IO{Out: &out, Err: &errs}); code != 1 || strings.Count(errs.String(), "\n") != 2 || !strings.HasPrefix(out.String(), "0 records sent, ") {
		t.Errorf("exit code %d, %q, %q", code, out.String(), errs.String())
	}
	// Ctrl-C: the totals so far, and the exit code of an interrupted program.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out.Reset()
	args = append(server, "--num-records", "1000", "--throughput", "1", "--payload-monotonic")
	if code := producerPerfCommand().Exec(ctx, args, IO{Out: &out, Err: &errs}); code != interrupted || !strings.Contains(out.String(), "0 records sent") {
		t.Errorf("exit code %d, %q", code, out.String())
	}

	if err := broker.Close(); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "load-0", segmentZero)
	dump, problems, code := runDumpLog(t, "--print-data-log", "--files", log+".log,"+log+".index,"+log+".timeindex")
	if code != 0 || problems != "" || strings.Count(dump, "\n| offset: ") != 2070 || strings.Contains(dump, "isvalid: false") || !strings.Contains(dump, "compresscodec: zstd") {
		t.Errorf("exit code %d, %s\n%.2000s", code, problems, dump)
	}
}
