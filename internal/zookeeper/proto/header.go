package proto

// RequestHeader precedes every request but the handshake's.
type RequestHeader struct {
	Xid int32
	Op  Op
}

// RequestHeaderSize is the encoded length of a RequestHeader.
const RequestHeaderSize = 8

// Append appends the header.
func (h RequestHeader) Append(b []byte) []byte {
	return AppendInt32(AppendInt32(b, h.Xid), int32(h.Op))
}

// RequestHeader reads a header.
func (d *Decoder) RequestHeader() RequestHeader {
	return RequestHeader{Xid: d.Int32(), Op: Op(d.Int32())}
}

// ReplyHeader precedes every reply and event. Zxid is the last transaction that the server has applied; a reply whose
// Err is not OK has no body.
type ReplyHeader struct {
	Xid  int32
	Zxid int64
	Err  Code
}

// ReplyHeaderSize is the encoded length of a ReplyHeader.
const ReplyHeaderSize = 16

// Append appends the header.
func (h ReplyHeader) Append(b []byte) []byte {
	return AppendInt32(AppendInt64(AppendInt32(b, h.Xid), h.Zxid), int32(h.Err))
}

// ReplyHeader reads a header.
func (d *Decoder) ReplyHeader() ReplyHeader {
	return ReplyHeader{Xid: d.Int32(), Zxid: d.Int64(), Err: Code(d.Int32())}
}

// EventType is what happened to a watched node (Watcher.Event.EventType).
type EventType int32

const (
	EventNone                   EventType = -1
	EventNodeCreated            EventType = 1
	EventNodeDeleted            EventType = 2
	EventNodeDataChanged        EventType = 3
	EventNodeChildrenChanged    EventType = 4
	EventDataWatchRemoved       EventType = 5
	EventChildWatchRemoved      EventType = 6
	EventPersistentWatchRemoved EventType = 7
)

var eventNames = map[EventType]string{
	EventNone: "None", EventNodeCreated: "NodeCreated", EventNodeDeleted: "NodeDeleted",
	EventNodeDataChanged: "NodeDataChanged", EventNodeChildrenChanged: "NodeChildrenChanged",
	EventDataWatchRemoved: "DataWatchRemoved", EventChildWatchRemoved: "ChildWatchRemoved",
	EventPersistentWatchRemoved: "PersistentWatchRemoved",
}

// String is ZooKeeper's name of the event.
func (t EventType) String() string { return eventNames[t] }

// StateSyncConnected is the only state a server sends in an event (Watcher.Event.KeeperState).
const StateSyncConnected int32 = 3

// WatcherEvent is the body of a message with the xid XidNotification, zxid -1.
type WatcherEvent struct {
	Type  EventType
	State int32
	Path  string
}

// Append appends the event.
func (e WatcherEvent) Append(b []byte) []byte {
	return AppendString(AppendInt32(AppendInt32(b, int32(e.Type)), e.State), e.Path)
}

// WatcherEvent reads an event.
func (d *Decoder) WatcherEvent() WatcherEvent {
	return WatcherEvent{Type: EventType(d.Int32()), State: d.Int32(), Path: d.String()}
}
