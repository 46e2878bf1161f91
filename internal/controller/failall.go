package controller

import (
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// failAll answers every item of a request with the same error: the reply of a controller that is not active, for one.
func failAll(req kmsg.Request, err *apiError) kmsg.Response {
	resp := req.ResponseKind()
	switch resp := resp.(type) {
	case *kmsg.CreateTopicsResponse:
		for _, t := range req.(*kmsg.CreateTopicsRequest).Topics {
			result := kmsg.NewCreateTopicsResponseTopic()
			result.Topic = t.Topic
			err.put(&result.ErrorCode, &result.ErrorMessage)
			resp.Topics = append(resp.Topics, result)
		}
	case *kmsg.DeleteTopicsResponse:
		for _, t := range deleteTargets(req.(*kmsg.DeleteTopicsRequest)) {
			result := kmsg.NewDeleteTopicsResponseTopic()
			result.Topic, result.TopicID = t.Topic, t.TopicID
			err.put(&result.ErrorCode, &result.ErrorMessage)
			resp.Topics = append(resp.Topics, result)
		}
	case *kmsg.CreatePartitionsResponse:
		for _, t := range req.(*kmsg.CreatePartitionsRequest).Topics {
			result := kmsg.NewCreatePartitionsResponseTopic()
			result.Topic = t.Topic
			err.put(&result.ErrorCode, &result.ErrorMessage)
			resp.Topics = append(resp.Topics, result)
		}
	case *kmsg.AlterConfigsResponse:
		for _, r := range req.(*kmsg.AlterConfigsRequest).Resources {
			result := kmsg.NewAlterConfigsResponseResource()
			result.ResourceType, result.ResourceName = r.ResourceType, r.ResourceName
			err.put(&result.ErrorCode, &result.ErrorMessage)
			resp.Resources = append(resp.Resources, result)
		}
	case *kmsg.IncrementalAlterConfigsResponse:
		for _, r := range req.(*kmsg.IncrementalAlterConfigsRequest).Resources {
			result := kmsg.NewIncrementalAlterConfigsResponseResource()
			result.ResourceType, result.ResourceName = r.ResourceType, r.ResourceName
			err.put(&result.ErrorCode, &result.ErrorMessage)
			resp.Resources = append(resp.Resources, result)
		}
	case *kmsg.AlterClientQuotasResponse:
		for _, e := range req.(*kmsg.AlterClientQuotasRequest).Entries {
			result := kmsg.NewAlterClientQuotasResponseEntry()
			for _, part := range e.Entity {
				result.Entity = append(result.Entity, kmsg.AlterClientQuotasResponseEntryEntity{Type: part.Type, Name: part.Name})
			}
			err.put(&result.ErrorCode, &result.ErrorMessage)
			resp.Entries = append(resp.Entries, result)
		}
	case *kmsg.ElectLeadersResponse:
		failElections(req.(*kmsg.ElectLeadersRequest), resp, err)
	case *kmsg.AlterPartitionAssignmentsResponse:
		failReassignments(req.(*kmsg.AlterPartitionAssignmentsRequest), resp, err)
	case *kmsg.ListPartitionReassignmentsResponse:
		err.put(&resp.ErrorCode, &resp.ErrorMessage)
	case *kmsg.UpdateFeaturesResponse:
		err.put(&resp.ErrorCode, &resp.ErrorMessage)
	case *kmsg.UnregisterBrokerResponse:
		err.put(&resp.ErrorCode, &resp.ErrorMessage)
	case *kmsg.AllocateProducerIDsResponse:
		resp.ErrorCode = err.number()
	case *kmsg.BrokerRegistrationResponse:
		resp.ErrorCode, resp.BrokerEpoch = err.number(), -1
	case *kmsg.BrokerHeartbeatResponse:
		resp.ErrorCode, resp.IsFenced = err.number(), true
	case *kmsg.AlterPartitionResponse:
		resp.ErrorCode = err.number()
	case *kmsg.AssignReplicasToDirsResponse:
		resp.ErrorCode = err.number()
	case *kmsg.ControllerRegistrationResponse:
		err.put(&resp.ErrorCode, &resp.ErrorMessage)
	case *kmsg.DescribeQuorumResponse:
		err.put(&resp.ErrorCode, &resp.ErrorMessage)
	case *kmsg.AddRaftVoterResponse:
		err.put(&resp.ErrorCode, &resp.ErrorMessage)
	case *kmsg.RemoveRaftVoterResponse:
		err.put(&resp.ErrorCode, &resp.ErrorMessage)
	case *kmsg.UpdateRaftVoterResponse:
		resp.ErrorCode = err.number()
	}
	return resp
}

func failElections(req *kmsg.ElectLeadersRequest, resp *kmsg.ElectLeadersResponse, err *apiError) {
	if req.Version > 0 {
		resp.ErrorCode = err.number()
	}
	for _, t := range req.Topics {
		result := kmsg.NewElectLeadersResponseTopic()
		result.Topic = t.Topic
		for _, id := range t.Partitions {
			p := kmsg.NewElectLeadersResponseTopicPartition()
			p.Partition = id
			err.put(&p.ErrorCode, &p.ErrorMessage)
			result.Partitions = append(result.Partitions, p)
		}
		resp.Topics = append(resp.Topics, result)
	}
}

// failReassignments answers for each partition beside the whole: Java's client looks at the partitions.
func failReassignments(req *kmsg.AlterPartitionAssignmentsRequest, resp *kmsg.AlterPartitionAssignmentsResponse, err *apiError) {
	err.put(&resp.ErrorCode, &resp.ErrorMessage)
	for _, t := range req.Topics {
		result := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		result.Topic = t.Topic
		for _, asked := range t.Partitions {
			p := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			p.Partition = asked.Partition
			err.put(&p.ErrorCode, &p.ErrorMessage)
			result.Partitions = append(result.Partitions, p)
		}
		resp.Topics = append(resp.Topics, result)
	}
}

// encode writes records in the versions of the finalized metadata.version.
func encode(image *metadata.Image, records []metadata.Record) [][]byte {
	values := make([][]byte, len(records))
	for i, r := range records {
		values[i] = metadata.Versioned{Record: r, Version: image.VersionFor(r)}.Append(nil)
	}
	return values
}
