//go:build !linux

package drive

import "time"

func sleepUntil(t time.Time) { time.Sleep(time.Until(t)) }

func exact() {}
