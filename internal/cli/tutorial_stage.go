package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// stage is the directory in which the tutorial is played. It holds a copy of bin/ and config/, which differs from what is
// shipped in ports and directories alone, and a link to this very binary: the commands in it are the reader's, word for
// word, and nothing of them touches what else runs on this machine.
type stage struct {
	dir       string
	zookeeper string         // zookeeper.connect
	ours      bool           // the ZooKeeper server is the stage's own
	zkPort    int            // of our own
	ports     []int          // of the brokers, by id
	moved     []replacedLine // what differs from the shipped files
}

// replacedLine is a line of a properties file that differs on the stage.
type replacedLine struct{ file, was, is string }

const tutorialBrokers = 3

// setStage makes the directory. foreign is somebody's ZooKeeper, host:port, or "" for one of our own; the brokers then
// keep what they write there in a node of their own.
func setStage(foreign string) (*stage, error) {
	home, err := homeDir()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "gregor-tutorial-")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir, ours: foreign == ""}
	if err := s.fill(home, foreign); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

func (s *stage) fill(home, foreign string) error {
	ports, err := neighbouringPorts(tutorialBrokers + 1)
	if err != nil {
		return err
	}
	s.zkPort, s.ports = ports[0], ports[1:]
	s.zookeeper = fmt.Sprintf("localhost:%d", s.zkPort)
	if !s.ours {
		s.zookeeper = foreign + "/" + filepath.Base(s.dir)
	}
	if err := copyScripts(filepath.Join(home, "bin"), filepath.Join(s.dir, "bin")); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, d := range []string{"build", "config", "logs"} {
		if err := os.Mkdir(filepath.Join(s.dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.Symlink(self, filepath.Join(s.dir, "build", "gregor")); err != nil {
		return err
	}
	err = s.config(home, "zookeeper.properties", map[string]string{
		"dataDir": filepath.Join(s.dir, "zookeeper"), "clientPort": strconv.Itoa(s.zkPort),
	})
	for id := 0; id < tutorialBrokers && err == nil; id++ {
		err = s.config(home, fmt.Sprintf("server%d.properties", id), map[string]string{
			"listeners":         "PLAINTEXT://" + s.broker(id),
			"log.dirs":          filepath.Join(s.dir, fmt.Sprintf("kafka-logs-%d", id)),
			"zookeeper.connect": s.zookeeper,
		})
	}
	return err
}

// config copies a shipped properties file and replaces the values of some keys, each of which must be there.
func (s *stage) config(home, name string, values map[string]string) error {
	text, err := os.ReadFile(filepath.Join(home, "config", name))
	if err != nil {
		return err
	}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		key, _, ok := strings.Cut(line, "=")
		value, replace := values[strings.TrimSpace(key)]
		if !ok || !replace {
			continue
		}
		lines[i] = key + "=" + value
		s.moved = append(s.moved, replacedLine{name, line, lines[i]})
		delete(values, strings.TrimSpace(key))
	}
	for key := range values {
		return fmt.Errorf("config/%s has no line %s=..., which the tutorial needs", name, key)
	}
	return os.WriteFile(filepath.Join(s.dir, "config", name), []byte(strings.Join(lines, "\n")), 0o644)
}

func (s *stage) broker(id int) string { return fmt.Sprintf("localhost:%d", s.ports[id]) }

func (s *stage) brokers() (all []string) {
	for id := range s.ports {
		all = append(all, s.broker(id))
	}
	return all
}

func (s *stage) remove() { _ = os.RemoveAll(s.dir) }

// script is where a command of bin/ is.
func (s *stage) script(name string) string { return filepath.Join(s.dir, "bin", name) }

// homeDir is where this program's bin/ and config/ are: above the binary, or above the working directory.
func homeDir() (string, error) {
	var tried []string
	above := func(dir string, levels int) (string, bool) {
		for range levels {
			tried = append(tried, dir)
			_, noScript := os.Stat(filepath.Join(dir, "bin", "zookeeper-server-start.sh"))
			_, noFile := os.Stat(filepath.Join(dir, "config", "zookeeper.properties"))
			if noScript == nil && noFile == nil {
				return dir, true
			}
			parent := filepath.Dir(dir)
			if parent == dir {
				break
			}
			dir = parent
		}
		return "", false
	}
	if self, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(self); err == nil {
			self = real
		}
		if dir, ok := above(filepath.Dir(self), 3); ok {
			return dir, nil
		}
	}
	if wd, err := os.Getwd(); err == nil {
		if dir, ok := above(wd, 64); ok {
			return dir, nil
		}
	}
	return "", fmt.Errorf("bin/ and config/ of gregor are neither near this binary nor above the working directory; run bin/gregor tutorial of a clone of it (looked in %s)", strings.Join(tried, ", "))
}

var shellScript = regexp.MustCompile(`^#!/bin/sh\n`)

// copyScripts copies what is a shell script.
func copyScripts(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(from, e.Name()))
		if errors.Is(err, fs.ErrNotExist) || e.IsDir() || err == nil && !shellScript.Match(text) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), text, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// neighbouringPorts finds free ports in a row, below those that systems give to outgoing connections: one of these could
// take a port between now and the server's start.
func neighbouringPorts(n int) ([]int, error) {
	const from, to = 16_000, 32_000
	for range 200 {
		first := from + rand.IntN(to-from-n)
		var ports []int
		for p := first; p < first+n && portIsFree(p); p++ {
			ports = append(ports, p)
		}
		if len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("no %d free ports in a row from %d to %d", n, from, to)
}

func portIsFree(port int) bool {
	for _, host := range []string{"", "localhost"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}
