package log

// maxOpenFiles is how many segment files are kept open. The system has no limit for a process that matters here.
func maxOpenFiles() int64 { return 1 << 16 }
