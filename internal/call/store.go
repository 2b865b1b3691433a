package call

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/route"
	"switchboard/internal/user"
)

// callColumns are what every reader of calls gets; the route is read apart, by
// DecisionsByCalls, because few look at it.
const callColumns = `call.organization_id, call.id, call.version, call.provider, call.direction, call.status, call.end_reason, call.connection_id,
	call.phone_number_id, call.branch_id, call.contact_id, call.record_id, call.campaign_id, call.user_id, call.answered_by_user_id, call.answered_by_leg_id,
	call.from_number, call.to_number, call.twilio_sid, call.caller_id, call.caller_id_reason, call.is_recorded, call.started_at, call.answered_at, call.ended_at,
	call.ring_seconds, call.talk_seconds, call.duration_seconds, call.outcome, call.notes, call.created_at,
	call.business_unit, call.is_ignored, call.is_on_hold, call.is_test, call.is_logged, call.room_sid, call.transfer, call.answerer, call.recording_paused_at,
	call.notices, call.masked_pair_id, call.hops, ` + maskOf

const legColumns = `leg.organization_id, leg.id, leg.call_id, leg.kind, leg.step, leg.user_id, leg.device_id, leg.to_address, leg.twilio_sid, leg.status,
	leg.outcome, CASE WHEN leg.outcome = 'ANSWERED_ELSEWHERE' THEN call.answered_by_user_id END AS answered_by_user_id,
	leg.started_at, leg.ringing_at, leg.answered_at, leg.ended_at, leg.duration_seconds,
	leg.purpose, leg.is_on_hold, leg.is_muted, leg.monitor_mode, leg.notice, leg.start_at,
	coalesce(device.name, '') AS device_name, call.masked_pair_id, ` + maskOf

// Filter narrows a list of calls. The zero Filter is all of them.
type Filter struct {
	Status        []Status
	Direction     Direction
	PhoneNumberID id.ID
	BranchID      id.ID
	ContactID     id.ID
	RecordID      id.ID
	UserID        id.ID  // answered or started by
	BusinessUnit  string // R022
	StartedFrom   time.Time
	StartedBefore time.Time
	Live          bool // only those in progress
}

// query is SQL with its arguments. The text depends only on which conditions
// there are, so few statements are prepared.
type query struct {
	sql  strings.Builder
	args []any
}

// arg adds an argument and is its place.
func (q *query) arg(v any) string {
	q.args = append(q.args, v)
	return "$" + strconv.Itoa(len(q.args))
}

func (q *query) and(condition string) { q.sql.WriteString(" AND " + condition) }

// seenBy narrows to what the actor sees; see SeenBy.
func (q *query) seenBy(who access.Actor) {
	if !who.System {
		q.and(SeenBy("call", who, q.arg))
	}
}

func (q *query) filter(f Filter) {
	equal := func(column string, v id.ID) {
		if !v.IsZero() {
			q.and(column + " = " + q.arg(v))
		}
	}
	if len(f.Status) > 0 {
		words := make([]string, len(f.Status))
		for i, s := range f.Status {
			words[i] = string(s)
		}
		q.and("call.status = ANY (" + q.arg(words) + "::text[])")
	}
	if f.Direction != "" {
		q.and("call.direction = " + q.arg(string(f.Direction)))
	}
	equal("call.phone_number_id", f.PhoneNumberID)
	equal("call.branch_id", f.BranchID)
	equal("call.contact_id", f.ContactID)
	equal("call.record_id", f.RecordID)
	if f.BusinessUnit != "" {
		q.and("call.business_unit = " + q.arg(f.BusinessUnit))
	}
	if !f.UserID.IsZero() {
		u := q.arg(f.UserID)
		q.and("(call.user_id = " + u + " OR call.answered_by_user_id = " + u + ")")
	}
	if !f.StartedFrom.IsZero() {
		q.and("call.started_at >= " + q.arg(f.StartedFrom))
	}
	if !f.StartedBefore.IsZero() {
		q.and("call.started_at < " + q.arg(f.StartedBefore))
	}
	if f.Live {
		q.and("call.ended_at IS NULL")
	} else {
		q.and("(call.is_logged OR call.ended_at IS NULL)") // R094
	}
}

func calls(what string, who access.Actor) *query {
	q := &query{}
	q.sql.WriteString("SELECT " + what + " FROM call" + joinMask + " WHERE call.organization_id = " + q.arg(who.OrganizationID))
	return q
}

func (q *query) page(k db.Keyset, limit int) {
	q.and("(call.started_at, call.id) < (" + q.arg(k.At) + ", " + q.arg(k.ID) + ")")
	q.sql.WriteString(" ORDER BY call.started_at DESC, call.id DESC LIMIT " + q.arg(limit+1))
}

func keyOf(c *Call) db.Keyset { return db.Keyset{At: c.StartedAt, ID: c.ID} }

// permission is what the list needs: calls in progress have one of their own (R253).
func (f Filter) permission() access.Permission {
	if f.Live {
		return access.LiveView
	}
	return access.CallView
}

// List is a page of the call log, newest first, within the actor's visibility.
// Codes: errs.Forbidden without CALL_VIEW, for calls in progress LIVE_VIEW;
// errs.Invalid for the page.
func (s *Service) List(ctx context.Context, who access.Actor, f Filter, p db.Page) (w db.Window[*Call], err error) {
	defer errs.Wrap(&err, "call.List")
	if err := who.Require(f.permission()); err != nil {
		return w, err
	}
	return s.list(ctx, who, f, p)
}

func (s *Service) list(ctx context.Context, who access.Actor, f Filter, p db.Page) (w db.Window[*Call], err error) {
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	q := calls(callColumns, who)
	q.seenBy(who)
	q.filter(f)
	q.page(after, limit)
	var rows []*Call
	if err := db.Select(in(ctx, who), s.DB.App(), &rows, q.sql.String(), q.args...); err != nil {
		return w, err
	}
	for _, c := range rows {
		c.hide(who)
	}
	return db.NewWindow(rows, limit, keyOf), nil
}

// Count is how many calls a list has in all.
func (s *Service) Count(ctx context.Context, who access.Actor, f Filter) (n int, err error) {
	defer errs.Wrap(&err, "call.Count")
	if err := who.Require(f.permission()); err != nil {
		return 0, err
	}
	q := calls("count(*)", who)
	q.seenBy(who)
	q.filter(f)
	var row struct {
		Count int `bun:"count"`
	}
	err = db.Select(in(ctx, who), s.DB.App(), &row, q.sql.String(), q.args...)
	return row.Count, err
}

// Live is a page of the calls in progress that the actor sees (R210).
func (s *Service) Live(ctx context.Context, who access.Actor, p db.Page) (w db.Window[*Call], err error) {
	defer errs.Wrap(&err, "call.Live")
	if err := who.Require(access.LiveView); err != nil {
		return w, err
	}
	return s.list(ctx, who, Filter{Live: true}, p)
}

// maxLive bounds the snapshot of the live dashboard.
const maxLive = 2000

// AllLive is every call in progress that the actor sees, newest first: the
// snapshot of the live dashboard.
func (s *Service) AllLive(ctx context.Context, who access.Actor) (rows []*Call, err error) {
	defer errs.Wrap(&err, "call.AllLive")
	if err := who.Require(access.LiveView); err != nil {
		return nil, err
	}
	q := calls(callColumns, who)
	q.seenBy(who)
	q.filter(Filter{Live: true})
	q.page(db.Top, maxLive-1)
	return s.whole(ctx, who, q)
}

// Whole is one call with its legs, both of one moment: the same version is the
// same call and the same legs. The live dashboard shows it, so LIVE_VIEW serves
// like CALL_VIEW. Codes are those of Get.
func (s *Service) Whole(ctx context.Context, who access.Actor, call id.ID) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.Whole")
	if !who.Known() {
		return nil, who.Require(access.CallView)
	}
	rows, err := s.whole(ctx, who, one(who, call, access.CallView, access.LiveView))
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, absent()
	}
	return rows[0], nil
}

// whole reads calls and their legs in one snapshot of the database.
func (s *Service) whole(ctx context.Context, who access.Actor, q *query) (rows []*Call, err error) {
	err = s.DB.InSnapshot(in(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		if err := db.Select(ctx, tx, &rows, q.sql.String(), q.args...); err != nil || len(rows) == 0 {
			return err
		}
		ids := make([]id.ID, len(rows))
		for i, c := range rows {
			ids[i] = c.ID
		}
		legs, err := legsByCalls(ctx, tx, who, ids)
		for _, c := range rows {
			c.hide(who)
			if c.LegsThen = legs[c.ID]; c.LegsThen == nil {
				c.LegsThen = []*Leg{}
			}
		}
		return err
	})
	return rows, err
}

// Ringing is a page of the calls that ring the actor right now, on one device or
// on any. Nobody sees another's rings here.
func (s *Service) Ringing(ctx context.Context, who access.Actor, device id.ID, p db.Page) (w db.Window[*Call], err error) {
	defer errs.Wrap(&err, "call.Ringing")
	if !who.Known() {
		return w, who.Require(access.CallReceive)
	}
	limit, after, err := p.Keyset()
	if err != nil || who.UserID.IsZero() {
		return w, err
	}
	q := calls(callColumns, who)
	q.and("call.ended_at IS NULL")
	ring := "EXISTS (SELECT FROM call_leg leg WHERE leg.organization_id = $1 AND leg.call_id = call.id AND leg.status = 'RINGING' AND leg.user_id = " + q.arg(who.UserID)
	if !device.IsZero() {
		ring += " AND leg.device_id = " + q.arg(device)
	}
	q.and(ring + ")")
	q.page(after, limit)
	var rows []*Call
	if err := db.Select(in(ctx, who), s.DB.App(), &rows, q.sql.String(), q.args...); err != nil {
		return w, err
	}
	for _, c := range rows {
		c.hide(who)
	}
	return db.NewWindow(rows, limit, keyOf), nil
}

// in is the context of the actor's organization.
func in(ctx context.Context, who access.Actor) context.Context {
	return db.WithTenant(ctx, who.OrganizationID)
}

func absent() error { return errs.New(errs.NotFound, "there is no such call") }

// Get is one call. What the actor may not see is as absent as what is not there:
// errs.NotFound.
func (s *Service) Get(ctx context.Context, who access.Actor, call id.ID) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.Get")
	if !who.Known() {
		return nil, who.Require(access.CallView)
	}
	q := one(who, call, access.CallView)
	c := &Call{}
	err = db.Select(in(ctx, who), s.DB.App(), c, q.sql.String(), q.args...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, absent()
	}
	c.hide(who)
	return c, err
}

// one asks for one call, if the actor may see it.
func one(who access.Actor, call id.ID, by ...access.Permission) *query {
	q := calls(callColumns, who)
	q.and("call.id = " + q.arg(call))
	if !slices.ContainsFunc(by, who.Can) { // one's own calls remain: they ring or rang
		who.Visibility = access.SeesOwn
	}
	q.seenBy(who)
	return q
}

// Visible are those of the calls that the actor may see, in one statement.
func (s *Service) Visible(ctx context.Context, who access.Actor, ids []id.ID) (map[id.ID]*Call, error) {
	if !who.Known() || len(ids) == 0 {
		return map[id.ID]*Call{}, nil
	}
	q := calls(callColumns, who)
	q.and("call.id = ANY (" + q.arg(ids) + "::uuid[])")
	if !who.Can(access.CallView) {
		who.Visibility = access.SeesOwn
	}
	q.seenBy(who)
	return byID(in(ctx, who), s, who, q)
}

// ByIDs are calls of the context's tenant by id, in one statement; what does not
// exist is missing. It asks nobody's permission: it follows references from what
// the actor sees already.
func (s *Service) ByIDs(ctx context.Context, ids []id.ID) (map[id.ID]*Call, error) {
	q := calls(callColumns, access.Actor{OrganizationID: db.TenantFrom(ctx)})
	q.and("call.id = ANY (" + q.arg(ids) + "::uuid[])")
	return byID(ctx, s, access.From(ctx), q)
}

func byID(ctx context.Context, s *Service, who access.Actor, q *query) (map[id.ID]*Call, error) {
	var rows []*Call
	err := db.Select(ctx, s.DB.App(), &rows, q.sql.String(), q.args...)
	out := make(map[id.ID]*Call, len(rows))
	for _, c := range rows {
		c.hide(who)
		out[c.ID] = c
	}
	return out, err
}

// private reports whether the other end of a leg is a phone that the actor may not read.
func private(who access.Actor, kind LegKind, owner id.ID) bool {
	return kind == route.UserPhone && !who.System && !user.MayReadPrivate(who, owner)
}

// mask hides the phones in a decision that the actor may not read.
func mask(who access.Actor, d *route.Decision) {
	for _, step := range d.Steps {
		for i := range step.Targets {
			t := &step.Targets[i]
			t.Masked = private(who, t.Kind, t.UserID)
			if t.Kind == route.Customer && !who.System { // whose booking it is does not stand there
				t.Masked = !who.SeesAll() || who.IsFieldworker || !who.Can(access.ContactView)
			}
			switch t.Kind {
			case route.Caller, route.Callee, route.Guest:
				t.Masked = t.Masked || who.HidesContactDetails()
			}
		}
	}
}

// LegsByCalls are the legs of calls of the context's tenant, in the order in
// which they were started, in one statement. Phones of colleagues are masked for
// those who may not read them.
func (s *Service) LegsByCalls(ctx context.Context, calls []id.ID) (map[id.ID][]*Leg, error) {
	return legsByCalls(ctx, s.DB.App(), access.From(ctx), calls)
}

func legsByCalls(ctx context.Context, q bun.IDB, who access.Actor, calls []id.ID) (map[id.ID][]*Leg, error) {
	var rows []*Leg
	err := db.Select(ctx, q, &rows, `
		SELECT `+legColumns+`
		FROM call_leg leg
		JOIN call ON call.organization_id = leg.organization_id AND call.id = leg.call_id
		LEFT JOIN device ON device.organization_id = leg.organization_id AND device.id = leg.device_id`+joinMask+`
		WHERE leg.organization_id = $1 AND leg.call_id = ANY ($2::uuid[])
		ORDER BY leg.call_id, leg.step, leg.id`, db.TenantFrom(ctx), calls)
	out := make(map[id.ID][]*Leg, len(calls))
	for _, l := range rows {
		l.hide(who)
		out[l.CallID] = append(out[l.CallID], l)
	}
	return out, err
}

// LegsByIDs are legs of the context's tenant by id, in one statement.
func (s *Service) LegsByIDs(ctx context.Context, ids []id.ID) (map[id.ID]*Leg, error) {
	var rows []*Leg
	err := db.Select(ctx, s.DB.App(), &rows, `
		SELECT `+legColumns+`
		FROM call_leg leg
		JOIN call ON call.organization_id = leg.organization_id AND call.id = leg.call_id
		LEFT JOIN device ON device.organization_id = leg.organization_id AND device.id = leg.device_id`+joinMask+`
		WHERE leg.organization_id = $1 AND leg.id = ANY ($2::uuid[])`, db.TenantFrom(ctx), ids)
	out := make(map[id.ID]*Leg, len(rows))
	for _, l := range rows {
		l.hide(access.From(ctx))
		out[l.ID] = l
	}
	return out, err
}

// DecisionsByCalls are where calls were sent and why (R043), in one statement;
// nothing for who may not know, or for calls that were not routed.
func (s *Service) DecisionsByCalls(ctx context.Context, who access.Actor, calls []id.ID) (map[id.ID]*route.Decision, error) {
	out := make(map[id.ID]*route.Decision, len(calls))
	if !who.Can(access.RouteExplain) {
		return out, nil
	}
	var rows []struct {
		ID    id.ID           `bun:"id"`
		Route json.RawMessage `bun:"route"`
	}
	err := db.Select(ctx, s.DB.App(), &rows, `SELECT call.id, call.route FROM call
		WHERE call.organization_id = $1 AND call.id = ANY ($2::uuid[]) AND call.route IS NOT NULL`, db.TenantFrom(ctx), calls)
	for _, r := range rows {
		d := &route.Decision{}
		if err := json.Unmarshal(r.Route, d); err != nil {
			return out, err
		}
		mask(who, d)
		out[r.ID] = d
	}
	return out, err
}

// Place is where somebody stands in a call.
type Place struct {
	Took    bool // started or answered it
	Talks   bool // is in it now
	Talked  bool // was in it
	MayMove bool // the number lets it be transferred (R099)
}

// Places are where the actor stands in calls, in one statement: what commands in a
// call ask, for who wants to know before.
func (s *Service) Places(ctx context.Context, q bun.IDB, who access.Actor, calls map[id.ID]*Call) (map[id.ID]Place, error) {
	out := make(map[id.ID]Place, len(calls))
	if len(calls) == 0 {
		return out, nil
	}
	ids := make([]id.ID, 0, len(calls))
	for x, c := range calls {
		ids = append(ids, x)
		out[x] = Place{Took: c.tookPart(who)}
	}
	var rows []struct {
		ID      id.ID `bun:"id"`
		Talks   bool  `bun:"talks"`
		Talked  bool  `bun:"talked"`
		MayMove bool  `bun:"may_move"`
	}
	err := db.Select(in(ctx, who), q, &rows, `
		SELECT call.id, EXISTS (SELECT FROM call_leg l WHERE l.organization_id = $1 AND l.call_id = call.id AND l.user_id = $3 AND l.status = 'IN_PROGRESS'
				AND l.answered_at IS NOT NULL AND l.purpose <> 'MONITOR') AS talks,
			EXISTS (SELECT FROM call_leg l WHERE l.organization_id = $1 AND l.call_id = call.id AND l.user_id = $3
				AND l.answered_at IS NOT NULL AND l.purpose <> 'MONITOR') AS talked,
			coalesce((SELECT (f.data->'start'->'plan'->>'allowTransfer')::boolean FROM call_fact f
				WHERE f.organization_id = $1 AND f.call_id = call.id AND f.key = 'started'), false) AS may_move
		FROM call WHERE call.organization_id = $1 AND call.id = ANY ($2::uuid[])`, who.OrganizationID, ids, who.UserID)
	for _, r := range rows {
		p := out[r.ID]
		p.Talks, p.Talked, p.MayMove = r.Talks, r.Talked, r.MayMove
		out[r.ID] = p
	}
	return out, err
}
