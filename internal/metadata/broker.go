package metadata

// SecurityProtocol is Kafka's number of a listener's protocol.
type SecurityProtocol int16

// The protocols.
const (
	Plaintext     SecurityProtocol = 0
	SSL           SecurityProtocol = 1
	SASLPlaintext SecurityProtocol = 2
	SASLSSL       SecurityProtocol = 3
)

// Endpoint is one advertised listener.
type Endpoint struct {
	Name             string // listener name, as in `listeners`
	Host             string
	Port             uint16
	SecurityProtocol SecurityProtocol
}

// VersionRange is the levels of a feature that a process can work with.
type VersionRange struct{ Min, Max int16 }

// Broker is one registered broker of an Image. It is immutable.
type Broker struct {
	ID          int32
	Epoch       int64 // offset of its registration record; a restarted broker gets a higher one
	Incarnation UUID
	Endpoints   []Endpoint
	Features    map[string]VersionRange
	Rack        *string
	// Fenced brokers are known but lead nothing and are not shown to clients.
	Fenced bool
	// ShuttingDown brokers (controlled shutdown) are to lose their leaderships.
	ShuttingDown bool
	Dirs         []UUID // online log directories, sorted; empty when unknown
	CordonedDirs []UUID // log directories that take no new replicas (KIP-1066)
}

// Endpoint returns the endpoint of a listener.
func (b *Broker) Endpoint(listener string) (Endpoint, bool) {
	for _, e := range b.Endpoints {
		if e.Name == listener {
			return e, true
		}
	}
	return Endpoint{}, false
}

// IsOnlineDir reports whether dir is online; true when the broker's directories are not known.
func (b *Broker) IsOnlineDir(dir UUID) bool {
	if dir == DirLost {
		return false
	}
	if len(b.Dirs) == 0 || dir.IsReserved() {
		return true
	}
	for _, d := range b.Dirs {
		if d == dir {
			return true
		}
	}
	return false
}

// Controller is one registered controller of an Image. It is immutable.
type Controller struct {
	ID          int32
	Incarnation UUID
	Endpoints   []Endpoint
	Features    map[string]VersionRange
}
