package group

// consumerProtocolType is the protocol type of consumers; other users of the group protocol (Connect) have their own.
const consumerProtocolType = "consumer"

// selectProtocol lets each member vote for the first of its protocols that all members offer. The most votes win; of
// equals, the one the longest-standing member prefers. Somebody must be a member.
func (l *live) selectProtocol() string {
	votes := map[string]int{}
	for _, m := range l.order {
		for i := range m.protocols {
			if name := m.protocols[i].name; l.offered[name] == len(l.members) {
				votes[name]++
				break
			}
		}
	}
	best, most := "", 0
	for i := range l.order[0].protocols {
		if name := l.order[0].protocols[i].name; votes[name] > most {
			best, most = name, votes[name]
		}
	}
	return best
}

// subscribedTopics is the union of the members' subscriptions under the chosen protocol, or nil if that cannot be known:
// another protocol type, or metadata that does not parse. Members that offer a newer version still start as version 0.
func (l *live) subscribedTopics() map[string]struct{} {
	if !l.usesConsumerProtocol() {
		return nil
	}
	topics := map[string]struct{}{}
	if len(l.order) > 0 && l.protocol == nil {
		return nil
	}
	for _, m := range l.order {
		if !readSubscription(m.metadata(*l.protocol), topics) {
			return nil
		}
	}
	return topics
}

// readSubscription adds the topics of a ConsumerProtocolSubscription, of which it reads what version 0 has: version
// int16, topics [string].
func readSubscription(b []byte, into map[string]struct{}) bool {
	if len(b) < 6 {
		return false
	}
	n := int(int32(uint32(b[2])<<24 | uint32(b[3])<<16 | uint32(b[4])<<8 | uint32(b[5])))
	b = b[6:]
	if n < 0 || n > len(b)/2 {
		return false
	}
	for range n {
		if len(b) < 2 {
			return false
		}
		size := int(b[0])<<8 | int(b[1])
		if size > len(b)-2 || size > 1<<15-1 {
			return false
		}
		into[string(b[2:2+size])] = struct{}{}
		b = b[2+size:]
	}
	return true
}
