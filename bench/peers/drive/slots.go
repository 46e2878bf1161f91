package drive

// Slots counts the acknowledgements of the requests that are under way. Requests are numbered from 0, and there are never
// more under way than there are slots. It is not safe for two goroutines: who reads acknowledgements has it.
type Slots struct {
	missing []int // acknowledgements of each request under way, by its number modulo the slots
	each    int
	oldest  int
}

// NewSlots has each request acknowledged each times.
func NewSlots(slots, each int) *Slots {
	s := &Slots{missing: make([]int, slots), each: each}
	for i := range s.missing {
		s.missing[i] = each
	}
	return s
}

// Acknowledged counts some acknowledgements of a request.
func (s *Slots) Acknowledged(request, count int) { s.missing[request%len(s.missing)] -= count }

// Done says whether the oldest request has all of them, and goes on to the next one then.
func (s *Slots) Done() bool {
	at := s.oldest % len(s.missing)
	if s.missing[at] > 0 {
		return false
	}
	s.missing[at] = s.each
	s.oldest++
	return true
}
