import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * A producer and a group of two consumers that work until a line comes on standard input, while somebody takes brokers
 * away: Failover BROKERS TOPIC. Then it checks that every acknowledged record is there once, in order, and that the group
 * has seen it. Prints "acknowledged N" as it goes on.
 */
public final class Failover {
    private static volatile boolean stopping;
    private static final Set<String> seen = ConcurrentHashMap.newKeySet();
    private static final ConcurrentLinkedQueue<String> problems = new ConcurrentLinkedQueue<>();

    public static void main(String[] args) throws Exception {
        String brokers = args[0], topic = args[1];
        List<KafkaConsumer<String, String>> members = new ArrayList<>();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            KafkaConsumer<String, String> member = consumer(brokers, "group.id", "failover", "session.timeout.ms", "10000", "heartbeat.interval.ms", "1000");
            member.subscribe(List.of(topic));
            members.add(member);
            Thread t = new Thread(() -> read(member));
            t.start();
            threads.add(t);
        }
        ConcurrentLinkedQueue<String> acknowledged = new ConcurrentLinkedQueue<>();
        Thread writer = new Thread(() -> write(brokers, topic, acknowledged));
        writer.start();
        Thread teller = new Thread(() -> {
            try {
                while (!stopping) {
                    System.out.println("acknowledged " + acknowledged.size() + " seen " + seen.size());
                    Thread.sleep(100);
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
        teller.start();
        System.in.read();
        stopping = true;
        writer.join();
        long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
        while (!seen.containsAll(acknowledged) && System.nanoTime() < deadline) {
            Thread.sleep(50);
        }
        for (String value : acknowledged) {
            if (!seen.contains(value)) {
                problems.add("the group has not seen " + value);
                break;
            }
        }
        for (KafkaConsumer<String, String> member : members) {
            member.wakeup();
        }
        for (Thread t : threads) {
            t.join();
        }
        check(brokers, topic, new ArrayList<>(acknowledged));
        problems.stream().limit(20).forEach(p -> System.out.println("FAIL " + p));
        System.out.println(problems.isEmpty() ? "nothing is lost of " + acknowledged.size() : problems.size() + " problems");
        System.exit(problems.isEmpty() ? 0 : 1);
    }

    /** Idempotence and acks=all are the defaults of the client. */
    private static void write(String brokers, String topic, ConcurrentLinkedQueue<String> acknowledged) {
        Properties p = new Properties();
        p.put("bootstrap.servers", brokers);
        p.put("linger.ms", "2");
        p.put("delivery.timeout.ms", "60000");
        p.put("request.timeout.ms", "5000");
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
            for (int n = 0; !stopping; n++) {
                String value = Integer.toString(n);
                producer.send(new ProducerRecord<>(topic, n % 3, null, value), (metadata, error) -> {
                    if (error == null) {
                        acknowledged.add(value);
                    } else {
                        problems.add("record " + value + " was not acknowledged: " + error);
                    }
                });
                Thread.sleep(1);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void read(KafkaConsumer<String, String> member) {
        try (member) {
            while (true) {
                for (ConsumerRecord<String, String> r : member.poll(Duration.ofMillis(200))) {
                    seen.add(r.value());
                }
                try {
                    member.commitSync(Duration.ofSeconds(20));
                } catch (CommitFailedException | org.apache.kafka.common.errors.RebalanceInProgressException e) {
                    // Somebody else has the partitions now; what was not committed comes again.
                }
            }
        } catch (WakeupException e) {
            // The end.
        } catch (Exception e) {
            problems.add("a member of the group ended: " + e);
        }
    }

    private static void check(String brokers, String topic, List<String> acknowledged) {
        Map<String, Long> there = new HashMap<>();
        try (KafkaConsumer<String, String> c = consumer(brokers)) {
            List<TopicPartition> all = c.partitionsFor(topic).stream().map(i -> new TopicPartition(i.topic(), i.partition())).collect(Collectors.toList());
            c.assign(all);
            c.seekToBeginning(all);
            Map<TopicPartition, Long> ends = c.endOffsets(all);
            Map<Integer, Integer> last = new HashMap<>();
            while (all.stream().anyMatch(tp -> c.position(tp) < ends.get(tp))) {
                for (ConsumerRecord<String, String> r : c.poll(Duration.ofMillis(200))) {
                    Long before = there.put(r.value(), r.offset());
                    if (before != null) {
                        problems.add(r.value() + " is there twice, at offsets " + before + " and " + r.offset());
                    }
                    Integer previous = last.put(r.partition(), Integer.parseInt(r.value()));
                    if (previous != null && previous > Integer.parseInt(r.value())) {
                        problems.add(r.value() + " at offset " + r.offset() + " is behind " + previous);
                    }
                }
            }
        }
        for (String value : new HashSet<>(acknowledged)) {
            if (!there.containsKey(value)) {
                problems.add(value + " was acknowledged and is lost");
            }
        }
    }

    private static KafkaConsumer<String, String> consumer(String brokers, String... more) {
        Properties p = new Properties();
        p.put("bootstrap.servers", brokers);
        p.put("auto.offset.reset", "earliest");
        p.put("enable.auto.commit", "false");
        p.put("request.timeout.ms", "5000");
        p.put("default.api.timeout.ms", "30000");
        for (int i = 0; i < more.length; i += 2) {
            p.put(more[i], more[i + 1]);
        }
        return new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
    }
}
