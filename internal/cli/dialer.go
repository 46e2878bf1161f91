package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// UnreachableError means that no broker could be connected to for the time that was allowed, or at all, since nobody knows
// the hosts. It is the tool's last word, so it does not unwrap: the client would take what is below it for a reason to try again.
type UnreachableError struct {
	Option string // that named the seeds; "": --bootstrap-server
	Seeds  []string
	After  time.Duration
	Last   error
}

func (e *UnreachableError) Error() string {
	kind, option := "broker", bootstrapServer
	if e.Option == bootstrapController {
		kind, option = "controller", e.Option
	}
	if dns := unknownHost(e.Last); dns != nil {
		return fmt.Sprintf("No address is known for host %q. Correct %s.", dns.Name, option)
	}
	return fmt.Sprintf("No %s could be reached at %s within %s: %v. Is one running there? Correct %s, or wait longer with default.api.timeout.ms in the --command-config file.",
		kind, strings.Join(e.Seeds, ","), e.After, reason(e.Last), option)
}

// unknownHost is err as what the name service says of a host that does not exist; nil if it is something else.
func unknownHost(err error) *net.DNSError {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return dns
	}
	return nil
}

// reason strips the layers off a dial error: "connection refused".
func reason(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// dialer connects to brokers. Until the first connection stands it tries all bootstrap addresses in turn, says once
// what is wrong, and gives up after its patience, so that a wrong address does not look like a slow cluster; at once, as Kafka's
// tools, if no host exists. After that, what to try again is the client's matter.
type dialer struct {
	warnings io.Writer
	option   string // that named the seeds
	seeds    []string
	tls      *tls.Config   // nil: plaintext
	patience time.Duration // 0: without end

	mu     sync.Mutex
	ever   bool
	warned time.Time
}

const (
	dialTimeout  = 10 * time.Second
	dialPause    = 100 * time.Millisecond
	warnInterval = 10 * time.Second
)

// DialContext has the signature that kgo.Dialer wants.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	addresses := []string{address}
	waiting := !d.connected() && slices.Contains(d.seeds, address)
	if waiting {
		for _, seed := range d.seeds {
			if seed != address {
				addresses = append(addresses, seed)
			}
		}
	}
	began := time.Now()
	for {
		var last error
		unknown := 0
		for _, a := range addresses {
			conn, err := d.once(ctx, network, a)
			if err == nil {
				d.succeeded()
				return conn, nil
			}
			if ctx.Err() != nil {
				return nil, err
			}
			last = err
			var handshake *tlsError
			if errors.As(err, &handshake) {
				return nil, err
			}
			if unknownHost(err) != nil {
				unknown++
			} else {
				d.warn(a, err)
			}
		}
		if !waiting {
			return nil, last
		}
		if unknown == len(addresses) {
			return nil, &UnreachableError{Option: d.option, Seeds: d.seeds, Last: last}
		}
		if d.patience > 0 && time.Since(began)+dialPause > d.patience {
			return nil, &UnreachableError{Option: d.option, Seeds: d.seeds, After: d.patience, Last: last}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(dialPause):
		}
	}
}

// tlsError is a handshake that failed: the broker is there, trying again does not help.
type tlsError struct {
	address string
	err     error
}

func (e *tlsError) Error() string {
	return fmt.Sprintf("TLS with %s failed: %v. Check security.protocol and the ssl.truststore and ssl.keystore settings in the --command-config file.", e.address, e.err)
}

func (e *tlsError) Unwrap() error { return e.err }

func (d *dialer) once(ctx context.Context, network, address string) (net.Conn, error) {
	plain := &net.Dialer{Timeout: dialTimeout}
	conn, err := plain.DialContext(ctx, network, address)
	if err != nil || d.tls == nil {
		return conn, err
	}
	config := d.tls.Clone()
	config.ServerName, _, _ = net.SplitHostPort(address)
	secure := tls.Client(conn, config)
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, &tlsError{address: address, err: err}
	}
	return secure, nil
}

func (d *dialer) connected() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ever
}

func (d *dialer) succeeded() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ever = true
	d.warned = time.Time{}
}

func (d *dialer) warn(address string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.warned.IsZero() && time.Since(d.warned) < warnInterval {
		return
	}
	d.warned = time.Now()
	fmt.Fprintf(d.warnings, "WARN Connection to %s could not be established: %v. Trying again.\n", address, reason(err))
}
