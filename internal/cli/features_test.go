package cli

import (
	"bytes"
	"strings"
	"testing"
)

// The answers that need no cluster, against those of Apache Kafka 4.3.0's tool.
func TestFeaturesOffline(t *testing.T) {
	for line, want := range map[string]string{
		"version-mapping": "metadata.version=30 (4.3-IV0)\nkraft.version=1\ntransaction.version=2\ngroup.version=1\n" +
			"eligible.leader.replicas.version=1\nshare.version=1\nstreams.version=1\n",
		"version-mapping --release-version 4.0": "metadata.version=25 (4.0)\nkraft.version=1\ntransaction.version=2\ngroup.version=1\n" +
			"eligible.leader.replicas.version=0\nshare.version=0\nstreams.version=0\n",
		"version-mapping --release-version 3.9-IV0": "metadata.version=21 (3.9-IV0)\nkraft.version=1\ntransaction.version=0\ngroup.version=0\n" +
			"eligible.leader.replicas.version=0\nshare.version=0\nstreams.version=0\n",
		"version-mapping --release-version 4.0-IV1": "metadata.version=23 (4.0-IV1)\nkraft.version=1\ntransaction.version=0\ngroup.version=1\n" +
			"eligible.leader.replicas.version=0\nshare.version=0\nstreams.version=0\n",
		"feature-dependencies --feature metadata.version=25 --feature group.version=1": "metadata.version=25 (4.0-IV3) has no dependencies.\ngroup.version=1 has no dependencies.\n",
		"feature-dependencies --feature eligible.leader.replicas.version=1":            "eligible.leader.replicas.version=1 requires:\n    metadata.version=23 (4.0-IV1)\n",
		"feature-dependencies --feature transaction.version=9":                         "!No feature:transaction.version with feature level 9",
		"feature-dependencies --feature metadata.version=99":                           "!Unknown metadata.version 99",
		"feature-dependencies --feature nosuch=1":                                      "!Unknown feature: nosuch",
		"feature-dependencies --feature x":                                             "!Can't parse feature=level string x: equals sign not found.",
		"feature-dependencies --feature x=y":                                           "!Can't parse feature=level string x=y: unable to parse y as a short.",
		"feature-dependencies":                                                         "!Command line error: argument --feature is required. Type --help for help.",
		"--bootstrap-server a:1 upgrade":                                               "!You must specify at least one feature to upgrade",
		"--bootstrap-server a:1 disable":                                               "!You must specify at least one feature to disable",
		"--bootstrap-server a:1 upgrade --feature x=1 --feature x=2":                   "!Feature x was specified more than once.",
		"--bootstrap-server a:1 upgrade --release-version 4.2 --feature x=1":           "!Can not specify `release-version` with other feature flags.",
		"--bootstrap-server a:1 --bootstrap-controller b:1 describe":                   "!Command line error: argument --bootstrap-controller: not allowed with argument --bootstrap-server. Type --help for help.",
		"describe": "!Command line error: You must specify either --bootstrap-controller or --bootstrap-server.. Type --help for help.",
		"nosuch":   "!Command line error: invalid choice: 'nosuch' (choose from 'describe', 'upgrade', 'downgrade', 'disable', 'version-mapping', 'feature-dependencies'). Type --help for help.",
		"version-mapping --release-version 4.4": "!Unknown metadata.version '4.4'. Supported metadata.version are: 3.3-IV3, 3.4-IV0, 3.5-IV0, 3.5-IV1, 3.5-IV2, 3.6-IV0, 3.6-IV1, 3.6-IV2, " +
			"3.7-IV0, 3.7-IV1, 3.7-IV2, 3.7-IV3, 3.7-IV4, 3.8-IV0, 3.9-IV0, 4.0-IV0, 4.0-IV1, 4.0-IV2, 4.0-IV3, 4.1-IV0, 4.1-IV1, 4.2-IV0, 4.2-IV1, 4.3-IV0, 4.4-IV0",
	} {
		var out, errs bytes.Buffer
		code := featuresCommand().Exec(t.Context(), strings.Fields(line), IO{strings.NewReader(""), &out, &errs})
		want, fails := strings.CutPrefix(want, "!")
		got := out.String()
		if fails {
			got = strings.TrimSuffix(errs.String(), "\n")
		}
		if (code == 0) == fails || got != want {
			t.Errorf("%s: code %d, %q, want %q", line, code, got, want)
		}
	}
}

func TestFeatureLevelText(t *testing.T) {
	for level, want := range map[int16]string{7: "3.3-IV3", 30: "4.3-IV0", 0: "UNKNOWN 0", 99: "UNKNOWN 99"} {
		if got := levelText(metadataVersion, level); got != want {
			t.Errorf("level %d is %q, want %q", level, got, want)
		}
	}
	if got := levelText("share.version", 1); got != "1" {
		t.Error(got)
	}
}
