package cli

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// closedPort is an address that nothing listens on.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestDialerGivesUpAndSaysWhatToChange(t *testing.T) {
	address := closedPort(t)
	var warnings bytes.Buffer
	d := &dialer{warnings: &warnings, seeds: []string{address}, patience: 250 * time.Millisecond}
	_, err := d.DialContext(context.Background(), "tcp", address)
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) {
		t.Fatal(err)
	}
	for _, part := range []string{address, "connection refused", "--bootstrap-server", "default.api.timeout.ms"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
	if n := strings.Count(warnings.String(), "\n"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, warnings.String())
	}
}

func TestDialerTriesEveryBootstrapAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dead, alive := closedPort(t), l.Addr().String()
	d := &dialer{warnings: &bytes.Buffer{}, seeds: []string{dead, alive}, patience: time.Minute}
	conn, err := d.DialContext(context.Background(), "tcp", dead)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if conn.RemoteAddr().String() != alive {
		t.Errorf("connected to %s", conn.RemoteAddr())
	}
	// Now that the cluster is known, a broker that is gone is the client's matter at once.
	if _, err := d.DialContext(context.Background(), "tcp", dead); err == nil {
		t.Error("connected to a closed port")
	} else if errors.As(err, new(*UnreachableError)) {
		t.Error("waited for a broker of a cluster that is known")
	}
}

// A name that nobody knows is a mistake that no wait mends. (.invalid is kept from ever being one, RFC 6761; without any name
// service it is not known to be unknown.)
func TestDialerGivesUpAtOnceWithoutAHost(t *testing.T) {
	const host = "gregor.invalid"
	if _, err := net.DefaultResolver.LookupHost(context.Background(), host); unknownHost(err) == nil {
		t.Skipf("the name service does not say that %s does not exist: %v", host, err)
	}
	var warnings bytes.Buffer
	d := &dialer{warnings: &warnings, seeds: []string{host + ":9092"}} // without end
	_, err := d.DialContext(context.Background(), "tcp", host+":9092")
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || err.Error() != `No address is known for host "gregor.invalid". Correct --bootstrap-server.` || warnings.Len() > 0 {
		t.Errorf("%v; warned: %q", err, warnings.String())
	}
}

func TestDialerStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	address := closedPort(t)
	d := &dialer{warnings: cancelOnWrite{cancel}, seeds: []string{address}} // without end
	if _, err := d.DialContext(ctx, "tcp", address); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// cancelOnWrite calls off the work at its first warning.
type cancelOnWrite struct{ cancel context.CancelFunc }

func (c cancelOnWrite) Write(p []byte) (int, error) { c.cancel(); return len(p), nil }

func TestToolReportsUnreachableCluster(t *testing.T) {
	path := t.TempDir() + "/fast.properties"
	writeText(t, path, "default.api.timeout.ms=200\n")
	code, stdout, _ := run(t, topicsCommand(), "", "--bootstrap-server", closedPort(t), "--command-config", path, "--list")
	if code != 1 || !strings.HasPrefix(stdout, "Error while executing topic command : No broker could be reached at ") {
		t.Error(code, stdout)
	}
}
