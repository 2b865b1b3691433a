package recording

import "switchboard/internal/call"

// Side is one side of a recording with two channels (R114).
type Side string

// The sides.
const (
	Caller Side = "CALLER" // the outside party
	User   Side = "USER"   // our side
)

// firstSide is whose voice the first channel has: that of the recorded leg
// (twilio: voice/twiml/dial, record). A call's first leg is our own person's when
// we called; other recorded legs are the outside party's.
func firstSide(st call.State, x call.Recorded) Side {
	first := st.Call.TwilioSID != nil && x.CallSID == *st.Call.TwilioSID || x.CallSID == ""
	if st.Call.Direction == call.Outbound && first {
		return User
	}
	return Caller
}

// ChannelOf is the channel, counted from 0, that has the voice of a side. swapped
// is the policy's: some accounts put them the other way round.
func (r *Recording) ChannelOf(side Side, swapped bool) int {
	if (side == r.FirstSide) != swapped {
		return 0
	}
	return 1
}
