package zk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"gregor/internal/metadata"
)

// The JSON of Kafka 3.9's znodes, with its order of keys (kafka.zk.ZkData). testdata/kafka-3.9.2*.txt hold what a broker
// of Kafka 3.9.2 wrote.

// object writes a JSON object with its keys in order.
type object struct{ b []byte }

func newObject() *object { return &object{b: []byte{'{'}} }

func (o *object) key(k string) *object {
	if len(o.b) > 1 {
		o.b = append(o.b, ',')
	}
	o.b = append(appendJSON(o.b, k), ':')
	return o
}

func (o *object) raw(k string, v []byte) *object { o.key(k).b = append(o.b, v...); return o }
func (o *object) text(k, v string) *object       { o.key(k); o.b = appendJSON(o.b, v); return o }
func (o *object) number(k string, v int64) *object {
	o.key(k)
	o.b = strconv.AppendInt(o.b, v, 10)
	return o
}
func (o *object) ids(k string, ids []int32) *object { o.key(k); o.b = appendIDs(o.b, ids); return o }
func (o *object) end() []byte                       { return append(o.b, '}') }

func appendJSON(b []byte, s string) []byte {
	var w bytes.Buffer
	e := json.NewEncoder(&w)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // text always encodes
	return append(b, bytes.TrimSuffix(w.Bytes(), []byte{'\n'})...)
}

func appendIDs(b []byte, ids []int32) []byte {
	b = append(b, '[')
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(id), 10)
	}
	return append(b, ']')
}

func clusterIDJSON(id string) []byte {
	return newObject().text("version", "1").text("id", id).end()
}

func parseClusterID(b []byte) (string, error) {
	var v struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(b, &v); err != nil || v.ID == "" {
		return "", fmt.Errorf("znode %s does not hold a cluster id: %q", clusterIDPath, b)
	}
	return v.ID, nil
}

func controllerJSON(broker int32, nowMs int64) []byte {
	return newObject().number("version", 2).number("brokerid", int64(broker)).
		text("timestamp", strconv.FormatInt(nowMs, 10)).number("kraftControllerEpoch", -1).end()
}

// parseController returns who a controller znode says that it is; -1 when that cannot be read.
func parseController(b []byte) int32 {
	v := struct {
		BrokerID int32 `json:"brokerid"`
	}{-1}
	if json.Unmarshal(b, &v) != nil {
		return -1
	}
	return v.BrokerID
}

func brokerJSON(b BrokerInfo, nowMs int64) []byte {
	protocols, endpoints := newObject(), []byte{'['}
	// Kafka leaves out where it listens without encryption and authentication if it does not.
	host, port := []byte("null"), int64(-1)
	for i, e := range b.Endpoints {
		protocols.text(e.Name, protocolNames[e.SecurityProtocol])
		if i > 0 {
			endpoints = append(endpoints, ',')
		}
		endpoints = appendJSON(endpoints, endpointURL(e))
		if e.SecurityProtocol == metadata.Plaintext && port < 0 {
			host, port = appendJSON(nil, e.Host), int64(e.Port)
		}
	}
	o := newObject().raw("features", []byte("{}")).raw("listener_security_protocol_map", protocols.end())
	o.raw("endpoints", append(endpoints, ']'))
	if b.Rack != "" {
		o.text("rack", b.Rack)
	}
	return o.number("jmx_port", -1).number("port", port).raw("host", host).number("version", 5).text("timestamp", strconv.FormatInt(nowMs, 10)).end()
}

var protocolNames = map[metadata.SecurityProtocol]string{
	metadata.Plaintext: "PLAINTEXT", metadata.SSL: "SSL", metadata.SASLPlaintext: "SASL_PLAINTEXT", metadata.SASLSSL: "SASL_SSL",
}

// endpointURL is an endpoint as Kafka writes it; an IPv6 address is in brackets.
func endpointURL(e metadata.Endpoint) string {
	return e.Name + "://" + joinHostPort(e.Host, int(e.Port))
}

func topicJSON(t *metadata.Topic) []byte {
	partitions, adding, removing := newObject(), newObject(), newObject()
	for i, p := range t.Partitions {
		id := strconv.Itoa(i)
		partitions.ids(id, p.Replicas)
		if len(p.Adding) > 0 {
			adding.ids(id, p.Adding)
		}
		if len(p.Removing) > 0 {
			removing.ids(id, p.Removing)
		}
	}
	return newObject().raw("partitions", partitions.end()).text("topic_id", t.ID.String()).
		raw("adding_replicas", adding.end()).raw("removing_replicas", removing.end()).number("version", 3).end()
}

func stateJSON(p *metadata.Partition, controllerEpoch int32) []byte {
	o := newObject().number("controller_epoch", int64(controllerEpoch)).number("leader", int64(p.Leader)).number("version", 1).
		number("leader_epoch", int64(p.LeaderEpoch)).ids("isr", p.ISR)
	if p.RecoveryState == metadata.LeaderRecovering {
		o.number("leader_recovery_state", int64(p.RecoveryState))
	}
	return o.end()
}

func configJSON(values map[string]string) []byte {
	config := newObject()
	for _, k := range slices.Sorted(maps.Keys(values)) {
		config.text(k, values[k])
	}
	return newObject().number("version", 1).raw("config", config.end()).end()
}
