package node

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gregor/internal/config"
	"gregor/internal/controller"
	"gregor/internal/journal"
	"gregor/internal/journal/zk"
	"gregor/internal/log"
	"gregor/internal/metadata"
	"gregor/internal/peer"
)

// onZooKeeper completes the identity of a node on ZooKeeper, which knows the cluster's id, and gives an id to a node that
// has none.
func (id identity) onZooKeeper(v *config.Values, nodeID int32, haveNode bool) (identity, error) {
	z := v.ZooKeeper()
	if said, ok := v.NodeID(); ok && z.GenerateBrokerID && said > z.ReservedMaxID {
		return id, fmt.Errorf("broker.id=%d is above reserved.broker.max.id=%d, where ids are generated; use a smaller number, raise reserved.broker.max.id, "+
			"or set broker.id.generation.enable=false", said, z.ReservedMaxID)
	}
	if id.nodeID = noNodeID; haveNode {
		id.nodeID = nodeID
	}
	return id, nil
}

// joinZooKeeper begins the session with ZooKeeper, which it waits for, and finds out there which cluster this is, and which
// id this node has if nothing else says so.
func (n *Node) joinZooKeeper(ctx context.Context, v *config.Values) (*config.Values, error) {
	z := v.ZooKeeper()
	var err error
	if n.zoo, err = n.connectZooKeeper(ctx, z); err != nil {
		return v, err
	}
	if n.id.clusterID, err = n.clusterInZooKeeper(ctx, v, z); err != nil {
		return v, err
	}
	if n.id.nodeID == noNodeID {
		if n.id.nodeID, err = n.zoo.GenerateBrokerID(ctx, z.ReservedMaxID); err != nil {
			return v, fmt.Errorf("a broker id from ZooKeeper: %w", err)
		}
		n.log.Info("ZooKeeper has given this broker an id, which is kept in its directories", "broker_id", n.id.nodeID)
	}
	if v, err = n.id.into(v); err != nil {
		return v, err
	}
	n.live = config.NewLive(v) // nobody has seen the one before
	n.introduce(func(who *peer.Identity) { who.ClusterID, who.NodeID = n.id.clusterID, n.id.nodeID })
	return v, nil
}

// clusterInZooKeeper is the id of the cluster, which the first node makes. Directories that belong to another cluster are
// refused, and so is a ZooKeeper that knows of none: it would begin an empty cluster over them.
func (n *Node) clusterInZooKeeper(ctx context.Context, v *config.Values, z config.ZooKeeper) (string, error) {
	from := "the configuration (cluster.id)"
	for _, dir := range v.LogDirs() {
		if m, err := readMeta(dir); err == nil && m != nil && m.ClusterID != "" {
			from = log.MetaPropertiesPath(dir)
		}
	}
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	forgotten := false
	found, err := n.zoo.ClusterID(asking, func() string {
		if n.id.clusterID == "" {
			return metadata.NewUUID().String()
		}
		if from = strings.TrimSpace(from); v.String("cluster.id") != n.id.clusterID {
			forgotten = true
			cancel()
		}
		return n.id.clusterID
	})
	switch {
	case forgotten:
		return "", fmt.Errorf("%w: %s belongs to cluster %s, but ZooKeeper at %s knows of no cluster: correct zookeeper.connect; "+
			"or, if ZooKeeper has lost its data, restore it, for it has all that is known of the topics", ErrIdentity, from, n.id.clusterID, z.Connect)
	case err != nil:
		return "", fmt.Errorf("the cluster's id in ZooKeeper: %w", err)
	case n.id.clusterID != "" && n.id.clusterID != found:
		return "", fmt.Errorf("%w: %s says cluster %s, but ZooKeeper at %s holds cluster %s; correct zookeeper.connect, use another directory in log.dirs, "+
			"or empty this one if its data is not needed", ErrIdentity, from, n.id.clusterID, z.Connect, found)
	}
	return found, nil
}

// bootstrapOnZooKeeper is what the first controller writes into an empty log: without eligible leader replicas, which Apache
// Kafka has with a quorum of controllers only (KIP-966).
func bootstrapOnZooKeeper() (records []metadata.Versioned) {
	for _, r := range controller.BootstrapRecords() {
		if f, ok := r.Record.(*metadata.FeatureLevelRecord); ok && f.Name == metadata.ELRVersionFeature {
			continue
		}
		records = append(records, r)
	}
	return records
}

// connectZooKeeper begins the session. It waits for ZooKeeper, which may be started after its brokers.
func (n *Node) connectZooKeeper(ctx context.Context, z config.ZooKeeper) (*zk.Client, error) {
	return zk.Connect(ctx, zk.Options{
		Connect:           z.Connect,
		SessionTimeout:    z.SessionTimeout,
		ConnectionTimeout: z.ConnectionTimeout,
		MaxInFlight:       z.MaxInFlight,
		Dial:              n.dial,
		Logger:            n.logs.Part("zookeeper"),
		Now:               n.now,
	})
}

// openZooKeeper opens this node's end of the metadata log in ZooKeeper. Where the active controller answers is the
// listener between brokers.
func (n *Node) openZooKeeper() (journal.Journal, error) {
	return zk.Open(n.zoo, zk.EngineOptions{
		NodeID:    n.id.nodeID,
		Endpoint:  n.Addr(n.ls.ControlPlane),
		Directory: n.lockedDirectory(),
		Logger:    n.logs.Part("journal"),
		Now:       n.now,
	})
}

// registerInZooKeeper makes this broker's znode in /brokers/ids. It refuses a broker whose id another process has.
func (n *Node) registerInZooKeeper(ctx context.Context, v *config.Values) error {
	info := zk.BrokerInfo{ID: n.id.nodeID, Rack: v.String("broker.rack")}
	for _, a := range n.addrs {
		info.Endpoints = append(info.Endpoints, metadata.Endpoint{Name: a.Name, Host: a.Host, Port: uint16(a.Port), SecurityProtocol: securityProtocols[a.Protocol]})
	}
	info.Directory = n.lockedDirectory()
	err := n.zoo.Register(ctx, info)
	if errors.Is(err, zk.ErrInUse) {
		return fmt.Errorf("%w: %w", errNodeInUse, err)
	}
	return err
}

// lockedDirectory is the id of a log directory that this process holds the lock of: an older process with it is dead.
func (n *Node) lockedDirectory() string {
	for _, d := range n.dirs.Dirs() {
		if d.Err == nil && d.ID != [16]byte{} {
			return metadata.UUID(d.ID).String()
		}
	}
	return ""
}
