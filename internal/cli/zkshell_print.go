package cli

import (
	"time"
	"unicode/utf8"

	"gregor/internal/zookeeper/proto"
)

// zkTime is a time as java.util.Date prints it.
func zkTime(ms int64) string { return time.UnixMilli(ms).Format("Mon Jan 02 15:04:05 MST 2006") }

func (s *zkShell) printStat(st proto.Stat) {
	s.print("cZxid = 0x%x\nctime = %s\nmZxid = 0x%x\nmtime = %s\npZxid = 0x%x\ncversion = %d\ndataVersion = %d\naclVersion = %d\nephemeralOwner = 0x%x\ndataLength = %d\nnumChildren = %d\n",
		uint64(st.Czxid), zkTime(st.CtimeMs), uint64(st.Mzxid), zkTime(st.MtimeMs), uint64(st.Pzxid), st.Cversion, st.Version, st.Aversion, uint64(st.EphemeralOwner), st.DataLength, st.NumChildren)
}

// zkNodeJSON is what --output json prints of a node.
type zkNodeJSON struct {
	Path     string      `json:"path"`
	Children *[]string   `json:"children,omitempty"`
	Data     *string     `json:"data,omitempty"`
	Base64   []byte      `json:"dataBase64,omitempty"` // instead of data, if that is no text
	Stat     *zkStatJSON `json:"stat,omitempty"`
}

// zkStatJSON has zxids and the owner's session as numbers, times in milliseconds since 1970.
type zkStatJSON struct {
	Czxid          int64 `json:"cZxid"`
	CtimeMs        int64 `json:"ctimeMs"`
	Mzxid          int64 `json:"mZxid"`
	MtimeMs        int64 `json:"mtimeMs"`
	Pzxid          int64 `json:"pZxid"`
	Cversion       int32 `json:"cversion"`
	DataVersion    int32 `json:"dataVersion"`
	ACLVersion     int32 `json:"aclVersion"`
	EphemeralOwner int64 `json:"ephemeralOwner"`
	DataLength     int32 `json:"dataLength"`
	NumChildren    int32 `json:"numChildren"`
}

func newZkStatJSON(s proto.Stat) *zkStatJSON {
	return &zkStatJSON{s.Czxid, s.CtimeMs, s.Mzxid, s.MtimeMs, s.Pzxid, s.Cversion, s.Version, s.Aversion, s.EphemeralOwner, s.DataLength, s.NumChildren}
}

func newZkDataJSON(path string, r *proto.GetDataReply) zkNodeJSON {
	node := zkNodeJSON{Path: path, Stat: newZkStatJSON(r.Stat)}
	if utf8.Valid(r.Data) {
		if r.Data != nil {
			text := string(r.Data)
			node.Data = &text
		}
	} else {
		node.Base64 = r.Data
	}
	return node
}
