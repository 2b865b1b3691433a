package twilio

import "net/url"

// VerdictForm is what detection made of whoever answered a leg
// (twilio.com/docs/voice/answering-machine-detection).
type VerdictForm struct {
	AccountSID, CallSID string
	// AnsweredBy is human, machine_start, machine_end_beep, machine_end_silence,
	// machine_end_other, fax or unknown.
	AnsweredBy string
	TookMillis int
}

// ParseVerdict reads a callback of answering machine detection. Code: errs.Invalid.
func ParseVerdict(form url.Values) (VerdictForm, error) {
	r := &reader{form: form}
	f := VerdictForm{
		AccountSID: r.requiredSID("AccountSid", AccountSID), CallSID: r.requiredSID("CallSid", CallSID),
		AnsweredBy: r.required("AnsweredBy", maxShort), TookMillis: r.count("MachineDetectionDuration"),
	}
	if r.err != nil {
		return VerdictForm{}, r.err
	}
	return f, nil
}

// Key names the verdict among those of its leg: there is one.
func (f VerdictForm) Key() string { return f.CallSID }
