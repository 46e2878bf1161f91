import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Apache Kafka's Java clients on a broker: Clients BROKER [CHECK...]. Prints one line a check; exits 1 if one fails. */
public final class Clients {
    private interface Check {
        void run() throws Exception;
    }

    private static String broker;
    private static Admin admin;

    public static void main(String[] args) throws Exception {
        broker = args[0];
        Set<String> only = new HashSet<>(Arrays.asList(args).subList(1, args.length));
        Map<String, Check> checks = new TreeMap<>();
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            checks.put("produce-consume-" + codec, () -> produceAndConsume(codec));
        }
        checks.put("large-records", Clients::largeRecords);
        checks.put("acks-and-log-append-time", Clients::acks);
        checks.put("seek-and-times", Clients::seekAndTimes);
        checks.put("commit-and-resume", Clients::commitAndResume);
        checks.put("pattern-subscription", Clients::pattern);
        checks.put("rebalance-range", () -> rebalance(RangeAssignor.class, false));
        checks.put("rebalance-cooperative-sticky", () -> rebalance(CooperativeStickyAssignor.class, false));
        checks.put("rebalance-static-members", () -> rebalance(RangeAssignor.class, true));
        checks.put("admin-topics", Clients::adminTopics);
        checks.put("admin-configs", Clients::adminConfigs);
        checks.put("admin-log", Clients::adminLog);
        checks.put("admin-groups", Clients::adminGroups);
        checks.put("errors", Clients::errors);
        int failed = 0;
        try (Admin a = Admin.create(Map.of("bootstrap.servers", broker, "client.id", "admin"))) {
            admin = a;
            for (Map.Entry<String, Check> check : checks.entrySet()) {
                if (!only.isEmpty() && !only.contains(check.getKey())) {
                    continue;
                }
                long start = System.nanoTime();
                try {
                    check.getValue().run();
                    System.out.printf("ok    %s (%d ms)%n", check.getKey(), (System.nanoTime() - start) / 1_000_000);
                } catch (Throwable e) {
                    failed++;
                    System.out.printf("FAIL  %s: %s%n", check.getKey(), e);
                    e.printStackTrace(System.out);
                }
            }
        }
        System.out.println(failed == 0 ? "all clients agree" : failed + " checks failed");
        System.exit(failed == 0 ? 0 : 1);
    }

    private static void produceAndConsume(String codec) throws Exception {
        String topic = topic("java-" + codec, 3);
        List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
        Random random = new Random(1);
        for (int i = 0; i < 2000; i++) {
            byte[] key = i % 7 == 0 ? null : bytes("key-" + i % 50);
            byte[] value = i % 11 == 0 ? null : random.ints(i % 300, 'a', 'f').mapToObj(Character::toString).collect(Collectors.joining()).getBytes();
            List<Header> headers = new ArrayList<>();
            for (int h = 0; h < i % 4; h++) {
                headers.add(new RecordHeader(h == 2 ? "" : "header-" + h, h == 1 ? null : bytes("value-" + i)));
            }
            sent.add(new ProducerRecord<>(topic, i % 3, 1_600_000_000_000L + i, key, value, headers));
        }
        List<Future<RecordMetadata>> acks = new ArrayList<>();
        try (Producer<byte[], byte[]> producer = producer("compression.type", codec, "linger.ms", "5")) {
            for (ProducerRecord<byte[], byte[]> record : sent) {
                acks.add(producer.send(record));
            }
        }
        Map<TopicPartition, List<ProducerRecord<byte[], byte[]>>> byPartition = new HashMap<>();
        for (int i = 0; i < sent.size(); i++) {
            RecordMetadata m = acks.get(i).get();
            List<ProducerRecord<byte[], byte[]>> list = byPartition.computeIfAbsent(new TopicPartition(topic, m.partition()), tp -> new ArrayList<>());
            equal("offset of a produced record", (long) list.size(), m.offset());
            equal("timestamp", sent.get(i).timestamp(), m.timestamp());
            list.add(sent.get(i));
        }
        Map<TopicPartition, Integer> seen = new HashMap<>();
        int count = 0;
        try (KafkaConsumer<byte[], byte[]> consumer = consumer("java-group-" + codec, "auto.offset.reset", "earliest", "max.poll.records", "300")) {
            consumer.subscribe(List.of(topic));
            long end = deadline();
            while (count < sent.size()) {
                before(end, "all records: " + count + " of " + sent.size());
                for (ConsumerRecord<byte[], byte[]> got : consumer.poll(Duration.ofMillis(200))) {
                    TopicPartition tp = new TopicPartition(got.topic(), got.partition());
                    int index = seen.merge(tp, 1, Integer::sum) - 1;
                    ProducerRecord<byte[], byte[]> want = byPartition.get(tp).get(index);
                    equal("offset", (long) index, got.offset());
                    equal("key", want.key(), got.key());
                    equal("value", want.value(), got.value());
                    equal("timestamp", want.timestamp(), got.timestamp());
                    equal("headers", Arrays.toString(want.headers().toArray()), Arrays.toString(got.headers().toArray()));
                    count++;
                }
            }
        }
    }

    private static void largeRecords() throws Exception {
        String topic = topic("java-large", 1);
        byte[] value = new byte[1_000_000];
        new Random(2).nextBytes(value);
        try (Producer<byte[], byte[]> producer = producer("buffer.memory", "16000000", "max.request.size", "4000000")) {
            for (int i = 0; i < 5; i++) {
                producer.send(new ProducerRecord<>(topic, null, value)).get();
            }
            fails(RecordTooLargeException.class, () -> producer.send(new ProducerRecord<>(topic, null, new byte[2_000_000])).get());
            producer.send(new ProducerRecord<>(topic, null, bytes("after"))).get();
        }
        List<ConsumerRecord<byte[], byte[]>> got = read(topic, 6, "max.partition.fetch.bytes", "1000", "fetch.max.bytes", "1000");
        for (int i = 0; i < 5; i++) {
            equal("large value", value, got.get(i).value());
        }
        equal("value after a refused one", bytes("after"), got.get(5).value());
    }

    private static void acks() throws Exception {
        String topic = topic("java-acks", 1);
        for (String acks : List.of("0", "1", "all")) {
            try (Producer<byte[], byte[]> producer = producer("acks", acks, "enable.idempotence", "false")) {
                long offset = producer.send(new ProducerRecord<>(topic, bytes("k"), bytes(acks))).get().offset();
                if (acks.equals("0") && offset != -1) {
                    throw new AssertionError("acks=0 was told offset " + offset);
                }
            }
        }
        equal("records", 3, read(topic, 3).size());
        String appended = name("java-append-time");
        admin.createTopics(List.of(new NewTopic(appended, 1, (short) 1).configs(Map.of("message.timestamp.type", "LogAppendTime")))).all().get();
        long before = System.currentTimeMillis();
        try (Producer<byte[], byte[]> producer = producer()) {
            long told = producer.send(new ProducerRecord<>(appended, 0, 12345L, null, bytes("v"))).get().timestamp();
            if (told < before) {
                throw new AssertionError("the producer was told its own timestamp: " + told);
            }
            ConsumerRecord<byte[], byte[]> got = read(appended, 1).get(0);
            equal("timestamp", told, got.timestamp());
            equal("timestamp type", "LogAppendTime", got.timestampType().toString());
        }
    }

    private static void seekAndTimes() throws Exception {
        String topic = topic("java-seek", 1);
        TopicPartition tp = new TopicPartition(topic, 0);
        try (Producer<byte[], byte[]> producer = producer("linger.ms", "0")) {
            for (int i = 0; i < 100; i++) {
                producer.send(new ProducerRecord<>(topic, 0, 1_000_000L + i * 1000, null, bytes("" + i))).get();
            }
        }
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(null)) {
            consumer.assign(List.of(tp));
            equal("beginning", 0L, consumer.beginningOffsets(List.of(tp)).get(tp));
            equal("end", 100L, consumer.endOffsets(List.of(tp)).get(tp));
            OffsetAndTimestamp at = consumer.offsetsForTimes(Map.of(tp, 1_041_500L)).get(tp);
            equal("offset for a time", 42L, at.offset());
            equal("its timestamp", 1_042_000L, at.timestamp());
            equal("offset for the first time", 0L, consumer.offsetsForTimes(Map.of(tp, 0L)).get(tp).offset());
            equal("offset for a time to come", null, consumer.offsetsForTimes(Map.of(tp, 9_999_999_999_999L)).get(tp));
            for (long offset : new long[] {57, 99, 0, 31}) {
                consumer.seek(tp, offset);
                equal("record after seek", bytes("" + offset), pollOne(consumer).value());
            }
            consumer.seekToEnd(List.of(tp));
            equal("position at the end", 100L, consumer.position(tp));
            consumer.seekToBeginning(List.of(tp));
            equal("position at the beginning", 0L, consumer.position(tp));
            equal("partitions", 1, consumer.partitionsFor(topic).size());
        }
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(null, "auto.offset.reset", "none")) {
            consumer.assign(List.of(tp));
            consumer.seek(tp, 5000);
            fails(org.apache.kafka.clients.consumer.OffsetOutOfRangeException.class, () -> pollOne(consumer));
        }
    }

    private static void commitAndResume() throws Exception {
        String topic = topic("java-commit", 1);
        String group = name("java-commit-group");
        TopicPartition tp = new TopicPartition(topic, 0);
        try (Producer<byte[], byte[]> producer = producer()) {
            for (int i = 0; i < 10; i++) {
                producer.send(new ProducerRecord<>(topic, null, bytes("" + i))).get();
            }
        }
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(group, "enable.auto.commit", "false")) {
            consumer.assign(List.of(tp));
            equal("nothing committed", null, consumer.committed(Set.of(tp)).get(tp));
            consumer.commitSync(Map.of(tp, new OffsetAndMetadata(4, Optional.of(0), "half way")));
            OffsetAndMetadata committed = consumer.committed(Set.of(tp)).get(tp);
            equal("committed offset", 4L, committed.offset());
            equal("committed metadata", "half way", committed.metadata());
            equal("committed epoch", Optional.of(0), committed.leaderEpoch());
        }
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(group, "auto.offset.reset", "earliest")) {
            consumer.subscribe(List.of(topic));
            equal("first record after a commit", bytes("4"), pollOne(consumer).value());
        }
        equal("committed on close", 10L, admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(tp).offset());
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(group)) {
            consumer.assign(List.of(tp));
            fails(OffsetMetadataTooLarge.class, () -> consumer.commitSync(Map.of(tp, new OffsetAndMetadata(4, "x".repeat(5000)))));
        }
    }

    private static void pattern() throws Exception {
        String prefix = name("java-pattern");
        topicNamed(prefix + "-1", 1);
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(name("java-pattern-group"), "auto.offset.reset", "earliest", "metadata.max.age.ms", "300")) {
            consumer.subscribe(java.util.regex.Pattern.compile(prefix + "-.*"));
            long end = deadline();
            while (consumer.assignment().size() < 1) {
                before(end, "one partition");
                consumer.poll(Duration.ofMillis(50));
            }
            topicNamed(prefix + "-2", 2);
            while (consumer.assignment().size() < 3) {
                before(end, "the partitions of a topic that came later");
                consumer.poll(Duration.ofMillis(50));
            }
        }
    }

    /** Members come and go; at each stage every partition belongs to one of them, and no record is lost. */
    private static void rebalance(Class<? extends ConsumerPartitionAssignor> assignor, boolean members) throws Exception {
        String topic = topic("java-rebalance", 6);
        String group = name("java-rebalance-group");
        List<KafkaConsumer<byte[], byte[]>> consumers = new ArrayList<>();
        Set<String> values = new HashSet<>();
        try (Producer<byte[], byte[]> producer = producer()) {
            for (int stage = 1; stage <= 3; stage++) {
                consumers.add(groupMember(group, assignor, members, stage));
                consumers.get(stage - 1).subscribe(List.of(topic));
                settle(consumers, topic, values);
                for (int i = 0; i < 60; i++) {
                    producer.send(new ProducerRecord<>(topic, i % 6, null, bytes(stage + "-" + i)));
                }
                producer.flush();
                drain(consumers, values, stage * 60);
            }
            if (members) {
                // A static member that comes back within its session keeps its partitions, and nobody else rebalances.
                Set<TopicPartition> owned = consumers.get(2).assignment();
                int[] revoked = {0};
                consumers.get(2).close(CloseOptions.timeout(Duration.ofSeconds(5)));
                consumers.set(2, groupMember(group, assignor, true, 3));
                consumers.get(2).subscribe(List.of(topic), new ConsumerRebalanceListener() {
                    @Override
                    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                        revoked[0]++;
                    }

                    @Override
                    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                    }
                });
                settle(consumers, topic, values);
                equal("partitions of a static member that came back", owned, consumers.get(2).assignment());
                equal("revocations", 0, revoked[0]);
            }
            consumers.remove(0).close(CloseOptions.timeout(Duration.ofSeconds(5)).withGroupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP));
            settle(consumers, topic, values);
            for (int i = 0; i < 60; i++) {
                producer.send(new ProducerRecord<>(topic, i % 6, null, bytes("4-" + i)));
            }
            producer.flush();
            drain(consumers, values, 240);
        } finally {
            for (KafkaConsumer<byte[], byte[]> consumer : consumers) {
                consumer.close(CloseOptions.timeout(Duration.ofSeconds(5)).withGroupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP));
            }
        }
    }

    private static KafkaConsumer<byte[], byte[]> groupMember(String group, Class<? extends ConsumerPartitionAssignor> assignor, boolean isStatic, int n) {
        return isStatic
            ? consumer(group, "partition.assignment.strategy", assignor.getName(), "auto.offset.reset", "earliest", "heartbeat.interval.ms", "200", "group.instance.id", "instance-" + n)
            : consumer(group, "partition.assignment.strategy", assignor.getName(), "auto.offset.reset", "earliest", "heartbeat.interval.ms", "200");
    }

    /** Polls until every partition of the topic is owned once and all have a fair share. */
    private static void settle(List<KafkaConsumer<byte[], byte[]>> consumers, String topic, Set<String> values) {
        long end = deadline();
        for (;;) {
            before(end, "a settled group of " + consumers.size());
            Set<TopicPartition> owned = new HashSet<>();
            int total = 0;
            boolean fair = true;
            for (KafkaConsumer<byte[], byte[]> consumer : consumers) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(20))) {
                    values.add(new String(record.value(), StandardCharsets.UTF_8));
                }
                owned.addAll(consumer.assignment());
                total += consumer.assignment().size();
                fair &= consumer.assignment().size() == 6 / consumers.size();
            }
            if (owned.size() == 6 && total == 6 && fair) {
                return;
            }
        }
    }

    private static void drain(List<KafkaConsumer<byte[], byte[]>> consumers, Set<String> values, int want) {
        long end = deadline();
        while (values.size() < want) {
            before(end, want + " records, have " + values.size());
            for (KafkaConsumer<byte[], byte[]> consumer : consumers) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(20))) {
                    values.add(new String(record.value(), StandardCharsets.UTF_8));
                }
            }
        }
    }

    private static void adminTopics() throws Exception {
        String topic = name("java-admin");
        CreateTopicsResult created = admin.createTopics(List.of(new NewTopic(topic, 2, (short) 1).configs(Map.of("segment.bytes", "1048576"))));
        created.all().get();
        equal("partitions told", 2, created.numPartitions(topic).get());
        equal("config told", "1048576", created.config(topic).get().get("segment.bytes").value());
        TopicDescription description = describe(topic);
        equal("topic id", created.topicId(topic).get(), description.topicId());
        equal("partitions", 2, description.partitions().size());
        equal("leader", 1, description.partitions().get(0).isr().size());
        equal("by id", topic, admin.describeTopics(org.apache.kafka.common.TopicCollection.ofTopicIds(List.of(description.topicId()))).allTopicIds().get().get(description.topicId()).name());
        admin.createTopics(List.of(new NewTopic(topic + "-dry", 1, (short) 1)), new CreateTopicsOptions().validateOnly(true)).all().get();
        if (admin.listTopics().names().get().contains(topic + "-dry")) {
            throw new AssertionError("validateOnly created a topic");
        }
        fails(TopicExistsException.class, () -> admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get());
        fails(InvalidReplicationFactorException.class, () -> admin.createTopics(List.of(new NewTopic(topic + "-r", 1, (short) 5))).all().get());
        fails(InvalidPartitionsException.class, () -> admin.createTopics(List.of(new NewTopic(topic + "-p", 0, (short) 1))).all().get());
        fails(InvalidTopicException.class, () -> admin.createTopics(List.of(new NewTopic("not/a topic", 1, (short) 1))).all().get());
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all().get();
        long end = deadline();
        while (describe(topic).partitions().size() != 4) {
            before(end, "four partitions");
        }
        fails(InvalidPartitionsException.class, () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all().get());
        admin.deleteTopics(List.of(topic)).all().get();
        while (admin.listTopics().names().get().contains(topic)) {
            before(end, "the topic to be gone");
        }
        fails(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(topic)).all().get());
        while (find(topic) != null) {
            before(end, "every broker to know that the topic is gone");
        }
        // A topic of the same name is another topic.
        admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get();
        while (describe(topic).topicId().equals(description.topicId())) {
            before(end, "a new topic to have another id than the deleted one");
        }
        DescribeClusterResult cluster = admin.describeCluster();
        Set<Integer> nodes = cluster.nodes().get().stream().map(n -> n.id()).collect(Collectors.toSet());
        if (!nodes.contains(cluster.controller().get().id())) {
            throw new AssertionError("controller " + cluster.controller().get() + " is none of the nodes " + nodes);
        }
    }

    /** A broker hears of a new topic a moment after the one that answered. */
    private static TopicDescription describe(String topic) throws Exception {
        for (long end = deadline(); ; before(end, "topic " + topic)) {
            TopicDescription d = find(topic);
            if (d != null) {
                return d;
            }
        }
    }

    /** The topic as some broker knows it, or null. */
    private static TopicDescription find(String topic) throws Exception {
        try {
            return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof UnknownTopicOrPartitionException) {
                return null;
            }
            throw e;
        }
    }

    private static void adminConfigs() throws Exception {
        String topic = topic("java-config", 1);
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(
            new AlterConfigOp(new ConfigEntry("retention.ms", "1000"), AlterConfigOp.OpType.SET),
            new AlterConfigOp(new ConfigEntry("cleanup.policy", "compact"), AlterConfigOp.OpType.APPEND)))).all().get();
        eventually("retention.ms", "1000", () -> config(resource, "retention.ms").value());
        equal("source", ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, config(resource, "retention.ms").source());
        equal("appended", new TreeSet<>(List.of("compact", "delete")), new TreeSet<>(List.of(config(resource, "cleanup.policy").value().split(","))));
        admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry("retention.ms", ""), AlterConfigOp.OpType.DELETE)))).all().get();
        eventually("retention.ms", "604800000", () -> config(resource, "retention.ms").value());
        fails(InvalidConfigurationException.class, () -> admin.incrementalAlterConfigs(Map.of(resource,
            List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "never"), AlterConfigOp.OpType.SET)))).all().get());
        ConfigResource node = new ConfigResource(ConfigResource.Type.BROKER, "" + admin.describeCluster().controller().get().id());
        equal("read only", true, config(node, "log.dirs").isReadOnly());
        Config described = admin.describeConfigs(List.of(node), new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all().get().get(node);
        if (described.entries().size() < 100) {
            throw new AssertionError("a broker has only " + described.entries().size() + " configs");
        }
    }

    private static ConfigEntry config(ConfigResource resource, String key) throws Exception {
        return admin.describeConfigs(List.of(resource)).all().get().get(resource).get(key);
    }

    private static void adminLog() throws Exception {
        String topic = topic("java-log", 2);
        TopicPartition tp = new TopicPartition(topic, 0);
        try (Producer<byte[], byte[]> producer = producer()) {
            for (int i = 0; i < 20; i++) {
                producer.send(new ProducerRecord<>(topic, 0, 1000L + i, null, new byte[1000])).get();
            }
        }
        equal("latest", 20L, listOffset(tp, OffsetSpec.latest()));
        equal("earliest", 0L, listOffset(tp, OffsetSpec.earliest()));
        equal("max timestamp", 19L, listOffset(tp, OffsetSpec.maxTimestamp()));
        equal("for timestamp", 7L, listOffset(tp, OffsetSpec.forTimestamp(1007)));
        equal("low watermark", 12L, admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(12))).lowWatermarks().get(tp).get().lowWatermark());
        equal("earliest after deletion", 12L, listOffset(tp, OffsetSpec.earliest()));
        fails(org.apache.kafka.common.errors.OffsetOutOfRangeException.class, () -> admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(50))).all().get());
        int node = describe(topic).partitions().get(0).leader().id();
        LogDirDescription dir = admin.describeLogDirs(List.of(node)).allDescriptions().get().get(node).values().iterator().next();
        ReplicaInfo info = dir.replicaInfos().get(tp);
        if (info.size() < 20_000 || info.isFuture()) {
            throw new AssertionError("log dir says " + info);
        }
        if (dir.totalBytes().isEmpty() || dir.usableBytes().isEmpty()) {
            throw new AssertionError("log dir does not tell its volume");
        }
        DescribeProducersResult.PartitionProducerState state = admin.describeProducers(List.of(tp)).partitionResult(tp).get();
        equal("producers", 1, state.activeProducers().size());
        equal("last sequence", 19, state.activeProducers().get(0).lastSequence());
    }

    private static long listOffset(TopicPartition tp, OffsetSpec spec) throws Exception {
        return admin.listOffsets(Map.of(tp, spec)).partitionResult(tp).get().offset();
    }

    private static void adminGroups() throws Exception {
        String topic = topic("java-groups", 1);
        String group = name("java-admin-group");
        TopicPartition tp = new TopicPartition(topic, 0);
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(group, "client.id", "described", "group.instance.id", "an-instance")) {
            consumer.subscribe(List.of(topic));
            long end = deadline();
            while (consumer.assignment().isEmpty()) {
                before(end, "an assignment");
                consumer.poll(Duration.ofMillis(50));
            }
            ConsumerGroupDescription description = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
            equal("state", "Stable", description.groupState().toString());
            equal("assignor", "range", description.partitionAssignor());
            MemberDescription member = description.members().iterator().next();
            equal("client id", "described", member.clientId());
            equal("instance", Optional.of("an-instance"), member.groupInstanceId());
            equal("assignment", Set.of(tp), member.assignment().topicPartitions());
            if (!member.host().startsWith("/")) {
                throw new AssertionError("host is " + member.host());
            }
            if (admin.listGroups(ListGroupsOptions.forConsumerGroups()).all().get().stream().noneMatch(g -> g.groupId().equals(group))) {
                throw new AssertionError("the group is not listed");
            }
            fails(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
            admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("an-instance")))).all().get();
        }
        admin.alterConsumerGroupOffsets(group, Map.of(tp, new OffsetAndMetadata(0, "set"))).all().get();
        equal("altered offset", "set", admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(tp).metadata());
        admin.deleteConsumerGroupOffsets(group, Set.of(tp)).all().get();
        equal("offsets", null, admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(tp));
        admin.alterConsumerGroupOffsets(group, Map.of(tp, new OffsetAndMetadata(0))).all().get();
        admin.deleteConsumerGroups(List.of(group)).all().get();
        fails(GroupIdNotFoundException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
    }

    private static void errors() throws Exception {
        try (Producer<byte[], byte[]> producer = producer("max.block.ms", "1500")) {
            fails(TimeoutException.class, () -> producer.send(new ProducerRecord<>(topic("java-errors", 1), 7, null, bytes("v"))).get());
            fails(InvalidTopicException.class, () -> producer.send(new ProducerRecord<>("no good name!", null, bytes("v"))).get());
        }
        String compacted = name("java-compacted");
        admin.createTopics(List.of(new NewTopic(compacted, 1, (short) 1).configs(Map.of("cleanup.policy", "compact")))).all().get();
        try (Producer<byte[], byte[]> producer = producer()) {
            fails(InvalidRecordException.class, () -> producer.send(new ProducerRecord<>(compacted, null, bytes("no key"))).get());
        }
        // A topic that nobody created is made on the first record.
        String automatic = name("java-automatic");
        try (Producer<byte[], byte[]> producer = producer()) {
            equal("offset in a topic made on demand", 0L, producer.send(new ProducerRecord<>(automatic, null, bytes("v"))).get().offset());
        }
        try (KafkaConsumer<byte[], byte[]> consumer = consumer("java-session", "session.timeout.ms", "1000", "heartbeat.interval.ms", "100")) {
            consumer.subscribe(List.of(automatic));
            fails(InvalidSessionTimeoutException.class, () -> pollOne(consumer));
        }
    }

    // ---- helpers ----

    private static final long RUN = System.currentTimeMillis() % 1_000_000;
    private static int names;

    private static String name(String prefix) {
        return prefix + "-" + RUN + "-" + ++names;
    }

    private static String topic(String prefix, int partitions) throws Exception {
        return topicNamed(name(prefix), partitions);
    }

    private static String topicNamed(String name, int partitions) throws Exception {
        admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1))).all().get(20, TimeUnit.SECONDS);
        return name;
    }

    private static Producer<byte[], byte[]> producer(String... config) {
        Properties p = properties(config);
        p.putIfAbsent("acks", "all");
        p.putIfAbsent("delivery.timeout.ms", "20000");
        p.putIfAbsent("request.timeout.ms", "10000");
        return new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private static KafkaConsumer<byte[], byte[]> consumer(String group, String... config) {
        Properties p = properties(config);
        if (group != null) {
            p.put("group.id", group);
        } else {
            p.put("enable.auto.commit", "false");
        }
        return new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static Properties properties(String... config) {
        Properties p = new Properties();
        p.put("bootstrap.servers", broker);
        for (int i = 0; i < config.length; i += 2) {
            p.put(config[i], config[i + 1]);
        }
        return p;
    }

    private static List<ConsumerRecord<byte[], byte[]>> read(String topic, int count, String... config) {
        List<ConsumerRecord<byte[], byte[]>> got = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(null, config)) {
            List<TopicPartition> all = consumer.partitionsFor(topic).stream().map(i -> new TopicPartition(topic, i.partition())).toList();
            consumer.assign(all);
            consumer.seekToBeginning(all);
            long end = deadline();
            while (got.size() < count) {
                before(end, count + " records of " + topic + ", have " + got.size());
                consumer.poll(Duration.ofMillis(100)).forEach(got::add);
            }
        }
        return got;
    }

    private static ConsumerRecord<byte[], byte[]> pollOne(KafkaConsumer<byte[], byte[]> consumer) {
        long end = deadline();
        for (;;) {
            before(end, "a record");
            ConsumerRecords<byte[], byte[]> got = consumer.poll(Duration.ofMillis(100));
            if (!got.isEmpty()) {
                return got.iterator().next();
            }
        }
    }

    private static byte[] bytes(String s) {
        return s.getBytes(StandardCharsets.UTF_8);
    }

    private static long deadline() {
        return System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    }

    private static void before(long deadline, String what) {
        if (System.nanoTime() > deadline) {
            throw new AssertionError("waited too long for " + what);
        }
    }

    private interface Value {
        Object get() throws Exception;
    }

    private static void eventually(String what, Object want, Value value) throws Exception {
        for (long end = deadline(); !want.equals(value.get()); ) {
            before(end, what + " to be " + want + ", it is " + value.get());
        }
    }

    private static void equal(String what, Object want, Object got) {
        boolean same = want instanceof byte[] && got instanceof byte[] ? Arrays.equals((byte[]) want, (byte[]) got) : java.util.Objects.equals(want, got);
        if (!same) {
            throw new AssertionError(what + ": want " + show(want) + ", got " + show(got));
        }
    }

    private static String show(Object o) {
        return o instanceof byte[] ? "'" + new String(Arrays.copyOf((byte[]) o, Math.min(((byte[]) o).length, 80)), StandardCharsets.UTF_8) + "'" : String.valueOf(o);
    }

    private static void fails(Class<? extends Throwable> with, Check check) throws Exception {
        try {
            check.run();
        } catch (Throwable e) {
            Throwable cause = e instanceof ExecutionException ? e.getCause() : e;
            if (with.isInstance(cause)) {
                return;
            }
            throw new AssertionError("want " + with.getSimpleName() + ", got " + cause, cause);
        }
        throw new AssertionError("want " + with.getSimpleName() + ", got no error");
    }
}
