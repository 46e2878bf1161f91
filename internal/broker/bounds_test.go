package broker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestSameAgain asks for the same many times in one request. What is short to ask and long to answer is answered once.
func TestSameAgain(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 3)
	c := tb.dial()
	meta := kmsg.NewPtrMetadataRequest()
	meta.Version = 12
	for range 100 {
		topic := kmsg.NewMetadataRequestTopic()
		topic.TopicID = topicID("t")
		meta.Topics = append(meta.Topics, topic)
	}
	if got := do[*kmsg.MetadataResponse](c, meta); len(got.Topics) != 1 || got.Topics[0].ErrorCode != 0 || len(got.Topics[0].Partitions) != 3 {
		t.Errorf("metadata: %d topics", len(got.Topics))
	}
	configs := kmsg.NewPtrDescribeConfigsRequest()
	configs.Version = 4
	for range 100 {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBroker, "1"
		configs.Resources = append(configs.Resources, r)
	}
	if got := do[*kmsg.DescribeConfigsResponse](c, configs); len(got.Resources) != 1 || got.Resources[0].ErrorCode != 0 || len(got.Resources[0].Configs) == 0 {
		t.Errorf("configurations: %d resources", len(got.Resources))
	}
	fetch := fetchRequest(11, "t", 0)
	fetch.MaxWaitMillis, fetch.Topics = 0, append(fetch.Topics, fetch.Topics[0], fetch.Topics[0])
	fetch.Topics[1].Partitions = []kmsg.FetchRequestTopicPartition{fetch.Topics[0].Partitions[0], fetch.Topics[0].Partitions[0]}
	fetch.Topics[1].Partitions[0].Partition = 1
	fetch.Topics[1].Partitions[1].FetchOffset = 5 // the last word, and out of range
	fetch.Topics = fetch.Topics[:2]
	if got := do[*kmsg.FetchResponse](c, fetch).Topics; len(got) != 1 || len(got[0].Partitions) != 2 || got[0].Partitions[0].ErrorCode != kerr.OffsetOutOfRange.Code || got[0].Partitions[1].Partition != 1 {
		t.Errorf("fetch: %+v", got)
	}
	producers := kmsg.NewPtrDescribeProducersRequest()
	producers.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "t", Partitions: []int32{0, 0, 1}}, {Topic: "t", Partitions: []int32{1, 2}}}
	if got := do[*kmsg.DescribeProducersResponse](c, producers).Topics; len(got[0].Partitions) != 2 || len(got[1].Partitions) != 1 || got[1].Partitions[0].Partition != 2 {
		t.Errorf("producers: %+v", got)
	}
}

// TestLongTextsFit has errors quote names that leave no room for the words around them: the reply must still be readable.
func TestLongTextsFit(t *testing.T) {
	c := startBroker(t, nil).dial()
	name := strings.Repeat("n", 1<<15-1)
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version = 1
	for _, kind := range []kmsg.ConfigResourceType{kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker} {
		req.Resources = append(req.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: kind, ResourceName: name})
	}
	for _, r := range do[*kmsg.DescribeConfigsResponse](c, req).Resources {
		if r.ResourceName != name || r.ErrorCode == 0 || len(*r.ErrorMessage) == 0 {
			t.Errorf("resource of type %d: error %d", r.ResourceType, r.ErrorCode)
		}
	}
	_, text := errorOf(refused{kerr.InvalidRecord, strings.Repeat("\u4e16", 1<<15)})
	if len(*text) > 1<<15-1 {
		t.Errorf("a text of %d bytes", len(*text))
	}
}

// TestManyNames names so much that anything but time in proportion to it would not end.
func TestManyNames(t *testing.T) {
	tb := startBroker(t, nil)
	c := tb.dial()
	began := time.Now()
	meta := kmsg.NewPtrMetadataRequest()
	meta.Version = 9
	alter := kmsg.NewPtrIncrementalAlterConfigsRequest()
	res := kmsg.NewIncrementalAlterConfigsRequestResource()
	for i := range 300_000 {
		name := fmt.Sprintf("missing-%09d", i)
		meta.Topics = append(meta.Topics, kmsg.MetadataRequestTopic{Topic: &name})
		res.Configs = append(res.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: name, Value: &name})
	}
	if got := do[*kmsg.MetadataResponse](c, meta); len(got.Topics) != len(meta.Topics) {
		t.Errorf("%d topics", len(got.Topics))
	}
	res.ResourceType, res.ResourceName = 99, "x"
	alter.Resources = append(alter.Resources, res)
	if got := do[*kmsg.IncrementalAlterConfigsResponse](c, alter).Resources[0]; got.ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("configurations: error %d", got.ErrorCode)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}
