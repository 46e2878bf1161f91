package cli

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"gregor/internal/zookeeper/proto"
)

// Commands about ACLs, watches and the dialogue itself.

// zkPerms are the letters of an ACL's permissions in the order in which they are printed.
const zkPerms = "cdrwa"

func zkPerm(letter rune) int32 {
	switch letter {
	case 'c':
		return proto.PermCreate
	case 'd':
		return proto.PermDelete
	case 'r':
		return proto.PermRead
	case 'w':
		return proto.PermWrite
	case 'a':
		return proto.PermAdmin
	}
	return 0
}

// parseACL reads scheme:id:perms,... An entry that is none is named and passed over, as ZooKeeper's shell does.
func (s *zkShell) parseACL(text string) []proto.ACL {
	var acls []proto.ACL
	for _, entry := range strings.Split(text, ",") {
		first, last := strings.IndexByte(entry, ':'), strings.LastIndexByte(entry, ':')
		if first < 0 || first == last {
			s.warn("%s does not have the form scheme:id:perm", entry)
			continue
		}
		acl := proto.ACL{ID: proto.ID{Scheme: entry[:first], ID: entry[first+1 : last]}}
		for _, letter := range entry[last+1:] {
			perm := zkPerm(letter)
			if perm == 0 {
				s.warn("Unknown perm type: %c", letter)
			}
			acl.Perms |= perm
		}
		acls = append(acls, acl)
	}
	return acls
}

func zkGetACL(s *zkShell, ctx context.Context, a zkArgs) error {
	path, err := s.path(a)
	if err != nil {
		return err
	}
	reply, err := s.ask(ctx, a.args[0], &proto.GetACLRequest{Path: path})
	if err != nil {
		return err
	}
	r := reply.(*proto.GetACLReply)
	for _, acl := range r.ACL {
		var perms strings.Builder
		for _, letter := range zkPerms {
			if acl.Perms&zkPerm(letter) != 0 {
				perms.WriteRune(letter)
			}
		}
		s.print("'%s,'%s\n: %s\n", acl.ID.Scheme, acl.ID.ID, perms.String())
	}
	if a.has('s') {
		s.printStat(r.Stat)
	}
	return nil
}

func zkSetACL(s *zkShell, ctx context.Context, a zkArgs) error {
	acl := s.parseACL(a.args[1])
	version, err := a.version()
	if err != nil {
		return err
	}
	path, err := s.path(a)
	if err != nil {
		return err
	}
	if len(acl) == 0 {
		return zkErrorf("Acl is not valid : null") // the client refuses it, before it knows the path
	}
	if a.has('R') {
		return s.visit(ctx, a.args[0], false, func(p string) error {
			if _, err := s.zk.call(ctx, &proto.SetACLRequest{Path: s.zk.withChroot(p), ACL: acl, Version: version}); err != nil {
				s.print("%v for %s", err, p)
			}
			return nil
		})
	}
	reply, err := s.ask(ctx, a.args[0], &proto.SetACLRequest{Path: path, ACL: acl, Version: version})
	if err == nil && a.has('s') {
		s.printStat(reply.(*proto.StatReply).Stat)
	}
	return err
}

func zkAddWatch(s *zkShell, ctx context.Context, a zkArgs) error {
	kind, mode := zkRecursiveWatch, proto.WatchPersistentRecursive
	switch strings.ToUpper(a.flags['m']) {
	case "PERSISTENT":
		kind, mode = zkPersistentWatch, proto.WatchPersistent
	case "", "PERSISTENT_RECURSIVE":
	default:
		return zkErrorf("%s", a.usage)
	}
	if len(a.args) != 1 {
		return zkErrorf("%s", a.usage)
	}
	path, err := s.path(a)
	if err != nil {
		return err
	}
	if _, err = s.ask(ctx, a.args[0], &proto.AddWatchRequest{Path: path, Mode: mode}); err == nil {
		s.zk.watch(kind, path)
	}
	return err
}

// zkRemoveWatches removes watches of this session. What has none is not asked of the server, as ZooKeeper's client does
// not; it is the client too that tells its watcher of a removal.
func zkRemoveWatches(s *zkShell, ctx context.Context, a zkArgs) error {
	path, err := s.path(a)
	if err != nil {
		return err
	}
	kinds, watcher := []zkWatchKind{zkDataWatch, zkExistWatch, zkChildWatch, zkPersistentWatch, zkRecursiveWatch}, proto.WatcherAny
	switch {
	case a.has('c'):
		kinds, watcher = []zkWatchKind{zkChildWatch, zkPersistentWatch, zkRecursiveWatch}, proto.WatcherChildren
	case a.has('d'):
		kinds, watcher = []zkWatchKind{zkDataWatch, zkExistWatch, zkPersistentWatch, zkRecursiveWatch}, proto.WatcherData
	}
	if !s.zk.watching(path, kinds...) {
		return zkErrorf("%v for %s", proto.NoWatcher, a.args[0])
	}
	if _, err := s.ask(ctx, a.args[0], &proto.WatchesRequest{Type: proto.OpRemoveWatches, Path: path, Watcher: watcher}); err != nil && !a.has('l') {
		return err
	}
	told := map[string]bool{}
	for _, kind := range s.zk.unwatch(path, kinds...) {
		if event := kind.removed(); !told[event] {
			told[event] = true
			s.tell(zkEvent{state: zkConnected, kind: event, path: a.args[0]})
		}
	}
	return nil
}

func zkClose(s *zkShell, ctx context.Context, _ zkArgs) error {
	if s.zk == nil {
		if err := s.connect(ctx, s.server); err != nil {
			return err
		}
	}
	if s.zk.current() > zkConnected {
		s.print("Not connected\n")
		return nil
	}
	s.zk.close()
	return nil
}

func zkConnect(s *zkShell, ctx context.Context, a zkArgs) error {
	server := s.server
	if len(a.args) > 0 {
		server = a.args[0]
	}
	return s.connect(ctx, server)
}

func zkQuit(s *zkShell, _ context.Context, _ zkArgs) error {
	s.ended = true
	if s.zk != nil && s.zk.current() <= zkConnected {
		s.zk.close()
	}
	return nil
}

// zkHistoryShown is how many lines history shows, before its own.
const zkHistoryShown = 10

func zkHistory(s *zkShell, _ context.Context, _ zkArgs) error {
	if len(s.history) == 0 {
		s.print("0 - null\n")
	}
	for i := max(0, len(s.history)-1-zkHistoryShown); i < len(s.history); i++ {
		s.print("%d - %s\n", i, s.history[i])
	}
	return nil
}

func zkRedo(s *zkShell, ctx context.Context, a zkArgs) error {
	if len(a.args) == 0 {
		return nil
	}
	n, err := strconv.Atoi(a.args[0])
	if err != nil {
		return zkErrorf("redo %s: must be the number of a line of history", a.args[0])
	}
	if n < 0 || n >= len(s.history)-1 {
		return zkErrorf("Command index out of range")
	}
	words := zkWords(s.history[n])
	if words[0] == "redo" {
		return zkErrorf("No redoing redos")
	}
	s.history[len(s.history)-1] = s.history[n]
	return s.run(ctx, words)
}

func zkPrintWatches(s *zkShell, _ context.Context, a zkArgs) error {
	if len(a.args) == 0 {
		state := "off"
		if s.watches {
			state = "on"
		}
		s.print("printwatches is %s\n", state)
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches = a.args[0] == "on"
	return nil
}

func zkPrintVersion(s *zkShell, _ context.Context, a zkArgs) error {
	if len(a.args) > 0 {
		return zkErrorf("version ")
	}
	s.print("ZooKeeper CLI version: %s, of gregor\n", zkVersion)
	return nil
}

// watch remembers a watch that the server has taken.
func (c *zkClient) watch(kind zkWatchKind, path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watches.set(kind, path)
}

func (c *zkClient) watching(path string, kinds ...zkWatchKind) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(kinds, func(k zkWatchKind) bool { return c.watches[k][path] })
}

func (c *zkClient) unwatch(path string, kinds ...zkWatchKind) []zkWatchKind {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.watches.remove(path, kinds...)
}
