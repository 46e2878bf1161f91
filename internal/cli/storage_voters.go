package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gregor/internal/config"
	"gregor/internal/metadata"
	"gregor/internal/node"
)

// initialVoters are the first voters that the metadata log is to name; none if the configuration names them. A node that
// is alone without saying so needs none.
func initialVoters(v *config.Values, f storageFlags) ([]node.InitialVoter, error) {
	q, err := v.Quorum()
	if err != nil {
		return nil, err
	}
	switch {
	case f.initialControllers != "":
		return parseInitialVoters(f.initialControllers)
	case f.standalone && v.Has("process.roles"):
		one, err := standaloneVoter(v)
		return []node.InitialVoter{one}, err
	case !f.noInitialControllers && v.Has("process.roles") && v.Roles().Controller && len(q.Voters) == 0 && len(q.Bootstrap) > 0:
		return nil, errors.New("Because controller.quorum.voters is not set on this controller, you must specify one of the following: " +
			"--standalone, --initial-controllers, or --no-initial-controllers.")
	}
	return nil, nil
}

// parseInitialVoters reads a list of initial voters. The messages are Apache Kafka's.
func parseInitialVoters(text string) (voters []node.InitialVoter, err error) {
	for _, one := range strings.Split(strings.TrimSpace(text), ",") {
		if one == "" {
			continue
		}
		v, err := parseInitialVoter(strings.TrimSpace(one))
		if err != nil {
			return nil, err
		}
		for _, other := range voters {
			if other.ID == v.ID {
				return nil, fmt.Errorf("Node id %d was specified more than once.", v.ID)
			}
		}
		voters = append(voters, v)
	}
	if len(voters) == 0 {
		return nil, errors.New("No voters given.")
	}
	return voters, nil
}

func parseInitialVoter(text string) (v node.InitialVoter, err error) {
	bad := func(format string, args ...any) (node.InitialVoter, error) { return v, fmt.Errorf(format, args...) }
	id, rest, ok := strings.Cut(text, "@")
	switch {
	case !ok:
		return bad("No @ found in dynamic voter string.")
	case id == "":
		return bad("Invalid @ at beginning of dynamic voter string.")
	}
	n, err := strconv.ParseInt(id, 10, 32)
	if err != nil {
		return bad("Failed to parse node id in dynamic voter string.")
	}
	if n < 0 {
		return bad("Invalid negative node id %d in dynamic voter string.", n)
	}
	v.ID = int32(n)
	if rest == "" {
		return bad("No hostname found after node id.")
	}
	if inner, isIPv6 := strings.CutPrefix(rest, "["); isIPv6 {
		if v.Host, rest, ok = strings.Cut(inner, "]"); !ok {
			return bad("Hostname began with left bracket, but no right bracket was found.")
		}
		if rest, ok = strings.CutPrefix(rest, ":"); !ok {
			return bad("Port section must start with a colon.")
		}
	} else if v.Host, rest, ok = strings.Cut(rest, ":"); !ok {
		return bad("No colon following hostname could be found.")
	}
	port, dir, ok := strings.Cut(rest, ":")
	if !ok {
		return bad("No colon following port could be found.")
	}
	p, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		return bad("Failed to parse port in dynamic voter string.")
	}
	if p < 0 || p > 65535 {
		return bad("Invalid port %d in dynamic voter string.", p)
	}
	v.Port = uint16(p)
	directory, err := metadata.ParseUUID(dir)
	if err != nil {
		return bad("Failed to parse directory ID in dynamic voter string.")
	}
	v.DirectoryID = directory
	return v, nil
}

// standaloneVoter is this node as the only voter, with a new directory id.
func standaloneVoter(v *config.Values) (node.InitialVoter, error) {
	var none node.InitialVoter
	if !v.Roles().Controller {
		return none, errors.New("You can only use --standalone on a controller.")
	}
	ls, err := v.Listeners()
	if err != nil {
		return none, err
	}
	if len(ls.AdvertisedController) == 0 {
		return none, errors.New("No controller listeners found.")
	}
	id, _ := v.NodeID()
	l := ls.AdvertisedController[0]
	return node.InitialVoter{ID: id, Host: l.Host, Port: uint16(l.Port), DirectoryID: metadata.NewUUID()}, nil
}
