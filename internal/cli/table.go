package cli

// Commands are the tools of this package, in the order in which help lists them. What needs a broker inside the
// process (server-start, up) is added by cmd/gregor.
func Commands() []Command {
	return []Command{
		topicsCommand(),
		transactionsCommand(),
		zookeeperShellCommand(),
		consoleProducerCommand(),
		consoleConsumerCommand(),
		consumerGroupsCommand(),
		configsCommand(),
		getOffsetsCommand(),
		deleteRecordsCommand(),
		brokerAPIVersionsCommand(),
		clusterCommand(),
		quorumCommand(),
		leaderElectionCommand(),
		reassignCommand(),
		logDirsCommand(),
		featuresCommand(),
		groupsCommand(),
		dumpLogCommand(),
		producerPerfCommand(),
		consumerPerfCommand(),
		storageCommand(),
		checkCommand(),
	}
}
