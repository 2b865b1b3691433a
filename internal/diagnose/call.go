package diagnose

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/recording"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
)

// callErrors are what Twilio's error numbers of calls are called here.
var callErrors = map[int]Code{
	20003: TokenRefused, 20005: AccountClosed, 10001: AccountClosed, 10002: TrialAccount, 21219: TrialAccount, 32100: TrialAccount,
	21203: GeoPermission, 21215: GeoPermission, 13227: GeoPermission,
	21201: InvalidNumber, 21211: InvalidNumber, 21214: InvalidNumber, 21217: InvalidNumber, 21401: InvalidNumber, 13223: InvalidNumber, 13224: InvalidNumber,
	21216: CarrierBlocked, 13225: CarrierBlocked, 32203: CarrierBlocked, 32017: CarrierBlocked,
	10004: CallsPerSecondQueue, 20429: CallsPerSecondQueue,
	32009: DeviceNotReady, 32011: DeviceNotReady, 32014: DeviceNotReady,
	11200: PublicURLUnreachable, 11205: PublicURLUnreachable, 11206: PublicURLUnreachable, 11210: PublicURLUnreachable, 11220: PublicURLUnreachable,
}

// callFacts is what a call's facts say that its rows do not.
type callFacts struct {
	record  string
	began   bool // there is a fact that says how it began
	errors  map[id.ID]int
	sids    []string
	restErr int
}

// call looks at a call: where it was sent, why each person rang or did not, what
// became of the legs, and whether it was recorded (R122, R271, R273, R275).
func (x *exam) call(ctx context.Context, who access.Actor, which id.ID) error {
	c, err := x.s.d.Calls.Whole(ctx, who, which)
	if err != nil {
		return err
	}
	p := x.at(c.ID, false)
	routes, err := x.s.d.Calls.DecisionsByCalls(ctx, x.who, []id.ID{c.ID})
	if err != nil {
		return err
	}
	facts, err := x.factsOf(ctx, c)
	if err != nil {
		return err
	}
	if d := routes[c.ID]; d != nil {
		x.sent(p, c, d)
	}
	if err := x.alertsOf(ctx, c, facts); err != nil {
		return err
	}
	if err := x.legs(ctx, p, c, facts); err != nil {
		return err
	}
	return x.recordingOf(ctx, p, c, facts)
}

// sent is where the call was sent when it came, by the stored trace.
func (x *exam) sent(p spot, c *call.Call, d *route.Decision) {
	if d.Ignored {
		p.warning(IgnoredCaller, "", detailOf(d.Trace, "IGNORED_NUMBER"))
	} else {
		p.ok(IgnoredCaller, "the caller is not ignored")
	}
	if why := d.RejectReason; why != nil {
		last := d.Trace[len(d.Trace)-1]
		n := x.at(c.PhoneNumberID, false)
		if c.PhoneNumberID.IsZero() {
			n = p
		}
		switch *why {
		case route.NumberDisabled:
			n.problem(NumberDisabled, "", last.Detail)
		case route.NumberNotInUse:
			n.problem(NotUsedFor, "", last.Detail)
		default:
			p.problem(CallFailed, "", last.Detail, fact("reason", *why))
		}
		return
	}
	x.decided(x.at(c.PhoneNumberID, false), d)
}

// factsOf reads what Twilio said while the call went on.
func (x *exam) factsOf(ctx context.Context, c *call.Call) (*callFacts, error) {
	var rows []struct {
		Kind call.FactKind   `bun:"kind"`
		Data json.RawMessage `bun:"data"`
	}
	err := db.Select(ctx, x.s.d.DB.App(), &rows, `SELECT kind, data FROM call_fact WHERE organization_id = $1 AND call_id = $2 ORDER BY at, key LIMIT 2000`, x.org, c.ID)
	if err != nil {
		return nil, err
	}
	out := &callFacts{errors: map[id.ID]int{}}
	for _, r := range rows {
		var d call.FactData
		if err := json.Unmarshal(r.Data, &d); err != nil {
			return nil, err
		}
		if r.Kind == call.FactStarted && d.Start != nil {
			out.record, out.began = string(d.Start.Plan.Record), true
		}
		if d.SID != "" {
			out.sids = append(out.sids, d.SID)
		}
		if d.Error == 0 {
			continue
		}
		if out.errors[d.Leg] = d.Error; d.Leg.IsZero() {
			out.restErr = d.Error
		}
	}
	return out, nil
}

// alertsOf adds what Twilio's debugger says of the call's legs.
func (x *exam) alertsOf(ctx context.Context, c *call.Call, facts *callFacts) error {
	p := x.at(c.ID, false)
	if !x.live {
		return nil
	}
	client, err := x.s.d.Numbers.Credentials(ctx, c.ConnectionID)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var until time.Time // zero while it goes on
	if c.EndedAt != nil {
		until = c.EndedAt.Add(inFlight)
	}
	var alerts []twilio.Alert
	askAll(ctx, func(a *asks) {
		a.ask(func(ctx context.Context) { alerts, err = client.Alerts(ctx, c.StartedAt.Add(-inFlight), until) })
	})
	x.answered = heard(err)
	if err != nil {
		p.skip(CallFailed, silent+" about the call")
		return nil
	}
	legs := map[string]id.ID{}
	for _, l := range c.LegsThen {
		if l.TwilioSID != nil {
			legs[*l.TwilioSID] = l.ID
		}
	}
	for _, a := range alerts {
		if l, ours := legs[a.ResourceSID]; ours && facts.errors[l] == 0 {
			facts.errors[l] = a.Code
		} else if c.TwilioSID != nil && a.ResourceSID == *c.TwilioSID && facts.restErr == 0 {
			facts.restErr = a.Code
		}
	}
	return nil
}

// legs is what became of each leg.
func (x *exam) legs(ctx context.Context, p spot, c *call.Call, facts *callFacts) error {
	names, err := x.names(ctx, c)
	if err != nil {
		return err
	}
	answered := c.AnsweredAt != nil
	for _, l := range c.LegsThen {
		if l.Kind == route.Caller {
			continue
		}
		to, l := x.target(l, names), l
		spot := p
		if !l.UserID.IsZero() {
			spot = x.at(l.UserID, false)
		}
		if code := facts.errors[l.ID]; code != 0 {
			x.twilioSaid(p, callErrors, CallFailed, code, to, !answered)
			continue
		}
		if l.Outcome == nil {
			spot.ok(CallFailed, "%s: it still goes on", to)
			continue
		}
		own := l.Kind == route.Device || l.Kind == route.SIP
		outcome := *l.Outcome
		if outcome == call.TimedOut && own && l.RingingAt == nil { // Twilio waits for a device that is not there as long as for one that rings
			outcome = call.Unreachable
		}
		switch outcome {
		case call.Answered:
			spot.ok(CallFailed, "%s answered", to)
		case call.AnsweredElsewhere:
			spot.ok(CallFailed, "%s rang; somebody else answered", to)
		case call.TimedOut:
			spot.ok(CallFailed, "%s rang and nobody picked up", to)
		case call.Declined:
			spot.ok(CallFailed, "%s declined", to)
		case call.Unreachable:
			how := Problem
			if answered {
				how = Warning
			}
			code := DeviceNotReady
			if !own {
				code = RecipientUnreachable
			}
			spot.find(code, how, "", to+" could not be reached: it was not registered at Twilio, or has no network", []Evidence{fact("outcome", *l.Outcome)})
		case call.LegFailed:
			p.problem(CallFailed, "", to+" could not be rung", fact("outcome", *l.Outcome))
		case call.LegBusy:
			spot.ok(CallFailed, "%s was busy", to)
		default:
			spot.ok(CallFailed, "%s stopped ringing: %s", to, strings.ToLower(string(*l.Outcome)))
		}
	}
	if facts.restErr != 0 && len(facts.errors) <= 1 {
		x.twilioSaid(p, callErrors, CallFailed, facts.restErr, "the call", !answered)
	} else if c.EndReason != nil && *c.EndReason == route.Failed && !x.has(CallFailed) && len(x.found) == 0 {
		p.problem(CallFailed, "", "the call could not be set up, and Twilio gave no reason")
	}
	return x.quality(ctx, p, c)
}

// twilioSaid turns an error number of Twilio's into a finding.
func (x *exam) twilioSaid(p spot, codes map[int]Code, otherwise Code, number int, what string, fatal bool) {
	c, known := codes[number]
	if !known {
		c = otherwise
	}
	reason, advice, _ := twilio.Reason(number)
	if reason == "" {
		reason = fmt.Sprintf("Twilio gave the error %d", number)
	}
	how := Warning
	if fatal {
		how = Problem
	}
	fix := catalogue[c].fix
	if !known || c == CallFailed || c == NotDelivered {
		fix = advice
	}
	p.find(c, how, fix, fmt.Sprintf("%s: %s (%d)", what, reason, number), []Evidence{fact("code", number), fact("page", errorsPage+fmt.Sprint(number))})
}

// names are the people of a call's legs.
func (x *exam) names(ctx context.Context, c *call.Call) (map[id.ID]string, error) {
	var ids []id.ID
	for _, l := range c.LegsThen {
		if !l.UserID.IsZero() && !slices.Contains(ids, l.UserID) {
			ids = append(ids, l.UserID)
		}
	}
	out := map[id.ID]string{}
	if len(ids) == 0 {
		return out, nil
	}
	people, err := x.s.d.Users.ByIDs(ctx, ids)
	for _, u := range people {
		out[u.ID] = u.Name
	}
	return out, err
}

// target is who a leg rang, without a number.
func (x *exam) target(l *call.Leg, names map[id.ID]string) string {
	who := names[l.UserID]
	switch {
	case l.Kind == route.Device && l.DeviceName != "" && who != "":
		return l.DeviceName + " of " + who
	case who != "":
		return map[route.LegKind]string{route.UserPhone: "the phone of ", route.SIP: "the SIP address of "}[l.Kind] + who
	case l.Kind == route.ForwardPhone:
		return "the forwarding number"
	case l.Kind == route.CompanyPhone:
		return "the company phone"
	}
	return "the other side"
}

// quality is what devices warned of during the call (R275).
func (x *exam) quality(ctx context.Context, p spot, c *call.Call) error {
	ids := make([]id.ID, len(c.LegsThen))
	for i, l := range c.LegsThen {
		ids[i] = l.ID
	}
	warnings, err := x.s.d.Calls.QualityByLegs(ctx, ids)
	if err != nil {
		return err
	}
	for _, l := range c.LegsThen {
		var names []string
		for _, w := range warnings[l.ID] {
			if !slices.Contains(names, w.Name) {
				names = append(names, w.Name)
			}
		}
		if len(names) > 0 {
			spot := p
			if !l.UserID.IsZero() {
				spot = x.at(l.UserID, false)
			}
			spot.warning(DeviceNotReady, "look at their network, firewall and VPN, and at the headset; a cable is better than Wi-Fi", "the device warned during the call: "+strings.Join(names, ", "))
		}
	}
	return nil
}

// recordingOf is whether the call was recorded, and why not (R122, R271).
func (x *exam) recordingOf(ctx context.Context, p spot, c *call.Call, facts *callFacts) error {
	var rows []struct {
		Status recording.RecordingStatus `bun:"status"`
		Media  recording.MediaState      `bun:"media_state"`
		Error  *string                   `bun:"media_error"`
	}
	err := db.Select(ctx, x.s.d.DB.App(), &rows, `SELECT status, media_state, media_error FROM recording WHERE organization_id = $1 AND call_id = $2 AND purpose = 'CALL' ORDER BY started_at`, x.org, c.ID)
	if err != nil {
		return err
	}
	failed, good := 0, 0
	for _, r := range rows {
		switch {
		case r.Status == recording.Failed || r.Status == recording.Absent:
			failed++
		case r.Media == recording.MediaFailed:
			p.problem(MediaFailed, "", "there is a recording, and its audio could not be fetched from Twilio: "+deref(r.Error))
			good++
		default:
			good++
		}
	}
	mode := fact("mode", facts.record)
	switch {
	case good > 0:
		p.ok(RecordingOff, "the call was recorded: %s", count(good, "recording", "recordings"))
	case failed > 0:
		p.problem(RecordingOff, "see the account "+console+" under Voice, Settings, General, and Monitor, Errors; a recording that is shorter than a second is left out", "the call was to be recorded, and Twilio made no recording: nothing was said, or recording is disabled there", mode)
	case c.Direction == call.Internal:
		p.warning(RecordingOff, "use a number of the organization between them to have a call recorded", "internal calls are not recorded: this flow does not support it")
	case facts.began && facts.record == "":
		p.warning(RecordingOff, "", "recording was off for the number and its connection when the call began", mode)
	case c.AnsweredAt == nil:
		p.ok(RecordingOff, "nobody answered, so there was nothing to record")
	case c.EndedAt == nil:
		p.ok(RecordingOff, "the call still goes on")
	default:
		p.problem(RecordingOff, "see the account "+console+" under Monitor, Logs, Recordings", "the call was to be recorded, and no recording came from Twilio: the leg was never bridged in a way that records, or recording is disabled there", mode)
	}
	return x.transcripts(ctx, p, c.ID)
}

// transcripts is whether the call's recordings were transcribed.
func (x *exam) transcripts(ctx context.Context, p spot, which id.ID) error {
	var rows []struct {
		Status string  `bun:"status"`
		Code   *string `bun:"failure_code"`
		Reason *string `bun:"failure_reason"`
	}
	err := db.Select(ctx, x.s.d.DB.App(), &rows, `SELECT t.status, t.failure_code, t.failure_reason FROM transcript t
		WHERE t.organization_id = $1 AND t.call_id = $2 AND t.status <> 'DELETED' ORDER BY t.created_at DESC, t.id DESC LIMIT 20`, x.org, which)
	if err != nil {
		return err
	}
	switch {
	case len(rows) == 0:
	case rows[0].Status == "FAILED": // the newest counts
		p.problem(TranscriptionFailed, "", "a recording of the call could not be transcribed: "+deref(rows[0].Reason), fact("code", deref(rows[0].Code)))
	default:
		p.ok(TranscriptionFailed, "no transcript failed")
	}
	return nil
}
