package contact

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
)

// Known reports whether k is one of the kinds.
func (k EventKind) Known() bool {
	switch k {
	case ContactAttemptFailed, QuoteSent, BookingConfirmed, JobAccepted, OnTheWay, RunningLate, Arrived, Completed, InvoiceSent, Paid, Cancelled:
		return true
	}
	return false
}

// statusAfter is the status that an event leaves its record in. The others leave
// it alone: whoever is late is still on the way.
var statusAfter = map[EventKind]string{
	QuoteSent: "SENT", InvoiceSent: "SENT", BookingConfirmed: "CONFIRMED", JobAccepted: "ACCEPTED", OnTheWay: "ON_THE_WAY", Arrived: "ARRIVED",
	Completed: "COMPLETED", Paid: "PAID", Cancelled: "CANCELLED",
}

// fieldWork are the events that a fieldworker reports, of their own records (R170-R173).
var fieldWork = []EventKind{OnTheWay, RunningLate, Arrived, JobAccepted, ContactAttemptFailed, Completed}

// maxAhead is how far an event may lie ahead of our clock: theirs may go wrong, and
// an event of next year would keep every later one from counting.
const maxAhead = time.Hour

// EventAdd is something that happened to a record, which is named by its id or by
// its kind and external id.
type EventAdd struct {
	RecordID         id.ID
	RecordKind       RecordKind
	RecordExternalID string
	Kind             EventKind
	At               *time.Time // now unless told
	ExternalID       *string    // in the other system; the same one again is the same event
	EtaAt            *time.Time
	TrackingURL      *string // https; R198
	Note             *string
	Data             []Datum
}

// RecordEventData is what RecordEventAdded carries.
type RecordEventData struct {
	EventID id.ID     `json:"eventId"`
	Kind    EventKind `json:"kind"`
}

// AddEvent keeps what happened to a record and moves its status, its time of
// arrival and its confirmation. Events may come in any order: the status is that
// of the latest event that has one, whichever came last. An external id that is
// known answers its event and changes nothing. It needs RECORD_EVENT_ADD; whoever
// sees only their own, and every fieldworker, reports field work on the records
// assigned to them. The record is nil for who may not see it. Codes:
// errs.Required, errs.Invalid, errs.NotFound, errs.Forbidden, errs.Taken.
func (s *Service) AddEvent(ctx context.Context, who access.Actor, in EventAdd) (e *RecordEvent, r *Record, err error) {
	if err := who.Require(access.RecordEventAdd); err != nil {
		return nil, nil, err
	}
	e, err = in.event(who)
	if err != nil {
		return nil, nil, err
	}
	own := !who.System && (who.IsFieldworker || seesOwnOnly(who))
	if own && !slices.Contains(fieldWork, in.Kind) {
		return nil, nil, errs.New(errs.Forbidden, "you report the work in the field; %s is reported by the office", in.Kind).At("event")
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		record, at, err := in.record(ctx, tx)
		if err != nil {
			return err
		}
		if r, err = lockRecord(ctx, tx, record); err == nil && own && (who.UserID.IsZero() || r.AssignedUserID != who.UserID) {
			err = errNoRecord
		}
		if err != nil {
			return blame(err, at)
		}
		// The record is locked: the same event is not added beside us.
		if first, err := s.eventByExternal(ctx, tx, r, e.ExternalID); err != nil || first != nil {
			e = first
			return err
		}
		if e.At.IsZero() {
			e.At = tx.Now
		}
		if e.At.After(tx.Now.Add(maxAhead)) {
			return errs.New(errs.Invalid, "this has not happened yet; report it when it has").At("at")
		}
		e.RecordID, e.CreatedAt = r.ID, tx.Now
		moved, err := r.move(ctx, tx, e)
		if err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(e).Exec(ctx); err != nil {
			return err
		}
		data, err := json.Marshal(RecordEventData{e.ID, e.Kind})
		if err != nil {
			return err
		}
		events := []event.Event{{OrganizationID: r.OrganizationID, Kind: RecordEventAdded, Subject: r.ID, ActorID: who.UserID, Data: data}}
		if moved {
			if err := saveRecord(ctx, tx, r); err != nil {
				return err
			}
			events = append(events, event.Event{OrganizationID: r.OrganizationID, Kind: RecordUpdated, Subject: r.ID, ActorID: who.UserID})
		}
		if err := event.Append(ctx, tx, events...); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: actor(who), Action: "record.event", Subject: r.ID, Detail: map[string]any{"event": e.Kind}})
	})
	if err != nil {
		return nil, nil, err
	}
	if !who.Can(access.ContactView) || !seesRecord(who, r) {
		r = nil
	}
	return e, r, nil
}

// event checks what was told.
func (in EventAdd) event(who access.Actor) (_ *RecordEvent, err error) {
	if !in.Kind.Known() {
		return nil, errs.New(errs.Invalid, "%q is not an event of a record", string(in.Kind)).At("event")
	}
	e := &RecordEvent{OrganizationID: who.OrganizationID, ID: id.New(id.RecordEvent), Kind: in.Kind, UserID: who.UserID}
	if who.UserID.IsZero() {
		e.APIKeyID = who.APIKeyID
	}
	if in.At != nil {
		if e.At, err = checkTime(*in.At, "at"); err != nil {
			return nil, err
		}
	}
	if e.ExternalID, err = checkOptional(in.ExternalID, maxName, "externalId"); err != nil {
		return nil, err
	}
	if in.EtaAt != nil {
		eta, err := checkTime(*in.EtaAt, "etaAt")
		if err != nil {
			return nil, err
		}
		e.EtaAt = &eta
	}
	if e.TrackingURL, err = checkURL("trackingUrl")(in.TrackingURL); err != nil {
		return nil, err
	}
	if in.Kind == RunningLate && e.EtaAt == nil {
		return nil, errs.New(errs.Required, "say when they will be there").At("etaAt")
	}
	if e.Note, err = checkOptional(in.Note, maxNote, "note"); err != nil {
		return nil, err
	}
	e.Data, err = checkData(in.Data)
	return e, err
}

// record is the id of the record that was named, and the field that named it.
func (in EventAdd) record(ctx context.Context, tx *db.Tx) (id.ID, string, error) {
	switch {
	case !in.RecordID.IsZero() && (in.RecordKind != "" || in.RecordExternalID != ""):
		return id.ID{}, "", errs.New(errs.Invalid, "name the record by its id, or by its kind and external id, not by both").At("recordId")
	case !in.RecordID.IsZero():
		if err := in.RecordID.Want(id.Record); err != nil {
			return id.ID{}, "", errs.New(errs.Invalid, "%s", err).At("recordId")
		}
		return in.RecordID, "recordId", nil
	case in.RecordExternalID == "":
		return id.ID{}, "", errs.New(errs.Required, "say which record: by its id, or by its kind and external id").At("recordId")
	case !in.RecordKind.Known():
		return id.ID{}, "", errs.New(errs.Required, "say of which kind the record with this external id is").At("recordKind")
	}
	var found struct{ ID id.ID }
	err := db.Select(ctx, tx, &found, `SELECT r.id FROM record r WHERE r.organization_id = $1 AND r.kind = $2 AND r.external_id = $3`,
		db.TenantFrom(ctx), string(in.RecordKind), in.RecordExternalID)
	if errors.Is(err, sql.ErrNoRows) {
		err = blame(errNoRecord, "recordExternalId")
	}
	return found.ID, "recordExternalId", err
}

// blame says which field a missing record was named by.
func blame(err error, field string) error {
	if e, ok := errs.As(err); ok && e.Code == errs.NotFound {
		return errs.New(e.Code, "%s", e.Message).At(field)
	}
	return err
}

// move folds an event into its record and reports whether that changed it. Only
// what is newest of its sort counts, so that the order of arrival does not.
func (r *Record) move(ctx context.Context, tx *db.Tx, e *RecordEvent) (bool, error) {
	var newest struct {
		Status *time.Time `bun:"status_at"`
		Eta    *time.Time `bun:"eta_at"`
		Track  *time.Time `bun:"track_at"`
	}
	kinds := make([]string, 0, len(statusAfter))
	for k := range statusAfter {
		kinds = append(kinds, string(k))
	}
	err := db.Select(ctx, tx, &newest, `
		SELECT max(e.at) FILTER (WHERE e.kind = ANY ($3::text[])) AS status_at, max(e.at) FILTER (WHERE e.eta_at IS NOT NULL) AS eta_at,
		  max(e.at) FILTER (WHERE e.tracking_url IS NOT NULL) AS track_at
		FROM record_event e WHERE e.organization_id = $1 AND e.record_id = $2`, r.OrganizationID, r.ID, kinds)
	if err != nil {
		return false, err
	}
	before := r.content()
	if status := statusAfter[e.Kind]; status != "" && (newest.Status == nil || !e.At.Before(*newest.Status)) {
		r.Status = status
	}
	if e.EtaAt != nil && (newest.Eta == nil || !e.At.Before(*newest.Eta)) {
		r.EtaAt = e.EtaAt
	}
	if e.TrackingURL != nil && (newest.Track == nil || !e.At.Before(*newest.Track)) {
		r.TrackingURL = e.TrackingURL
	}
	if e.Kind == BookingConfirmed && (r.ConfirmedAt == nil || r.ConfirmedAt.Before(e.At)) {
		r.ConfirmedAt = &e.At
	}
	return r.content() != before, nil
}

const eventColumns = `e.organization_id, e.id, e.record_id, e.kind, e.at, e.external_id, e.eta_at, e.tracking_url, e.note, e.data, e.user_id, e.api_key_id, e.created_at`

// eventByExternal is the event with the external id, nil when there is none yet.
func (s *Service) eventByExternal(ctx context.Context, tx *db.Tx, r *Record, external *string) (*RecordEvent, error) {
	if external == nil {
		return nil, nil
	}
	e := &RecordEvent{}
	err := db.Select(ctx, tx, e, `SELECT `+eventColumns+` FROM record_event e WHERE e.organization_id = $1 AND e.external_id = $2`, r.OrganizationID, *external)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	case e.RecordID != r.ID:
		return nil, errs.New(errs.Taken, "an event of another record has this external id; use another one").At("externalId")
	}
	return e, nil
}

// Events is a page of what happened to a record that the actor sees, the latest
// first; nothing for one that they only know of.
func (s *Service) Events(ctx context.Context, who access.Actor, r *Record, p db.Page) (w db.Window[*RecordEvent], err error) {
	limit, after, err := p.Keyset()
	if err != nil || !who.Can(access.ContactView) || !seesRecord(who, r) {
		return w, err
	}
	var rows []*RecordEvent
	err = db.Select(db.WithTenant(ctx, who.OrganizationID), s.db.App(), &rows, `SELECT `+eventColumns+` FROM record_event e
		WHERE e.organization_id = $1 AND e.record_id = $2 AND (e.at, e.id) < ($3, $4) ORDER BY e.at DESC, e.id DESC LIMIT $5`,
		who.OrganizationID, r.ID, after.At, after.ID, limit+1)
	if err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(e *RecordEvent) db.Keyset { return db.Keyset{At: e.At, ID: e.ID} }), nil
}

// EventsByIDs are events of records that the actor sees, by id, in one statement.
func (s *Service) EventsByIDs(ctx context.Context, who access.Actor, ids []id.ID) (map[id.ID]*RecordEvent, error) {
	if !who.Can(access.ContactView) {
		return nil, nil
	}
	var rows []*RecordEvent
	err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.db.App(), &rows, `SELECT `+eventColumns+` FROM record_event e
		JOIN record r ON r.organization_id = e.organization_id AND r.id = e.record_id
		WHERE e.organization_id = $1 AND e.id = ANY ($2::uuid[]) AND (NOT $3::boolean OR r.assigned_user_id = $4)`,
		who.OrganizationID, ids, seesOwnOnly(who), who.UserID)
	out := make(map[id.ID]*RecordEvent, len(rows))
	for _, e := range rows {
		out[e.ID] = e
	}
	return out, err
}

// Event is one event of a record that the actor sees, else errs.NotFound.
func (s *Service) Event(ctx context.Context, who access.Actor, x id.ID) (*RecordEvent, error) {
	found, err := s.EventsByIDs(ctx, who, []id.ID{x})
	if err == nil && found[x] == nil {
		err = errs.New(errs.NotFound, "there is no such event, or you may not see it")
	}
	return found[x], err
}
