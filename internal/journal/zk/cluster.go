package zk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"

	gozk "github.com/go-zookeeper/zk"
)

// kafkaPaths are the persistent znodes that Kafka 3.9 makes at its start (ZkData.PersistentZkPaths, and the kinds of
// configuration).
var kafkaPaths = []string{
	"/consumers", brokerIDsPath, topicsPath, "/config/changes", "/admin/delete_topics", seqIDPath, "/isr_change_notification",
	"/latest_producer_id_block", "/log_dir_event_notification",
	"/config/topics", "/config/clients", "/config/users", "/config/brokers", "/config/ips",
}

const (
	brokerIDsPath       = "/brokers/ids"
	topicsPath          = "/brokers/topics"
	seqIDPath           = "/brokers/seqid"
	clusterIDPath       = "/cluster/id"
	controllerPath      = "/controller"
	controllerEpochPath = "/controller_epoch"
)

// prepare makes the chroot, the log if this is a new cluster, and Kafka's parents.
func (c *Client) prepare(ctx context.Context) error {
	s, err := c.live(ctx)
	if err != nil {
		return err
	}
	if c.chroot != "" {
		if err := s.ensure(ctx, "/", nil); err != nil {
			return fmt.Errorf("the path %s in ZooKeeper: %w", c.chroot, err)
		}
	}
	if err := c.prepareLog(ctx, s); err != nil {
		return err
	}
	for _, p := range kafkaPaths {
		if err := s.ensure(ctx, p, nil); err != nil {
			return fmt.Errorf("znode %s: %w", c.path(p), err)
		}
	}
	return nil
}

// prepareLog makes an empty log, all of it or nothing.
func (c *Client) prepareLog(ctx context.Context, s *session) error {
	for {
		if found, err := s.exists(ctx, ownPath); err != nil || found != nil {
			return err
		}
		if err := c.refuseForeign(ctx, s); err != nil {
			return err
		}
		data, err := json.Marshal(about{layoutVersion, "The metadata of this cluster. It is lost if anything below is changed or deleted by hand."})
		if err != nil {
			return err
		}
		_, err = s.try(ctx, ops{
			s.create(ownPath, data, 0),
			s.create(logPath, nil, 0), s.create(snapshotsPath, nil, 0), s.create(processesPath, nil, 0),
			s.create(headPath, firstHead().encode(), 0),
		})
		switch {
		case err == nil:
			c.log.Info("a new cluster begins in ZooKeeper", "path", c.path(ownPath))
			return nil
		case errors.Is(err, gozk.ErrNodeExists):
			return nil // another broker was first
		case answered(err) || ended(err):
			return fmt.Errorf("znode %s: %w", c.path(ownPath), err)
		}
		if err := s.await(ctx); err != nil {
			return err
		}
	}
}

// refuseForeign refuses to begin a cluster where one of Apache Kafka is: its znodes would be taken for leftovers.
func (c *Client) refuseForeign(ctx context.Context, s *session) error {
	foreign := ""
	if stat, err := s.exists(ctx, controllerEpochPath); err != nil {
		return err
	} else if stat != nil {
		foreign = controllerEpochPath
	}
	for _, p := range []string{topicsPath, brokerIDsPath} {
		if names, err := s.children(ctx, p); err == nil && len(names) > 0 {
			foreign = path.Join(p, names[0])
		} else if err != nil && !errors.Is(err, gozk.ErrNoNode) {
			return err
		}
	}
	if foreign == "" {
		return nil
	}
	// A broker of ours makes its own znodes before any of these, so one that was quicker is to be seen by now.
	if stat, err := s.exists(ctx, ownPath); err != nil || stat != nil {
		return err
	}
	return fmt.Errorf("%w: there is %s but no %s in ZooKeeper at %s; give this cluster a path of its own in zookeeper.connect, such as %s/gregor (or, if %s was deleted by hand: the metadata was in it)",
		ErrForeign, c.path(foreign), c.path(ownPath), c.o.Connect, c.o.Connect, c.path(ownPath))
}

// ErrForeign refuses to work where a cluster of Apache Kafka, or what is left of one, is.
var ErrForeign = errors.New("this path in ZooKeeper belongs to a cluster of Apache Kafka")

// ClusterID returns the cluster's id in /cluster/id. If there is none, propose makes one; brokers that start together
// agree on one of theirs.
func (c *Client) ClusterID(ctx context.Context, propose func() string) (string, error) {
	proposed := ""
	for {
		s, err := c.live(ctx)
		if err != nil {
			return "", err
		}
		n, err := s.get(ctx, clusterIDPath)
		if err == nil {
			return parseClusterID(n.data)
		}
		if errors.Is(err, gozk.ErrNoNode) {
			if proposed == "" {
				proposed = propose()
			}
			err = s.ensure(ctx, clusterIDPath, clusterIDJSON(proposed))
		}
		if err != nil && !errors.Is(err, errSessionOver) {
			return "", fmt.Errorf("znode %s: %w", c.path(clusterIDPath), err)
		}
	}
}

// GenerateBrokerID returns the next broker id that was not configured (broker.id.generation.enable): the version that
// /brokers/seqid gets, counted from reservedMax (reserved.broker.max.id) on. An id may be left out when a connection
// breaks.
func (c *Client) GenerateBrokerID(ctx context.Context, reservedMax int32) (int32, error) {
	for {
		s, err := c.live(ctx)
		if err != nil {
			return -1, err
		}
		stat, err := ask(ctx, s, func() (*gozk.Stat, error) { return s.conn.Set(c.path(seqIDPath), nil, -1) })
		switch {
		case err == nil:
			return reservedMax + stat.Version, nil
		case errors.Is(err, gozk.ErrNoNode):
			err = s.ensure(ctx, seqIDPath, nil)
		}
		if err != nil && !errors.Is(err, errSessionOver) {
			return -1, fmt.Errorf("znode %s: %w", c.path(seqIDPath), err)
		}
	}
}
