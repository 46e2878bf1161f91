package controller

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Refusal answers every item of a request with the same error.
func Refusal(req kmsg.Request, code *kerr.Error) kmsg.Response { return failAll(req, plain(code)) }

// IsNotController reports whether a response says that its sender is not the active controller: whether failAll could have
// made it of that error. What such a controller refuses it refuses altogether, so the first item tells.
func IsNotController(resp kmsg.Response) bool {
	var code int16
	switch resp := resp.(type) {
	case *kmsg.CreateTopicsResponse:
		code = first(resp.Topics, func(t kmsg.CreateTopicsResponseTopic) int16 { return t.ErrorCode })
	case *kmsg.DeleteTopicsResponse:
		code = first(resp.Topics, func(t kmsg.DeleteTopicsResponseTopic) int16 { return t.ErrorCode })
	case *kmsg.CreatePartitionsResponse:
		code = first(resp.Topics, func(t kmsg.CreatePartitionsResponseTopic) int16 { return t.ErrorCode })
	case *kmsg.AlterConfigsResponse:
		code = first(resp.Resources, func(r kmsg.AlterConfigsResponseResource) int16 { return r.ErrorCode })
	case *kmsg.IncrementalAlterConfigsResponse:
		code = first(resp.Resources, func(r kmsg.IncrementalAlterConfigsResponseResource) int16 { return r.ErrorCode })
	case *kmsg.AlterClientQuotasResponse:
		code = first(resp.Entries, func(e kmsg.AlterClientQuotasResponseEntry) int16 { return e.ErrorCode })
	case *kmsg.ElectLeadersResponse:
		if code = resp.ErrorCode; code == 0 {
			code = first(resp.Topics, func(t kmsg.ElectLeadersResponseTopic) int16 {
				return first(t.Partitions, func(p kmsg.ElectLeadersResponseTopicPartition) int16 { return p.ErrorCode })
			})
		}
	case *kmsg.AlterPartitionAssignmentsResponse:
		code = resp.ErrorCode
	case *kmsg.ListPartitionReassignmentsResponse:
		code = resp.ErrorCode
	case *kmsg.DescribeClientQuotasResponse:
		code = resp.ErrorCode
	case *kmsg.UpdateFeaturesResponse:
		code = resp.ErrorCode
	case *kmsg.UnregisterBrokerResponse:
		code = resp.ErrorCode
	case *kmsg.AllocateProducerIDsResponse:
		code = resp.ErrorCode
	case *kmsg.BrokerRegistrationResponse:
		code = resp.ErrorCode
	case *kmsg.BrokerHeartbeatResponse:
		code = resp.ErrorCode
	case *kmsg.AlterPartitionResponse:
		code = resp.ErrorCode
	case *kmsg.AssignReplicasToDirsResponse:
		code = resp.ErrorCode
	case *kmsg.ControllerRegistrationResponse:
		code = resp.ErrorCode
	case *kmsg.DescribeQuorumResponse:
		if code = resp.ErrorCode; code == 0 {
			code = first(resp.Topics, func(t kmsg.DescribeQuorumResponseTopic) int16 {
				return first(t.Partitions, func(p kmsg.DescribeQuorumResponseTopicPartition) int16 { return p.ErrorCode })
			})
		}
		// The quorum speaks of its leader, which is the active controller.
		if code == kerr.NotLeaderForPartition.Code {
			return true
		}
	case *kmsg.AddRaftVoterResponse:
		code = resp.ErrorCode
	case *kmsg.RemoveRaftVoterResponse:
		code = resp.ErrorCode
	case *kmsg.UpdateRaftVoterResponse:
		code = resp.ErrorCode
	}
	return code == kerr.NotController.Code
}

func first[T any](items []T, code func(T) int16) int16 {
	if len(items) == 0 {
		return 0
	}
	return code(items[0])
}
