package replica

// follower is what a replica keeps while another broker leads. With one replica to a partition there is nothing to
// fetch; the role exists so that a partition whose leader is elsewhere is never mistaken for one that is led here.
type follower struct{}
