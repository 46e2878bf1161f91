package cli

import "testing"

func TestJavaText(t *testing.T) {
	const bad = "\uFFFD"
	// What new String(bytes, UTF_8) gives in Java 17.
	for in, want := range map[string]string{
		"plain":                   "plain",
		"\xc3\xa4 \xe2\x82\xac":   "\u00e4 \u20ac",
		"\xf0\x9f\x98\x80":        "\U0001F600",
		"a\x80b":                  "a" + bad + "b",
		"\xc0\x80":                bad + bad,
		"\xc3":                    bad,
		"\xc3(":                   bad + "(",
		"\xe2\x82":                bad,
		"\xe2\x82(":               bad + "(",
		"\xe0\x80\x80":            bad + bad + bad,
		"\xed\xa0\x80":            bad, // a surrogate
		"\xf0\x9f\x98":            bad,
		"\xf0\x9f\x98(":           bad + "(",
		"\xf0\x9f(":               bad + "(",
		"\xf0\x80\x80\x80":        bad + bad + bad + bad,
		"\xf4\x90\x80\x80":        bad + bad + bad + bad,
		"\xf5\x80":                bad + bad,
		"\xff\xfe":                bad + bad,
		"\xef\xbf\xbd":            bad, // U+FFFD itself
		"x\xe2\xe2\x82\xac\x82 y": "x" + bad + "\u20ac" + bad + " y",
	} {
		if got := javaText([]byte(in)); got != want {
			t.Errorf("%q: got %+q, want %+q", in, got, want)
		}
	}
}
