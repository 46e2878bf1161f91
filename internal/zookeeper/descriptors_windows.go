package zookeeper

// descriptors cannot be told here.
func descriptors() (open, most int64) { return -1, -1 }
