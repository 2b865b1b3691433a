package recording

// Side is one side of a recording with two channels (R114).
type Side string

// The sides.
const (
	Caller Side = "CALLER" // the outside party
	User   Side = "USER"   // our side
)
