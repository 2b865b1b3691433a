package diagnose

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/twilio"
)

const (
	rotationEnds  = 6 * time.Hour   // how early the end of a rotation is told
	recent        = time.Hour       // how far back Twilio's logs are looked at
	inFlight      = time.Minute     // what is younger may still be on its way
	waitsTooLong  = 5 * time.Second // of calls, for their turn
	refusedEnough = 3               // posts with a wrong signature that are no accident
	refusedFor    = 24 * time.Hour  // how long refused posts are spoken of after the last one
	maxCountries  = 5               // asked about in one examination
)

// unreachable are the alerts that say that our address could not be used.
var unreachable = []int{11200, 11205, 11206, 11210, 11215, 11220, 11235, 11236, 11237}

// outside is what Twilio said about a connection when it was asked.
type outside struct {
	account error // also what our rows were brought in line with
	alerts  []twilio.Alert
	logErr  error
	calls   []twilio.Call // that came in
	callErr error
	queued  []twilio.Call
	waitErr error
	voice   map[string]bool // may call that country
	voiced  error
}

// refusedPosts are posts of a connection that were half right.
type refusedPosts struct {
	Why     string    `bun:"why"`
	Count   int       `bun:"count"`
	LastAt  time.Time `bun:"last_at"`
	SeenURL string    `bun:"seen_url"`
}

// patient is a connection that is to be looked at.
type patient struct {
	c       *number.Connection
	numbers []*number.PhoneNumber
	homes   []string // the countries of its numbers
	*outside
}

// patient reads what our rows say of a connection.
func (x *exam) patient(ctx context.Context, connection id.ID) (*patient, error) {
	c, err := x.s.d.Numbers.Connection(ctx, x.who, connection)
	if err != nil {
		return nil, err
	}
	numbers, err := x.numbersOf(ctx, c.ID)
	return &patient{c: c, numbers: numbers, homes: homes(numbers), outside: &outside{voice: map[string]bool{}}}, err
}

// ask asks Twilio about a connection. look brings our rows in line first.
func (x *exam) ask(ctx context.Context, p *patient, look func(ctx context.Context) error) {
	o, c, countries := p.outside, p.c, p.homes
	if !x.live || c.DisconnectedAt != nil {
		return
	}
	client, err := x.s.d.Numbers.Credentials(ctx, c.ID)
	if err != nil {
		o.account, o.logErr, o.callErr, o.waitErr, o.voiced = err, err, err, err, err
		return
	}
	askAll(ctx, func(a *asks) {
		a.ask(func(ctx context.Context) { o.account = look(ctx) })
		a.ask(func(ctx context.Context) { o.alerts, o.logErr = client.Alerts(ctx, x.now.Add(-recent), time.Time{}) })
		a.ask(func(ctx context.Context) {
			o.calls, o.callErr = client.ListCalls(ctx, twilio.CallFilter{StartedAfter: x.now.Add(-recent), Limit: 100})
		})
		a.ask(func(ctx context.Context) {
			o.queued, o.waitErr = client.ListCalls(ctx, twilio.CallFilter{Status: "queued", Limit: 50})
		})
		a.ask(func(ctx context.Context) {
			for _, country := range countries[:min(len(countries), maxCountries)] {
				may, err := x.s.d.Numbers.VoiceCountry(ctx, c.ID, country)
				if err != nil {
					o.voiced = err
					return
				}
				o.voice[country] = may
			}
		})
	})
}

// connection looks at a Twilio account. It reports whether there is any use in
// looking further.
func (x *exam) connection(ctx context.Context, connection id.ID, look func(ctx context.Context) error) (usable bool, err error) {
	p, err := x.patient(ctx, connection)
	if err != nil {
		return false, err
	}
	x.ask(ctx, p, look)
	return x.examine(ctx, p)
}

// examine looks at a connection of which Twilio was asked.
func (x *exam) examine(ctx context.Context, of *patient) (usable bool, err error) {
	c, o := of.c, of.outside
	p := x.at(c.ID, true)
	switch {
	case c.DisconnectedAt != nil:
		p.problem(ConnectionDisconnected, "", "the account was disconnected: nothing passes through it", fact("disconnectedAt", c.DisconnectedAt))
		return false, nil
	case !c.IsEnabled:
		p.problem(ConnectionDisabled, "", "the connection is switched off: its numbers take no calls and send no messages")
	default:
		p.ok(ConnectionDisabled, "it is on")
	}
	if x.live {
		x.answered = x.answered || heard(o.account) || heard(o.logErr) || heard(o.callErr) || heard(o.waitErr)
		if c, err = x.s.d.Numbers.Connection(ctx, x.who, c.ID); err != nil { // as it is after Twilio was asked
			return false, err
		}
	}
	if !x.account(p, c, o) {
		return false, nil
	}
	x.settings(p, c)
	if err := x.arriving(ctx, p, c, of.numbers, o); err != nil {
		return false, err
	}
	if err := x.waiting(ctx, p, c, o); err != nil {
		return false, err
	}
	return true, x.countries(ctx, p, c, of.homes, o)
}

// account is what Twilio says of the account itself.
func (x *exam) account(p spot, c *number.Connection, o *outside) (usable bool) {
	sid := fact("accountSid", c.AccountSid)
	switch err := o.account; {
	case twilio.Unauthorized(err):
		p.problem(TokenRefused, "", "Twilio refuses the auth token of this connection: no call is made, no message is sent, and posts are not believed once Twilio signs with another", sid, fact("code", 20003))
		return false
	case twilio.IsCode(err, 20005, 10001, 30002):
		p.problem(AccountClosed, "", "Twilio says that the account is not active: it is closed, and everything is refused", sid, fact("code", 20005))
		return false
	case !x.live:
		p.skip(TokenRefused, notAsked)
	case err != nil:
		p.skip(TokenRefused, silent)
	default:
		p.ok(TokenRefused, "Twilio takes the auth token")
		p.clean(AccountClosed)
	}
	switch c.AccountStatus {
	case "", "active":
		p.ok(AccountSuspended, "the account is active")
	case "closed":
		p.problem(AccountClosed, "", "the account is closed at Twilio: everything is refused", sid)
		return false
	default:
		p.problem(AccountSuspended, "", "Twilio has the account as "+c.AccountStatus+": no calls or messages pass until that is settled there", sid, fact("status", c.AccountStatus))
		return false
	}
	if c.AccountType == number.AccountTrial {
		p.warning(TrialAccount, "", "it is a trial account: calls and messages reach only numbers that were verified, and a few countries; each call begins with Twilio's own words", sid)
	} else {
		p.ok(TrialAccount, "the account has billing")
	}
	return true
}

// settings is what our own rows say of a connection.
func (x *exam) settings(p spot, c *number.Connection) {
	switch {
	case c.ImportStatus == number.ImportFailed:
		why := "no reason was kept"
		if c.ImportError != nil {
			why = *c.ImportError
		}
		p.problem(ImportFailed, "", "the numbers of the account could not be imported: "+why)
	default:
		p.ok(ImportFailed, "the numbers were imported: %d", c.ImportDone)
	}
	switch ends := c.RotationEndsAt; {
	case ends != nil && ends.Sub(x.now) <= rotationEnds:
		p.warning(RotationEnding, "", "the former auth token is accepted for a few hours more: posts that Twilio still signs with it are refused then", fact("endsAt", ends))
	case ends != nil:
		p.ok(RotationEnding, "the former auth token is accepted for some hours yet")
	default:
		p.ok(RotationEnding, "there is no rotation")
	}
}

// arriving is whether Twilio's posts come, and come as they were signed.
func (x *exam) arriving(ctx context.Context, p spot, c *number.Connection, numbers []*number.PhoneNumber, o *outside) error {
	if err := x.s.flush(ctx); err != nil {
		return err
	}
	var rows []refusedPosts
	// A post that is taken shows that the way is right. One old address beside it goes
	// on being wrong, and ends only when nothing comes by it.
	err := db.Select(ctx, x.s.d.DB.App(), &rows, `
		SELECT r.why, r.count, r.last_at, r.seen_url FROM refused_post r
		WHERE r.organization_id = $1 AND r.connection_id = $2 AND r.last_at > $3 AND (r.why = $4 OR NOT EXISTS (
			SELECT FROM twilio_post t WHERE t.organization_id = $1 AND t.connection_id = $2 AND t.received_at > r.last_at))`, x.org, c.ID, x.now.Add(-refusedFor), wrongKey)
	if err != nil {
		return err
	}
	by := map[string]refusedPosts{}
	for _, r := range rows {
		by[r.Why] = r
	}
	evidence := func(r refusedPosts) []Evidence {
		return []Evidence{fact("posts", r.Count), fact("lastAt", r.LastAt), fact("seenAs", r.SeenURL), fact("publicUrl", x.s.d.Base.Redacted())}
	}
	if r := by[wrongSignature]; r.Count >= refusedEnough {
		p.problem(ProxyBreaksSignatures, "", fmt.Sprintf("%d posts came with the right access key and a signature that does not fit our public address, and none after them that does: what lies between Twilio and this server changes host, path or query, or PUBLIC_URL is another address than Twilio calls", r.Count), evidence(r)...)
	} else {
		p.ok(ProxyBreaksSignatures, "no post was refused for its signature lately")
	}
	old := by[wrongKey]
	if old.Count > 0 {
		p.problem(AccessKeyOld, "", fmt.Sprintf("%d posts of the account came with an access key that is not valid any more: somewhere at Twilio an old address of ours stands", old.Count), evidence(old)...)
	} else {
		p.ok(AccessKeyOld, "for a day no post came with another access key than the present one")
	}
	if p.has(ProxyBreaksSignatures) || old.LastAt.After(x.now.Add(-recent)) {
		p.clean(PublicURLUnreachable, NoWebhooksArriving)
		return nil // they do come
	}
	switch {
	case !x.live:
		p.skip(PublicURLUnreachable, notAsked)
		p.skip(NoWebhooksArriving, notAsked)
		return nil
	case o.logErr != nil:
		p.skip(PublicURLUnreachable, silent)
	default:
		if err := x.reached(ctx, p, c, o.alerts); err != nil {
			return err
		}
	}
	if p.has(PublicURLUnreachable) {
		p.clean(NoWebhooksArriving)
		return nil
	}
	if o.callErr != nil {
		p.skip(NoWebhooksArriving, silent)
		return nil
	}
	return x.told(ctx, p, numbers, o.calls)
}

// reached is whether Twilio's debugger says that we could not be.
func (x *exam) reached(ctx context.Context, p spot, c *number.Connection, alerts []twilio.Alert) error {
	n, code, last := 0, 0, time.Time{}
	for _, a := range alerts {
		if slices.Contains(unreachable, a.Code) {
			n++
			if a.At.After(last) {
				code, last = a.Code, a.At
			}
		}
	}
	taken := true
	if n > 0 {
		err := db.Select(ctx, x.s.d.DB.App(), &taken, `SELECT EXISTS (SELECT FROM twilio_post WHERE organization_id = $1 AND connection_id = $2 AND received_at > $3)`,
			x.org, c.ID, last)
		if err != nil {
			return err
		}
	}
	if n == 0 || taken {
		p.ok(PublicURLUnreachable, "Twilio reported no trouble with our address that lasts")
		return nil
	}
	why, advice, _ := twilio.Reason(code)
	p.problem(PublicURLUnreachable, "", fmt.Sprintf("Twilio could not use our address %d times within the hour, and nothing has come since: %s (%d)", n, why, code),
		fact("code", code), fact("times", n), fact("lastAt", last), fact("publicUrl", x.s.d.Base.Redacted()), fact("advice", advice))
	return nil
}

// told is whether we know of the calls that came in at Twilio.
func (x *exam) told(ctx context.Context, p spot, numbers []*number.PhoneNumber, calls []twilio.Call) error {
	ours := map[string]bool{}
	for _, n := range numbers {
		if n.IsEnabled && n.WrittenWebhooks != nil && len(n.Drifted()) == 0 && n.TrunkSid == nil {
			ours[string(n.E164)] = true
		}
	}
	var sids []string
	for _, l := range calls {
		if l.Direction == "inbound" && ours[l.To] && x.now.Sub(l.StartedAt) > inFlight {
			sids = append(sids, l.SID) // newest first
		}
	}
	if len(sids) == 0 {
		p.ok(NoWebhooksArriving, "no call came in within the hour")
		return nil
	}
	var known []struct {
		SID string `bun:"twilio_sid"`
	}
	if err := db.Select(ctx, x.s.d.DB.App(), &known, `SELECT twilio_sid FROM call WHERE organization_id = $1 AND twilio_sid = ANY ($2::text[])`, x.org, sids); err != nil {
		return err
	}
	missing := 0
	for _, sid := range sids {
		if slices.ContainsFunc(known, func(k struct {
			SID string `bun:"twilio_sid"`
		}) bool {
			return k.SID == sid
		}) {
			break // since then they arrive
		}
		missing++
	}
	if missing == 0 {
		p.ok(NoWebhooksArriving, "the last call that came in at Twilio is known here")
		return nil
	}
	p.problem(NoWebhooksArriving, "", fmt.Sprintf("Twilio has taken %d calls to our numbers of which nothing arrived here, and complains of nothing: another machine answers at our public address", missing),
		fact("calls", missing), fact("lastCallSid", sids[0]), fact("publicUrl", x.s.d.Base.Redacted()))
	return nil
}

// waiting is whether calls wait for the account's calls per second.
func (x *exam) waiting(ctx context.Context, p spot, c *number.Connection, o *outside) error {
	var booked struct {
		Until *time.Time `bun:"calls_booked_until"`
	}
	if err := db.Select(ctx, x.s.d.DB.App(), &booked, `SELECT calls_booked_until FROM twilio_connection WHERE organization_id = $1 AND id = $2`, x.org, c.ID); err != nil {
		return err
	}
	facts := []Evidence{fact("callsPerSecond", c.CallsPerSecond)}
	if u := booked.Until; u != nil && u.Sub(x.now) > waitsTooLong {
		p.warning(CallsPerSecondQueue, "", "calls of ours are booked for the next seconds at the account's calls per second: those that ring more than ten people at once wait", append(facts, fact("bookedUntil", u))...)
		return nil
	}
	n := 0
	for _, q := range o.queued {
		if x.now.Sub(q.CreatedAt) > waitsTooLong {
			n++
		}
	}
	switch {
	case n > 0:
		p.warning(CallsPerSecondQueue, "", fmt.Sprintf("%d calls wait at Twilio for the account's calls per second", n), append(facts, fact("queued", n))...)
	case !x.live:
		p.skip(CallsPerSecondQueue, notAsked)
	case o.waitErr != nil:
		p.skip(CallsPerSecondQueue, silent)
	default:
		p.ok(CallsPerSecondQueue, "no call waits for its turn")
	}
	return nil
}

// countries is whether the account may call and write to the countries where its
// numbers are.
func (x *exam) countries(ctx context.Context, p spot, c *number.Connection, homes []string, o *outside) error {
	allowed, err := x.s.d.Numbers.Countries(ctx, []id.ID{c.ID})
	if err != nil {
		return err
	}
	var noText, noCall []string
	texts, known := allowed[c.ID]
	for _, h := range homes {
		if known && !slices.Contains(texts, h) {
			noText = append(noText, h)
		}
		if may, asked := o.voice[h]; asked && !may {
			noCall = append(noCall, h)
		}
	}
	if len(noText) > 0 {
		p.problem(GeoPermission, "allow the country "+console+" under Messaging, Settings, Geo permissions", "the account may not send messages to "+strings.Join(noText, ", ")+", where it has numbers",
			fact("messages", strings.Join(noText, ", ")), fact("code", 21408))
	}
	if len(noCall) > 0 {
		p.problem(GeoPermission, "allow the country "+console+" under Voice, Settings, Geo permissions", "the account may not call "+strings.Join(noCall, ", ")+", where it has numbers",
			fact("calls", strings.Join(noCall, ", ")), fact("code", 21215))
	}
	switch {
	case len(noText)+len(noCall) > 0:
	case !x.live:
		p.skip(GeoPermission, notAsked)
	case o.voiced != nil:
		p.skip(GeoPermission, silent)
	default:
		p.ok(GeoPermission, "the account may reach the countries where its numbers are")
	}
	return nil
}

// numbersOf are the connected numbers of a connection.
func (x *exam) numbersOf(ctx context.Context, connection id.ID) (all []*number.PhoneNumber, err error) {
	page := db.Page{First: db.MaxFirst}
	for {
		w, err := x.s.d.Numbers.List(ctx, x.who, number.Filter{ConnectionID: connection}, page)
		if err != nil {
			return nil, err
		}
		if all = append(all, w.Nodes...); !w.HasNext || len(all) >= maxNumbers {
			return all, nil
		}
		page.After = w.EndCursor()
	}
}

// maxNumbers is how many numbers of a connection are looked at together.
const maxNumbers = 2000

// homes are the countries of numbers in use, each once.
func homes(numbers []*number.PhoneNumber) (out []string) {
	for _, n := range numbers {
		if n.IsEnabled && n.Country != "" && !slices.Contains(out, n.Country) {
			out = append(out, n.Country)
		}
	}
	slices.Sort(out)
	return out
}

// isMissing reports whether a thing is not there, or not for who asks.
func isMissing(err error) bool { return errs.IsCode(err, errs.NotFound) }
