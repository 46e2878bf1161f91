// Package interop holds the tests that put this project beside Apache Kafka and librdkafka: their tools and clients on our
// broker, our tools' output beside theirs, and data directories that change hands. They need Java, Maven and kcat, and
// run with `make interop` only.
//
// Two variables choose what is compared, to find out on which side a difference is:
//
//	GREGOR_TARGET=apache  the broker is Apache Kafka
//	GREGOR_TOOLS=apache   the tools called ours are Apache Kafka's: then every difference is one of the suite's own making
package interop

import (
	"fmt"
	"os"
	"testing"

	"gregor/test/reference"
	"gregor/test/server"
)

func TestMain(m *testing.M) {
	if os.Getenv("GREGOR_INTEROP") == "" {
		fmt.Println("needs Java, Maven and kcat: run make interop")
		os.Exit(0)
	}
	server.Main(m)
}

func kafka(t *testing.T) *reference.Kafka {
	t.Helper()
	k, err := reference.Fetch(t.Context(), reference.Version)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
