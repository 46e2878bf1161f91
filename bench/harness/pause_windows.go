package harness

func pause([]int)  {}
func resume([]int) {}
