package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestJaasCredentials(t *testing.T) {
	for jaas, want := range map[string][2]string{
		`org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="secret";`:     {"alice", "secret"},
		`org.apache.kafka.common.security.scram.ScramLoginModule required username='a b' password='x"y=z;';`:       {"a b", `x"y=z;`},
		`org.apache.kafka.common.security.plain.PlainLoginModule required password=p username=u;`:                  {"u", "p"},
		`org.apache.kafka.common.security.plain.PlainLoginModule required username="q\"u" password="back\\slash";`: {`q"u`, `back\slash`},
	} {
		user, password, err := jaasCredentials(jaas)
		if err != nil || user != want[0] || password != want[1] {
			t.Errorf("%s: %q %q %v", jaas, user, password, err)
		}
	}
	if _, _, err := jaasCredentials(`PlainLoginModule required username="alice";`); err == nil || !strings.Contains(err.Error(), "sasl.jaas.config") {
		t.Error(err)
	}
}

// TestSecurityIsUnderstoodOrRefused: a setting that cannot be followed is refused by its name, never passed over.
func TestSecurityIsUnderstoodOrRefused(t *testing.T) {
	jaas := `sasl.jaas.config=X required username="u" password="p";`
	dir := t.TempDir()
	jks := filepath.Join(dir, "store.jks")
	if err := os.WriteFile(jks, []byte{0xfe, 0xed}, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		lines []string
		want  string // what the error names; "" for none
	}{
		{[]string{"security.protocol=PLAINTEXT"}, ""},
		{[]string{"security.protocol=plaintext"}, ""},
		{[]string{"security.protocol=SSL"}, ""},
		{[]string{"security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN", jaas}, ""},
		{[]string{"security.protocol=SASL_SSL", "sasl.mechanism=SCRAM-SHA-512", jaas}, ""},
		{[]string{"security.protocol=TLS"}, "security.protocol"},
		{[]string{"security.protocol=SASL_PLAINTEXT", jaas}, "sasl.mechanism"},
		{[]string{"security.protocol=SASL_PLAINTEXT", "sasl.mechanism=OAUTHBEARER", jaas}, "sasl.mechanism"},
		{[]string{"security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN"}, "sasl.jaas.config"},
		{[]string{"security.protocol=SSL", "ssl.truststore.location=" + jks}, "ssl.truststore.type"},
		{[]string{"security.protocol=SSL", "ssl.keystore.type=PKCS12", "ssl.keystore.location=" + jks}, "ssl.keystore.type"},
		{[]string{"security.protocol=SSL", "ssl.truststore.type=PEM", "ssl.truststore.location=" + jks + ".missing"}, "ssl.truststore.location"},
		{[]string{"request.timeout.ms=soon"}, "request.timeout.ms"},
		{[]string{"default.api.timeout.ms=-1"}, "default.api.timeout.ms"},
	} {
		client, err := NewClient(IO{}, "localhost:9092", KeyValues(test.lines))
		if client != nil {
			client.Close()
		}
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%v: %v", test.lines, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%v: error %v does not name %s", test.lines, err, test.want)
		}
	}
}

func TestParseBootstrap(t *testing.T) {
	for list, want := range map[string]string{
		"localhost:9092":             "localhost:9092",
		"a:1, b:2,":                  "a:1 b:2",
		"PLAINTEXT://a:1":            "a:1",
		"[::1]:9092":                 "[::1]:9092",
		"":                           "error",
		"localhost":                  "error",
		"localhost:0":                "error",
		"localhost:65536":            "error",
		":9092":                      "error",
		"localhost:kafka,other:9092": "error",
	} {
		seeds, err := parseBootstrap(list)
		got := strings.Join(seeds, " ")
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %s (%v), want %s", list, got, err, want)
		}
	}
}

func TestLoadProperties(t *testing.T) {
	path := filepath.Join(t.TempDir(), "client.properties")
	text := "# comment\nclient.id = a b\nsasl.jaas.config=x \\\n  required;\nkeep=${this}\nuni=\\u00e9\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := LoadProperties(path)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"client.id": "a b", "sasl.jaas.config": "x required;", "keep": "${this}", "uni": "é"} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	if _, err := LoadProperties(path + ".missing"); err == nil || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
}
