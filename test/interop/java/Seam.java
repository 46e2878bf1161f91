import java.io.IOException;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.apache.kafka.common.message.FetchResponseData;
import org.apache.kafka.common.message.FetchSnapshotResponseData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.ControlRecordUtils;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.requests.AbstractRequest;
import org.apache.kafka.common.requests.AbstractResponse;
import org.apache.kafka.common.requests.EnvelopeRequest;
import org.apache.kafka.common.requests.EnvelopeResponse;
import org.apache.kafka.common.requests.FetchRequest;
import org.apache.kafka.common.requests.RequestHeader;
import org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder;
import org.apache.kafka.metadata.MetadataRecordSerde;
import org.apache.kafka.server.common.ApiMessageAndVersion;

/**
 * Reads what two processes said to each other, with Apache Kafka's own classes: Seam DIR, where NAME.requests and
 * NAME.responses are the two directions of a connection. Every message must decode, and encode again to the same bytes; so
 * must every record of the metadata log that is fetched. Prints "API vN" for each kind that it met.
 */
public final class Seam {
    private static final TreeMap<String, Integer> met = new TreeMap<>();
    private static final TreeSet<String> problems = new TreeSet<>();
    private static final DefaultKafkaPrincipalBuilder principals = new DefaultKafkaPrincipalBuilder(null, null);
    private static final int FIRST_PRIVATE_KEY = 26000;

    public static void main(String[] args) throws IOException {
        try (Stream<Path> files = Files.list(Path.of(args[0]))) {
            for (Path p : (Iterable<Path>) files.sorted()::iterator) {
                String name = p.toString();
                if (name.endsWith(".requests")) {
                    connection(p, Path.of(name.substring(0, name.length() - ".requests".length()) + ".responses"));
                }
            }
        }
        met.forEach((what, n) -> System.out.println(what + ": " + n));
        problems.forEach(p -> System.out.println("PROBLEM " + p));
        System.out.println(problems.isEmpty() ? "all is Kafka's" : problems.size() + " problems");
        System.exit(problems.isEmpty() ? 0 : 1);
    }

    /** frame cuts the next message off; null when it is not all there. */
    private static ByteBuffer frame(ByteBuffer b) {
        if (b.remaining() < 4 || b.remaining() - 4 < b.getInt(b.position())) {
            return null;
        }
        int size = b.getInt();
        ByteBuffer f = b.slice(b.position(), size);
        b.position(b.position() + size);
        return f;
    }

    private static void connection(Path in, Path out) throws IOException {
        ByteBuffer requests = ByteBuffer.wrap(Files.readAllBytes(in)), responses = ByteBuffer.wrap(Files.readAllBytes(out));
        for (ByteBuffer f; (f = frame(requests)) != null; ) {
            ByteBuffer r = frame(responses); // nobody here asks for what is not answered
            if (f.getShort(0) >= FIRST_PRIVATE_KEY || !ApiKeys.hasId(f.getShort(0)) || f.getShort(2) > ApiKeys.forId(f.getShort(0)).latestVersion()) {
                continue; // ours, or a client that asks whether the broker is newer than it is
            }
            String what = "key " + f.getShort(0) + " v" + f.getShort(2);
            try {
                RequestHeader header = RequestHeader.parse(f);
                what = header.apiKey() + " v" + header.apiVersion();
                AbstractRequest request = request(header, f, what);
                if (r != null) {
                    response(request, header, r, what);
                }
            } catch (Throwable e) {
                problems.add(what + ": " + e);
            }
        }
    }

    private static AbstractRequest request(RequestHeader header, ByteBuffer body, String what) throws Exception {
        ByteBuffer bytes = body.slice();
        AbstractRequest request = AbstractRequest.parseRequest(header.apiKey(), header.apiVersion(), new ByteBufferAccessor(body)).request;
        same(bytes, request.data(), header.apiVersion(), what);
        met.merge(what, 1, Integer::sum);
        if (request instanceof EnvelopeRequest e) {
            ByteBuffer data = e.requestData().slice();
            RequestHeader inner = RequestHeader.parse(data);
            String name = "Envelope of " + inner.apiKey() + " v" + inner.apiVersion();
            if (!inner.apiKey().forwardable) {
                problems.add(name + ": Kafka does not forward it");
            }
            request(inner, data, name);
            met.merge("for " + principals.deserialize(e.requestPrincipal()) + " at " + InetAddress.getByAddress(e.clientAddress()), 1, Integer::sum);
        }
        return request;
    }

    private static void response(AbstractRequest request, RequestHeader header, ByteBuffer f, String what) {
        ByteBuffer all = f.slice();
        AbstractResponse response = AbstractResponse.parseResponse(f, header);
        int size = MessageUtil.toByteBufferAccessor(response.data(), header.apiVersion()).buffer().remaining();
        same(all.slice(all.limit() - size, size), response.data(), header.apiVersion(), "response to " + what);
        if (response instanceof EnvelopeResponse e && e.responseData() != null) {
            ByteBuffer data = ((EnvelopeRequest) request).requestData().slice();
            RequestHeader inner = RequestHeader.parse(data);
            AbstractResponse.parseResponse(e.responseData().slice(), inner);
        }
        if (response.data() instanceof FetchResponseData d && request instanceof FetchRequest) {
            for (var topic : d.responses()) {
                for (var p : topic.partitions()) {
                    if (topic.topicId().equals(org.apache.kafka.common.Uuid.METADATA_TOPIC_ID)) {
                        records(((MemoryRecords) p.records()).buffer(), "metadata log");
                    } else {
                        ((MemoryRecords) p.records()).batches().forEach(RecordBatch::ensureValid);
                    }
                }
            }
        }
        if (response.data() instanceof FetchSnapshotResponseData d) {
            for (var topic : d.topics()) {
                for (var p : topic.partitions()) {
                    if (p.position() == 0 && p.size() == p.unalignedRecords().sizeInBytes()) {
                        records(((MemoryRecords) p.unalignedRecords()).buffer(), "snapshot");
                    }
                }
            }
        }
    }

    private static void records(ByteBuffer buffer, String where) {
        for (RecordBatch batch : MemoryRecords.readableRecords(buffer).batches()) {
            batch.ensureValid();
            for (Record r : batch) {
                if (batch.isControlBatch()) {
                    control(r, where);
                    continue;
                }
                ByteBuffer value = r.value().slice();
                ApiMessageAndVersion m = MetadataRecordSerde.INSTANCE.read(new ByteBufferAccessor(r.value().slice()), r.valueSize());
                String what = where + ": " + m.message().getClass().getSimpleName() + " v" + m.version();
                ObjectSerializationCache cache = new ObjectSerializationCache();
                ByteBuffer again = ByteBuffer.allocate(MetadataRecordSerde.INSTANCE.recordSize(m, cache));
                MetadataRecordSerde.INSTANCE.write(m, cache, new ByteBufferAccessor(again));
                if (!again.flip().equals(value)) {
                    problems.add(what + " encodes otherwise: " + m.message());
                }
                met.merge(what, 1, Integer::sum);
            }
        }
    }

    private static void control(Record r, String where) {
        ControlRecordType type = ControlRecordType.parse(r.key());
        Message m = switch (type) {
            case LEADER_CHANGE -> ControlRecordUtils.deserializeLeaderChangeMessage(r);
            case SNAPSHOT_HEADER -> ControlRecordUtils.deserializeSnapshotHeaderRecord(r);
            case SNAPSHOT_FOOTER -> ControlRecordUtils.deserializeSnapshotFooterRecord(r);
            case KRAFT_VERSION -> ControlRecordUtils.deserializeKRaftVersionRecord(r);
            case KRAFT_VOTERS -> ControlRecordUtils.deserializeVotersRecord(r);
            default -> throw new IllegalStateException("control record " + type);
        };
        met.merge(where + ": " + m.getClass().getSimpleName(), 1, Integer::sum);
    }

    private static void same(ByteBuffer bytes, Message m, short version, String what) {
        ByteBuffer again = MessageUtil.toByteBufferAccessor(m, version).buffer();
        if (!again.equals(bytes)) {
            problems.add(what + " encodes otherwise (" + bytes.remaining() + " bytes, " + again.remaining() + " of Kafka's): " + m);
        }
    }
}
