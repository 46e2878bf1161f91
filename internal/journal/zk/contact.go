package zk

import "time"

// Contact tells for how long there has been a connection to ZooKeeper or, as a negative number, for how long there has been
// none.
func (c *Client) Contact() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.current == nil: // a session has just ended, by word of ZooKeeper
		return 0
	case c.current.connected:
		return time.Since(c.current.since)
	}
	return -time.Since(c.current.since)
}
