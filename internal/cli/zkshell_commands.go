package cli

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"gregor/internal/zookeeper/proto"
)

// zkCommand is one command of the shell.
type zkCommand struct {
	usage   string // behind its name
	flags   string // letters of options; one with a colon behind it takes a value
	least   int    // arguments
	watched bool   // `get path watch` is `get -w path`, of old
	local   func(s *zkShell, ctx context.Context, a zkArgs) error
	run     func(s *zkShell, ctx context.Context, a zkArgs) error
	json    bool // it knows --output json
	whole   bool // all words are its own to read
}

// zkCommands are the commands by name: those of ZooKeeper 3.8's shell but for quotas, which brokers do not use.
func zkCommands() map[string]zkCommand {
	return map[string]zkCommand{
		"addWatch":             {usage: "[-m mode] path # optional mode is one of [PERSISTENT, PERSISTENT_RECURSIVE] - default is PERSISTENT_RECURSIVE", flags: "m:", least: 1, run: zkAddWatch},
		"addauth":              {usage: "scheme auth", least: 1, run: zkAddAuth},
		"close":                {local: zkClose},
		"config":               {usage: "[-c] [-w] [-s]", flags: "cws", run: zkConfig},
		"connect":              {usage: "host:port", local: zkConnect},
		"create":               {usage: "[-s] [-e] [-c] [-t ttl] path [data] [acl]", flags: "sect:", least: 1, run: zkCreate},
		"delete":               {usage: "[-v version] path", flags: "v:", least: 1, run: zkDelete},
		"deleteall":            {usage: "path [-b batch size]", flags: "b:", least: 1, run: zkDeleteAll},
		"get":                  {usage: "[-s] [-w] path", flags: "sw", least: 1, watched: true, json: true, run: zkGet},
		"getAcl":               {usage: "[-s] path", flags: "s", least: 1, run: zkGetACL},
		"getAllChildrenNumber": {usage: "path", least: 1, run: zkGetAllChildrenNumber},
		"getEphemerals":        {usage: "path", run: zkGetEphemerals},
		"history":              {local: zkHistory},
		"ls":                   {usage: "[-s] [-w] [-R] path", flags: "swR", least: 1, watched: true, json: true, run: zkLs},
		"printwatches":         {usage: "on|off", local: zkPrintWatches},
		"quit":                 {local: zkQuit},
		"reconfig":             {usage: "[-s] [-v version] [[-file path] | [-members serverID=host:port1:port2;port3[,...]*]] | [-add serverId=host:port1:port2;port3[,...]]* [-remove serverId[,...]*]", whole: true, run: zkReconfig},
		"redo":                 {usage: "cmdno", local: zkRedo},
		"removewatches":        {usage: "path [-c|-d|-a] [-l]", flags: "cdal", least: 1, run: zkRemoveWatches},
		"set":                  {usage: "[-s] [-v version] path data", flags: "sv:", least: 2, run: zkSet},
		"setAcl":               {usage: "[-s] [-v version] [-R] path acl", flags: "sv:R", least: 2, run: zkSetACL},
		"stat":                 {usage: "[-w] path", flags: "w", least: 1, watched: true, json: true, run: zkStat},
		"sync":                 {usage: "path", least: 1, run: zkSync},
		"version":              {local: zkPrintVersion},
		"whoami":               {run: zkWhoAmI},
	}
}

// zkArgs is a parsed command.
type zkArgs struct {
	usage string
	args  []string
	flags map[byte]string
}

func (a zkArgs) has(flag byte) bool { _, ok := a.flags[flag]; return ok }

// version is the value of -v: -1 is any.
func (a zkArgs) version() (int32, error) {
	text, ok := a.flags['v']
	if !ok {
		return -1, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, zkErrorf("-v argument must be an int value")
	}
	return int32(n), nil
}

// parseZkArgs reads options and arguments as commons-cli does: options anywhere, several letters in one word.
func parseZkArgs(c zkCommand, name string, words []string) (zkArgs, error) {
	a := zkArgs{usage: strings.TrimSpace(name + " " + c.usage), flags: map[byte]string{}}
	if c.whole {
		a.args = words
		return a, nil
	}
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		if word == "--" {
			a.args = append(a.args, words...)
			break
		}
		if len(word) < 2 || word[0] != '-' || isNumber(word) {
			a.args = append(a.args, word)
			continue
		}
		for letters := word[1:]; letters != ""; {
			i := strings.IndexByte(c.flags, letters[0])
			if i < 0 || letters[0] == ':' {
				return a, zkErrorf("org.apache.commons.cli.UnrecognizedOptionException: Unrecognized option: %s", word)
			}
			if i+1 >= len(c.flags) || c.flags[i+1] != ':' {
				a.flags[letters[0]] = ""
				letters = letters[1:]
				continue
			}
			value := letters[1:]
			if value == "" {
				if len(words) == 0 {
					return a, zkErrorf("org.apache.commons.cli.MissingArgumentException: Missing argument for option: %c", letters[0])
				}
				value, words = words[0], words[1:]
			}
			a.flags[letters[0]] = value
			break
		}
	}
	if len(a.args) < c.least {
		return a, zkErrorf("%s", a.usage)
	}
	return a, nil
}

func isNumber(word string) bool {
	_, err := strconv.ParseFloat(word, 64)
	return err == nil
}

// path is the first argument, checked, as the server knows it.
func (s *zkShell) path(a zkArgs) (string, error) {
	if err := checkPath(a.args[0]); err != nil {
		return "", zkErrorf("%v", err)
	}
	return s.zk.withChroot(a.args[0]), nil
}

// ask sends a request about a path and words its error as ZooKeeper's shell does (CliWrapperException).
func (s *zkShell) ask(ctx context.Context, path string, req proto.Request) (proto.Reply, error) {
	reply, err := s.zk.call(ctx, req)
	var code proto.Code
	switch {
	case err == nil:
		return reply, nil
	case errors.Is(err, errNotConnected):
		return nil, zkErrorf("KeeperErrorCode = %s for %s", proto.SessionExpired, path)
	case !errors.As(err, &code):
		return nil, err
	}
	text, ok := map[proto.Code]string{
		proto.NoNode: "Node does not exist: ", proto.NoChildrenForEphemerals: "Ephemerals cannot have children: ",
		proto.NodeExists: "Node already exists: ", proto.NotEmpty: "Node not empty: ", proto.NotReadOnly: "Not a read-only call: ",
		proto.InvalidACL: "Acl is not valid : ", proto.NoAuth: "Insufficient permission : ", proto.BadArguments: "Arguments are not valid : ",
		proto.BadVersion: "version No is not valid : ", proto.QuotaExceeded: "Quota has exceeded : ",
	}[code]
	if !ok {
		text = code.Error() + " for "
		if path == "" {
			text = code.Error()
		}
	}
	text += path
	if code == proto.ConnectionLoss {
		text += "\n" + s.zkHint()
	}
	return nil, zkErrorf("%s", text)
}

func zkLs(s *zkShell, ctx context.Context, a zkArgs) error {
	path, err := s.path(a)
	if err != nil {
		return err
	}
	if a.has('R') {
		return s.visit(ctx, a.args[0], a.has('w'), func(p string) error { s.print("%s\n", p); return nil })
	}
	reply, err := s.ask(ctx, a.args[0], &proto.GetChildrenRequest{Type: proto.OpGetChildren2, Path: path, Watch: a.has('w')})
	if err != nil {
		return err
	}
	if a.has('w') {
		s.zk.watch(zkChildWatch, path)
	}
	r := reply.(*proto.Children2Reply)
	slices.Sort(r.Children)
	if s.flags.output == "json" {
		children := r.Children
		if children == nil {
			children = []string{}
		}
		return PrintJSON(s.io.Out, zkNodeJSON{Path: a.args[0], Children: &children, Stat: newZkStatJSON(r.Stat)})
	}
	s.print("[%s]\n", strings.Join(r.Children, ", "))
	if a.has('s') {
		s.printStat(r.Stat)
	}
	return nil
}

// visit calls f with a node and all below it: a node's children, and then what is below each of them.
func (s *zkShell) visit(ctx context.Context, root string, watch bool, f func(path string) error) error {
	if _, err := s.ask(ctx, root, &proto.GetDataRequest{Path: s.zk.withChroot(root), Watch: watch}); err != nil {
		return err
	}
	if watch {
		s.zk.watch(zkDataWatch, s.zk.withChroot(root))
	}
	if err := f(root); err != nil {
		return err
	}
	for below := []string{root}; len(below) > 0; {
		path := below[len(below)-1]
		below = below[:len(below)-1]
		children, err := s.childrenOf(ctx, path, watch)
		if err != nil {
			return err
		}
		for _, child := range children {
			if err := f(child); err != nil {
				return err
			}
		}
		slices.Reverse(children)
		below = append(below, children...)
	}
	return nil
}

// childrenOf are the paths of a node's children; a node that has gone meanwhile has none.
func (s *zkShell) childrenOf(ctx context.Context, path string, watch bool) ([]string, error) {
	on := s.zk.withChroot(path)
	reply, err := s.zk.call(ctx, &proto.GetChildrenRequest{Type: proto.OpGetChildren, Path: on, Watch: watch})
	if errors.Is(err, proto.NoNode) {
		return nil, nil
	}
	if err != nil {
		return nil, zkErrorf("%v for %s", err, path)
	}
	if watch {
		s.zk.watch(zkChildWatch, on)
	}
	children := reply.(*proto.ChildrenReply).Children
	slices.Sort(children)
	for i := range children {
		children[i] = strings.TrimSuffix(path, "/") + "/" + children[i]
	}
	return children, nil
}

func zkGet(s *zkShell, ctx context.Context, a zkArgs) error {
	path, err := s.path(a)
	if err != nil {
		return err
	}
	return s.get(ctx, a, a.args[0], path)
}

// get prints the data of a node.
func (s *zkShell) get(ctx context.Context, a zkArgs, shown, path string) error {
	reply, err := s.ask(ctx, shown, &proto.GetDataRequest{Path: path, Watch: a.has('w')})
	if err != nil {
		return err
	}
	if a.has('w') {
		s.zk.watch(zkDataWatch, path)
	}
	r := reply.(*proto.GetDataReply)
	if s.flags.output == "json" {
		return PrintJSON(s.io.Out, newZkDataJSON(shown, r))
	}
	text := "null"
	if r.Data != nil {
		text = string(r.Data)
	}
	s.print("%s\n", text)
	if a.has('s') {
		s.printStat(r.Stat)
	}
	return nil
}

func zkStat(s *zkShell, ctx context.Context, a zkArgs) error {
	path, err := s.path(a)
	if err != nil {
		return err
	}
	reply, err := s.ask(ctx, a.args[0], &proto.ExistsRequest{Path: path, Watch: a.has('w')})
	if err != nil {
		if a.has('w') {
			s.zk.watch(zkExistWatch, path)
		}
		return err
	}
	if a.has('w') {
		s.zk.watch(zkDataWatch, path)
	}
	r := reply.(*proto.StatReply)
	if s.flags.output == "json" {
		return PrintJSON(s.io.Out, zkNodeJSON{Path: a.args[0], Stat: newZkStatJSON(r.Stat)})
	}
	s.printStat(r.Stat)
	return nil
}

func zkSet(s *zkShell, ctx context.Context, a zkArgs) error {
	version, err := a.version()
	if err != nil {
		return err
	}
	path, err := s.path(a)
	if err != nil {
		return err
	}
	reply, err := s.ask(ctx, a.args[0], &proto.SetDataRequest{Path: path, Data: []byte(a.args[1]), Version: version})
	if err == nil && a.has('s') {
		s.printStat(reply.(*proto.StatReply).Stat)
	}
	return err
}

// zkMaxTTL is the longest time to live, in milliseconds (EphemeralType.TTL).
const zkMaxTTL = 1<<40 - 1

func zkCreate(s *zkShell, ctx context.Context, a zkArgs) error {
	e, sequential, container, ttl := a.has('e'), a.has('s'), a.has('c'), a.has('t')
	var ms int64
	var err error
	switch {
	case container && (e || sequential):
		return zkErrorf("-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.")
	case ttl:
		if ms, err = strconv.ParseInt(a.flags['t'], 10, 64); err != nil {
			return zkErrorf("-t argument must be a long value")
		}
	}
	switch {
	case ttl && e:
		return zkErrorf("TTLs cannot be used with Ephemeral znodes")
	case ttl && container:
		return zkErrorf("TTLs cannot be used with Container znodes")
	case ttl && (ms <= 0 || ms > zkMaxTTL):
		return zkErrorf("ttl must be positive and cannot be larger than: %d", int64(zkMaxTTL))
	}
	req := &proto.CreateRequest{Type: proto.OpCreate, ACL: proto.OpenACL()}
	switch {
	case container:
		req.Type, req.Flags = proto.OpCreateContainer, proto.ModeContainer
	case ttl && sequential:
		req.Type, req.Flags, req.TTLMs = proto.OpCreateTTL, proto.ModePersistentSequentialTTL, ms
	case ttl:
		req.Type, req.Flags, req.TTLMs = proto.OpCreateTTL, proto.ModePersistentTTL, ms
	case e && sequential:
		req.Flags = proto.ModeEphemeralSequential
	case e:
		req.Flags = proto.ModeEphemeral
	case sequential:
		req.Flags = proto.ModePersistentSequential
	}
	if len(a.args) > 1 {
		req.Data = []byte(a.args[1])
	}
	if len(a.args) > 2 {
		req.ACL = s.parseACL(a.args[2])
	}
	checked := a.args[0]
	if sequential {
		checked += "1" // what the server puts behind it may follow a slash
	}
	if err := checkPath(checked); err != nil {
		return zkErrorf("%v", err)
	}
	req.Path = s.zk.withChroot(a.args[0])
	reply, err := s.ask(ctx, a.args[0], req)
	if err != nil {
		return err
	}
	var made string
	switch r := reply.(type) {
	case *proto.CreateReply:
		made = r.Path
	case *proto.Create2Reply:
		made = r.Path
	}
	s.warn("Created %s", s.zk.withoutChroot(made))
	return nil
}

func zkDelete(s *zkShell, ctx context.Context, a zkArgs) error {
	if len(a.args) > 1 {
		s.warn("'delete path [version]' has been deprecated. Please use 'delete [-v version] path' instead.")
	}
	version, err := a.version()
	if err != nil {
		return err
	}
	path, err := s.path(a)
	if err != nil {
		return err
	}
	_, err = s.ask(ctx, a.args[0], &proto.DeleteRequest{Path: path, Version: version})
	return err
}

// zkDeleteAll deletes a node and all below it, the leaves first, in multis of -b nodes.
func zkDeleteAll(s *zkShell, ctx context.Context, a zkArgs) error {
	batch := int64(1000)
	if text, ok := a.flags['b']; ok {
		var err error
		if batch, err = strconv.ParseInt(text, 10, 32); err != nil {
			return zkErrorf("-b argument must be an int value")
		}
	}
	if _, err := s.path(a); err != nil {
		return err
	}
	all := []string{a.args[0]}
	for i := 0; i < len(all); i++ {
		on := s.zk.withChroot(all[i])
		reply, err := s.ask(ctx, all[i], &proto.GetChildrenRequest{Type: proto.OpGetChildren, Path: on})
		if err != nil {
			return err
		}
		for _, child := range reply.(*proto.ChildrenReply).Children {
			all = append(all, strings.TrimSuffix(all[i], "/")+"/"+child)
		}
	}
	slices.Reverse(all)
	for part := range slices.Chunk(all, int(max(batch, 1))) {
		multi := &proto.MultiRequest{Type: proto.OpMulti}
		for _, path := range part {
			multi.Ops = append(multi.Ops, &proto.DeleteRequest{Path: s.zk.withChroot(path), Version: -1})
		}
		reply, err := s.zk.call(ctx, multi)
		failed := err != nil
		if r, ok := reply.(*proto.MultiReply); ok {
			failed = failed || slices.ContainsFunc(r.Parts, func(p proto.MultiPart) bool { return p.Err != proto.OK })
		}
		if failed {
			s.warn("Failed to delete some node(s) in the subtree!")
			return nil
		}
	}
	return nil
}

func zkSync(s *zkShell, ctx context.Context, a zkArgs) error {
	path, err := s.path(a)
	if err != nil {
		return err
	}
	_, err = s.zk.call(ctx, &proto.SyncRequest{Path: path})
	var code proto.Code
	switch {
	case err == nil:
		s.print("Sync is OK\n")
	case errors.As(err, &code):
		s.print("Sync has failed. rc=%d\n", int32(code))
	default:
		return err
	}
	return nil
}

func zkGetEphemerals(s *zkShell, ctx context.Context, a zkArgs) error {
	shown := "/"
	if len(a.args) > 0 {
		shown = a.args[0]
		if err := checkPath(shown); err != nil {
			return zkErrorf("%v", err)
		}
	}
	reply, err := s.ask(ctx, shown, &proto.GetEphemeralsRequest{Prefix: s.zk.withChroot(shown)})
	if err != nil {
		return err
	}
	s.print("[%s]\n", strings.Join(reply.(*proto.ChildrenReply).Children, ", "))
	return nil
}

func zkGetAllChildrenNumber(s *zkShell, ctx context.Context, a zkArgs) error {
	path, err := s.path(a)
	if err != nil {
		return err
	}
	reply, err := s.ask(ctx, a.args[0], &proto.GetAllChildrenNumberRequest{Path: path})
	if err != nil {
		return err
	}
	s.print("%d\n", reply.(*proto.NumberReply).Number)
	return nil
}

func zkWhoAmI(s *zkShell, ctx context.Context, _ zkArgs) error {
	reply, err := s.ask(ctx, "", &proto.WhoAmIRequest{})
	if err != nil {
		return err
	}
	s.print("Auth scheme: User\n")
	for _, id := range reply.(*proto.WhoAmIReply).IDs {
		s.print("%s: %s\n", id.Scheme, id.ID)
	}
	return nil
}

// zkConfig prints the ensemble's configuration: of a standalone server it is empty.
func zkConfig(s *zkShell, ctx context.Context, a zkArgs) error {
	const node = "/zookeeper/config" // whatever the chroot
	if a.has('c') {
		reply, err := s.ask(ctx, node, &proto.GetDataRequest{Path: node, Watch: a.has('w')})
		if err == nil {
			s.print("%s\n", strings.Join(zkClientAddresses(string(reply.(*proto.GetDataReply).Data)), ","))
		}
		return err
	}
	return s.get(ctx, a, node, node)
}

// zkClientAddresses takes the client addresses out of an ensemble's configuration.
func zkClientAddresses(config string) (all []string) {
	for line := range strings.Lines(config) {
		_, client, ok := strings.Cut(strings.TrimSpace(line), ";")
		if ok && strings.HasPrefix(line, "server.") {
			all = append(all, client)
		}
	}
	return all
}

func zkAddAuth(s *zkShell, ctx context.Context, a zkArgs) error {
	req := &proto.AuthRequest{Scheme: a.args[0]}
	if len(a.args) > 1 {
		req.Auth = []byte(a.args[1])
	}
	_, err := s.zk.call(ctx, req)
	if errors.Is(err, errNotConnected) { // an event has told it
		return nil
	}
	if err != nil {
		return zkErrorf("%v", err)
	}
	return nil
}

func zkReconfig(s *zkShell, ctx context.Context, a zkArgs) error {
	_, err := s.ask(ctx, "", &proto.ReconfigRequest{NewMembers: strings.Join(a.args, ","), CurConfigID: -1})
	return err
}
