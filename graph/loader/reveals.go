package loader

import (
	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/followup"
	"switchboard/internal/id"
	"switchboard/internal/route"
	"switchboard/internal/voicemail"
)

// reveal is the masked pair of which the reader is shown a number that it hides from
// others; zero when it is hidden from them too, or when the pair is their own (R103).
func reveal(who access.Actor, pair, fieldworker id.ID, hidden bool) id.ID {
	if hidden || !fieldworker.IsZero() && fieldworker == who.UserID {
		return id.ID{}
	}
	return pair
}

// RevealedByCall is the masked pair whose number the ends of a call show the reader.
func RevealedByCall(who access.Actor, c *call.Call) id.ID {
	return reveal(who, c.MaskedPairID, c.MaskUserID, c.FromMasked || c.ToMasked)
}

// RevealedByLeg is the same for the other end of a leg; devices have no number.
func RevealedByLeg(who access.Actor, l *call.Leg) id.ID {
	return reveal(who, l.MaskedPairID, l.MaskUserID, l.Masked || l.Kind == route.Device)
}

// RevealedByVoicemail is the same for who left a voicemail.
func RevealedByVoicemail(who access.Actor, v *voicemail.Voicemail) id.ID {
	return reveal(who, v.MaskedPairID, v.MaskUserID, v.FromMasked)
}

// RevealedByFollowUp is the same for who waits for a call back.
func RevealedByFollowUp(who access.Actor, f *followup.FollowUp) id.ID {
	return reveal(who, f.MaskedPairID, f.MaskUserID, f.FromMasked)
}

// revealed is one of them for the reader of an answer.
func revealed[T any](r *reader, by func(access.Actor, T) id.ID) func(T) id.ID {
	who := access.From(r.ctx)
	return func(row T) id.ID { return by(who, row) }
}
