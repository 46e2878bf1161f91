package metadata

// Names of the features that a cluster agrees on (KIP-584).
const (
	MetadataVersionFeature = "metadata.version"
	KRaftVersionFeature    = "kraft.version"
	GroupVersionFeature    = "group.version"
	TransactionVersion     = "transaction.version"
	ELRVersionFeature      = "eligible.leader.replicas.version"
	ShareVersionFeature    = "share.version"
	StreamsVersionFeature  = "streams.version"
)

// Levels of metadata.version at which the form of records changes (KIP-778).
const (
	MinMetadataVersion int16 = 7  // 3.3-IV3, the oldest that Kafka 4 works with
	MaxMetadataVersion int16 = 30 // 4.3-IV0

	levelMigration      int16 = 8  // 3.4-IV0: is_migrating_zk_broker
	levelDirectories    int16 = 17 // 3.7-IV2: log directories (KIP-858)
	LevelELR            int16 = 23 // 4.0-IV1: eligible leader replicas (KIP-966)
	levelCordonedDirs   int16 = 30 // 4.3-IV0: cordoned log directories (KIP-1066)
	levelNewRegistry    int16 = levelCordonedDirs
	levelISRShrinkEpoch int16 = 12 // below 3.6-IV0 an ISR that shrinks raises the leader epoch
)

// LosesRecords reports whether a cluster that goes back from one level of metadata.version to another could not read
// what it wrote: whether a level in between changed the form of records.
func LosesRecords(from, to int16) bool {
	for level := from; level > to; level-- {
		switch level {
		case 7, 8, 11, 13, 14, 15, 17, 23, 30:
			return true
		}
	}
	return false
}

// MetadataVersion is the finalized level of metadata.version.
func (i *Image) MetadataVersion() int16 {
	if level, ok := i.features[MetadataVersionFeature]; ok {
		return level
	}
	return MinMetadataVersion
}

// HasDirectories reports whether records name log directories.
func (i *Image) HasDirectories() bool { return i.MetadataVersion() >= levelDirectories }

// HasELR reports whether eligible leader replicas are kept.
func (i *Image) HasELR() bool {
	return i.MetadataVersion() >= LevelELR && i.features[ELRVersionFeature] >= 1
}

// HasISRShrinkEpoch reports whether an ISR that shrinks raises the leader epoch.
func (i *Image) HasISRShrinkEpoch() bool { return i.MetadataVersion() < levelISRShrinkEpoch }

// VersionFor is the version in which a record is written at the finalized metadata.version.
func (i *Image) VersionFor(r Record) int16 {
	level := i.MetadataVersion()
	switch r := r.(type) {
	case *RegisterBrokerRecord:
		switch {
		case level >= levelNewRegistry:
			return 4
		case level >= levelDirectories:
			return 3
		case level >= levelMigration:
			return 2
		}
		return 1
	case *BrokerRegistrationChangeRecord:
		switch { // the lowest that can say it, as Kafka writes it
		case r.CordonedLogDirs != nil && level >= levelCordonedDirs:
			return 3
		case len(r.LogDirs) > 0 && level >= levelDirectories:
			return 2
		case r.InControlledShutdown != 0:
			return 1
		}
		return 0
	case *PartitionRecord:
		return i.partitionVersion(r.EligibleLeaderReplicas != nil || r.LastKnownELR != nil)
	case *PartitionChangeRecord:
		return i.partitionVersion(r.EligibleLeaderReplicas != nil || r.LastKnownELR != nil)
	}
	return r.MaxVersion()
}

// partitionVersion is the version of a partition's records. What has eligible leader replicas left from a time when
// the feature was on must be able to lose them.
func (i *Image) partitionVersion(namesELR bool) int16 {
	switch level := i.MetadataVersion(); {
	case i.HasELR() || namesELR && level >= LevelELR:
		return 2
	case level >= levelDirectories:
		return 1
	}
	return 0
}
