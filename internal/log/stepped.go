package log

// Step does what is due in the background: flushes, checkpoints, retention, removals. It is for directories that are
// Stepped. It takes the logs in the order of their names, so that a simulation repeats itself.
func (d *Dirs) Step() {
	b := &d.background
	for _, dir := range d.dirs {
		logs := b.flushes[dir].logs
		b.flushes[dir].logs = map[*Log]int64{}
		for _, p := range d.list(dir) {
			if offset, ok := logs[p.l]; ok {
				b.flushed(p.l, p.l.Flush(offset))
			}
		}
	}
	b.removeDue()
	now := d.o.Clock()
	for _, p := range b.periodic {
		if !p.due.After(now) {
			p.due = now.Add(p.interval)
			p.do()
		}
	}
}
