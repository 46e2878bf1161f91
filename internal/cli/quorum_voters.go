package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"gregor/internal/log"
	"gregor/internal/log/vfs"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// quorumVoter is a controller that joins or leaves the quorum (KIP-853).
type quorumVoter struct {
	id          int32
	directoryID [16]byte
	listeners   []kmsg.AddRaftVoterRequestListener
}

// voterToAdd reads the new controller's properties file and the id of its metadata directory.
func (f *quorumFlags) voterToAdd() (*quorumVoter, error) {
	props, err := f.connection.Properties()
	if err != nil {
		return nil, err
	}
	v := &quorumVoter{}
	text, ok := props["node.id"]
	if !ok {
		return nil, errors.New("node.id not found in configuration file. Is this a valid controller configuration file?")
	}
	id, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
	switch {
	case err != nil:
		return nil, fmt.Errorf("node.id is %q in %s, but must be a number", text, f.connection.Config.Value())
	case id < 0:
		return nil, errors.New("node.id was negative in configuration file. Is this a valid controller configuration file?")
	}
	v.id = int32(id)
	if !strings.Contains(props["process.roles"], "controller") {
		return nil, errors.New("process.roles did not contain 'controller' in configuration file. Is this a valid controller configuration file?")
	}
	dir := strings.TrimSpace(props["metadata.log.dir"])
	if dir == "" {
		first, _, _ := strings.Cut(strings.TrimSpace(props["log.dirs"]), ",")
		dir = strings.TrimSpace(first)
	}
	if dir == "" {
		return nil, errors.New("Neither metadata.log.dir nor log.dirs were found. Is this a valid controller configuration file?")
	}
	meta, err := log.ReadMetaProperties(vfs.OS{}, dir)
	switch {
	case err != nil:
		return nil, fmt.Errorf("Unable to read meta.properties from %s: %w", dir, err)
	case meta == nil:
		return nil, fmt.Errorf("Unable to read meta.properties from %s", dir)
	case meta.DirectoryID == [16]byte{}:
		return nil, fmt.Errorf("No directory id found in %s", dir)
	}
	v.directoryID = meta.DirectoryID
	v.listeners, err = controllerListeners(props)
	return v, err
}

// controllerListeners are the addresses at which the new controller can be reached: advertised.listeners, or else
// listeners, of the names in controller.listener.names.
func controllerListeners(props map[string]string) ([]kmsg.AddRaftVoterRequestListener, error) {
	at := map[string]kmsg.AddRaftVoterRequestListener{}
	for _, key := range []string{"listeners", "advertised.listeners"} {
		for _, word := range strings.Split(props[key], ",") {
			if word = strings.TrimSpace(word); word == "" {
				continue
			}
			name, address, _ := strings.Cut(word, "://")
			host, portText, err := net.SplitHostPort(address)
			port, portErr := strconv.ParseUint(portText, 10, 16)
			if err != nil || portErr != nil {
				return nil, fmt.Errorf("%s has %q, but an entry is NAME://host:port", key, word)
			}
			if host == "" {
				host = "localhost"
			}
			name = strings.ToUpper(name)
			at[name] = kmsg.AddRaftVoterRequestListener{Name: name, Host: host, Port: uint16(port)}
		}
	}
	names, ok := props["controller.listener.names"]
	if !ok {
		return nil, errors.New("controller.listener.names was not found. Is this a valid controller configuration file?")
	}
	var found []kmsg.AddRaftVoterRequestListener
	for _, name := range strings.Split(names, ",") {
		name = strings.ToUpper(strings.TrimSpace(name))
		l, ok := at[name]
		if !ok {
			return nil, fmt.Errorf("Cannot find information about controller listener name: %s", name)
		}
		if !slices.ContainsFunc(found, func(f kmsg.AddRaftVoterRequestListener) bool { return f.Name == name }) {
			found = append(found, l)
		}
	}
	return found, nil
}

// voterToRemove is what the options name.
func (f *quorumFlags) voterToRemove() (*quorumVoter, error) {
	if f.id.Int() < 0 {
		return nil, fmt.Errorf("Invalid negative --controller-id: %d", f.id.Int())
	}
	id, err := parseTopicID(f.directoryID.Value())
	if err != nil {
		return nil, fmt.Errorf("Failed to parse --controller-directory-id: %w", err)
	}
	return &quorumVoter{id: int32(f.id.Int()), directoryID: id}, nil
}

func (c *clusterClient) addVoter(ctx context.Context, v *quorumVoter, dryRun bool) error {
	done := "DRY RUN of adding"
	if !dryRun {
		req := kmsg.NewPtrAddRaftVoterRequest()
		req.TimeoutMillis, req.VoterID, req.VoterDirectoryID, req.Listeners = requestTimeoutMs, v.id, v.directoryID, v.listeners
		resp, err := req.RequestWith(ctx, c)
		if err == nil {
			err = answer(resp.ErrorCode, resp.ErrorMessage)
		}
		if errors.Is(err, kerr.DuplicateVoter) {
			return fmt.Errorf("%w. If its metadata directory is a new one, remove controller %d with the old directory's id first: describe --replication shows it", err, v.id)
		}
		if err != nil {
			return quorumUnsupported(err)
		}
		done = "Added"
	}
	endpoints := make([]string, len(v.listeners))
	for i, l := range v.listeners {
		endpoints[i] = l.Name + "://" + net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port)))
	}
	fmt.Fprintf(c.io.Out, "%s controller %d with directory id %s and endpoints: %s\n", done, v.id, topicIDString(v.directoryID), strings.Join(endpoints, ", "))
	return nil
}

func (c *clusterClient) removeVoter(ctx context.Context, v *quorumVoter, dryRun bool) error {
	done := "DRY RUN of removing " // Kafka prints both blanks
	if !dryRun {
		req := kmsg.NewPtrRemoveRaftVoterRequest()
		req.VoterID, req.VoterDirectoryID = v.id, v.directoryID
		resp, err := req.RequestWith(ctx, c)
		if err == nil {
			err = answer(resp.ErrorCode, resp.ErrorMessage)
		}
		if err != nil {
			return quorumUnsupported(err)
		}
		done = "Removed "
	}
	fmt.Fprintf(c.io.Out, "%s KRaft controller %d with directory id %s\n", done, v.id, topicIDString(v.directoryID))
	return nil
}
