package broker

// workers are the goroutines that end waits, mostly with the answer to a long poll, of which a record may end a hundred.
// They stay for the next one: the stack of a new goroutine has to grow first, on the way down to the file and to the
// socket, which costs a tenth of the answer. Since each may have to wait for its peer there are as many as are needed.
type workers struct {
	next chan task // to those that wait for something to do
	idle int       // how many these are, or are about to be; guarded by the server's mutex
}

// task is what a worker does.
type task interface{ run() }

// taskFunc is a function as a task.
type taskFunc func()

func (f taskFunc) run() { f() }

// maxIdleWorkers bounds what is kept for the next burst: half a megabyte of stacks.
const maxIdleWorkers = 64

// start runs f on a goroutine that close waits for. It reports false when the server is closed already.
func (s *server) start(f func()) bool { return s.do(taskFunc(f)) }

// do is start without a function to be made.
func (s *server) do(t task) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	if s.workers.idle > 0 {
		s.workers.idle--
		s.workers.next <- t // there is room for one of each that is idle
		return true
	}
	s.wg.Go(func() { s.work(t) })
	return true
}

func (s *server) work(t task) {
	for {
		t.run()
		t = nil
		s.mu.Lock()
		if s.workers.idle == maxIdleWorkers || s.ctx.Err() != nil {
			s.mu.Unlock()
			return
		}
		s.workers.idle++
		s.mu.Unlock()
		select {
		case t = <-s.workers.next:
		case <-s.ctx.Done():
			// What was given to us before the end is ours to do.
			select {
			case t = <-s.workers.next:
			default:
				return
			}
		}
	}
}
