package coordinator

// Runtime keeps the shards of the partitions this broker leads.
type Runtime[E, R any] struct{}
