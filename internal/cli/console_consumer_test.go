package cli

import (
	"bytes"
	"strings"
	"testing"

	"gregor"
)

// A partition that is not there is waited for, as Kafka's consumer does, but not in silence.
func TestConsumerOfAPartitionThatIsNotThere(t *testing.T) {
	broker, err := gregor.Start(t.Context(), gregor.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	const warning = "WARN Topic t has no partition 7 yet: it has 1, counted from 0. Waiting for it.\n"
	for partition, want := range map[string]string{"0": "", "7": warning} {
		var errs bytes.Buffer
		args := []string{"--bootstrap-server", broker.Addr(), "--topic", "t", "--timeout-ms", "500", "--partition", partition}
		if code := consoleConsumerCommand().Exec(t.Context(), args, IO{In: strings.NewReader(""), Out: &errs, Err: &errs}); code != 0 || !strings.HasSuffix(errs.String(), want+"Processed a total of 0 messages\n") || strings.Contains(errs.String(), "partition") != (want != "") {
			t.Errorf("partition %s: exit code %d, %q", partition, code, errs.String())
		}
	}
}
