package gate

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/followup"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/recording"
	"switchboard/internal/tenant"
	"switchboard/internal/transcript"
	"switchboard/internal/user"
	"switchboard/internal/voicemail"
)

// Deps are the domains whose things are asked about.
type Deps struct {
	DB          *db.DB
	Contacts    *contact.Service
	Calls       *call.Service
	Recordings  *recording.Service
	Voicemails  *voicemail.Service
	Messages    *message.Service
	FollowUps   *followup.Service
	Transcripts *transcript.Service
}

// Service answers what people may do.
type Service struct{ d Deps }

// New makes a Service.
func New(d Deps) *Service { return &Service{d} }

// Check is one question.
type Check struct {
	Action  Action
	Subject id.ID // zero: in general
}

// MaxChecks is how many questions are asked at once.
const MaxChecks = 100

const (
	unseen  = "it does not exist, or you may not see it"
	allowed = "you may"
)

// thing is a subject as far as the rules ask about it.
type thing struct {
	contact, record, owner        id.ID
	number, status                string
	phone, masked, invoice        bool // of a customer
	self, admin, active           bool // of a user
	live, answered, outbound      bool // of a call; live also of a message that is under way
	gone, waits, recorded, paused bool
	ofVoicemail                   bool // of a recording
	held, ownHold                 bool // by a legal hold: by any, or by one on itself
	place                         call.Place
	permissions                   []access.Permission // of a user
	visibility                    access.Visibility
}

// Can answers one question about oneself, or with USER_MANAGE about another user as
// they may act now. Codes: errs.Forbidden, errs.NotFound for no such user, errs.Invalid.
func (s *Service) Can(ctx context.Context, who access.Actor, other id.ID, c Check) (_ *Can, err error) {
	defer errs.Wrap(&err, "gate.Can")
	if !who.Known() {
		return nil, who.Require("")
	}
	if other.IsZero() || other == who.UserID {
		out, err := s.Ask(ctx, who, []Check{c})
		if err != nil {
			return nil, err
		}
		return out[0], nil
	}
	if err := who.Require(access.UserManage); err != nil {
		return nil, err
	}
	var them access.Actor
	err = s.d.DB.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) (err error) {
		them, err = user.Acting(ctx, tx, other)
		return err
	})
	switch {
	case errs.IsCode(err, errs.Forbidden): // switched off
		if _, err := ruleOf(c); err != nil {
			return nil, err
		}
		return &Can{Action: c.Action, Gate: State, Message: "this person is not an active user"}, nil
	case err != nil:
		return nil, err
	}
	// Nobody learns through another what they do not see themselves.
	if !c.Subject.IsZero() {
		mine, err := s.read(ctx, who, []id.ID{c.Subject})
		if err != nil {
			return nil, err
		}
		if mine[c.Subject] == nil {
			if _, err := ruleOf(c); err != nil {
				return nil, err
			}
			return &Can{Action: c.Action, Gate: Visibility, Message: unseen}, nil
		}
	}
	out, err := s.Ask(ctx, them, []Check{c})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// Ask answers questions about the actor in their order. However many there are, each
// kind of subject is read once. Code: errs.Invalid for too many of them, and for an
// action that is not done to such a thing.
func (s *Service) Ask(ctx context.Context, who access.Actor, checks []Check) (_ []*Can, err error) {
	defer errs.Wrap(&err, "gate.Ask")
	if !who.Known() {
		return nil, who.Require("")
	}
	if len(checks) > MaxChecks {
		return nil, errs.New(errs.Invalid, "%d questions were asked; ask %d at most", len(checks), MaxChecks).At("checks")
	}
	var subjects []id.ID
	rules := make([]rule, len(checks))
	for i, c := range checks {
		if rules[i], err = ruleOf(c); err != nil {
			return nil, err
		}
		if !c.Subject.IsZero() {
			subjects = append(subjects, c.Subject)
		}
	}
	ctx = access.With(ctx, who)
	org, err := tenant.Read(ctx, s.d.DB.App())
	if err != nil {
		return nil, err
	}
	things, err := s.read(ctx, who, subjects)
	if err != nil {
		return nil, err
	}
	blind, err := s.blind(ctx, who, checks, rules)
	if err != nil {
		return nil, err
	}
	early, err := s.early(ctx, who, checks, rules, things)
	if err != nil {
		return nil, err
	}
	out := make([]*Can, len(checks))
	for i, c := range checks {
		x := things[c.Subject]
		if rules[i].blind && x == nil {
			x = blind[c.Subject]
		}
		out[i] = answer(who, org, c, rules[i], x, early[i])
	}
	return out, nil
}

// ruleOf is the row of a question.
func ruleOf(c Check) (rule, error) {
	of, known := actions[c.Action]
	if !known {
		return rule{}, errs.New(errs.Invalid, "there is no action %q", string(c.Action)).At("action")
	}
	kind := inGeneral
	if !c.Subject.IsZero() {
		kind = c.Subject.Kind()
	}
	r, known := of[kind]
	if known {
		return r, nil
	}
	var kinds []string
	for k := range of {
		if k != inGeneral {
			kinds = append(kinds, k.String())
		}
	}
	slices.Sort(kinds)
	switch {
	case len(kinds) == 0:
		return rule{}, errs.New(errs.Invalid, "%s is asked in general; leave the subject out", c.Action).At("subjectId")
	case kind == inGeneral:
		return rule{}, errs.New(errs.Invalid, "%s is asked of one thing: an id of %s", c.Action, strings.Join(kinds, ", ")).At("subjectId")
	}
	return rule{}, errs.New(errs.Invalid, "%s is not done to such a thing; give an id of %s", c.Action, strings.Join(kinds, ", ")).At("subjectId")
}

// answer asks the gates in their order.
func answer(who access.Actor, org *tenant.Organization, c Check, r rule, x *thing, early *errs.Error) *Can {
	no := func(g Gate, message string) *Can { return &Can{Action: c.Action, Gate: g, Message: message} }
	for _, p := range r.needs {
		if can := lacks(who, c.Action, p); can != nil {
			return can
		}
	}
	if len(r.oneOf) > 0 && !slices.ContainsFunc(r.oneOf, who.Can) {
		return lacks(who, c.Action, r.oneOf[0])
	}
	byOption := func() *Can {
		if r.option == nil || x == nil && !c.Subject.IsZero() {
			return nil
		}
		if option := r.option(who, x); option != "" {
			can := no(FieldworkerOption, refusal(access.Refusal(option)))
			can.Option = &option
			return can
		}
		return nil
	}
	if r.feature != "" && !org.HasFeature(r.feature) {
		can := no(Feature, "the feature "+string(r.feature)+" is switched off; an administrator can switch it on in the organization's settings")
		can.Feature = &r.feature
		return can
	}
	if !c.Subject.IsZero() && x == nil {
		return no(Visibility, unseen)
	}
	if can := byOption(); can != nil {
		return can
	}
	if early != nil {
		return no(BeforeStart, early.Message)
	}
	if r.may != nil && x != nil {
		switch p, why := r.may(who, x); {
		case p != "":
			return lacks(who, c.Action, p)
		case why == unseen:
			return no(Visibility, unseen)
		case why != "":
			return no(State, why)
		}
	}
	return &Can{Action: c.Action, IsAllowed: true, Gate: None, Message: allowed}
}

// lacks is the answer for who may not do what the permission stands for; nil for who may.
func lacks(who access.Actor, a Action, p access.Permission) *Can {
	err := who.Require(p)
	if err == nil {
		return nil
	}
	can := &Can{Action: a, Gate: Role, Permission: &p, Message: refusal(err)}
	if option := who.Withheld(p); option != "" {
		can.Gate, can.Option = FieldworkerOption, &option
	}
	return can
}

func refusal(err error) string {
	e, _ := errs.As(err)
	return e.Message
}

// early says which of the questions are asked before the customer's booking begins.
func (s *Service) early(ctx context.Context, who access.Actor, checks []Check, rules []rule, things map[id.ID]*thing) (map[int]*errs.Error, error) {
	about := make([]call.Contacting, len(checks))
	for i, c := range checks {
		if x := things[c.Subject]; rules[i].early && x != nil {
			about[i] = call.Contacting{ContactID: x.contact, RecordID: x.record, Number: x.number}
		}
	}
	return call.TooEarly(ctx, s.d.DB.App(), who, s.now(), about)
}

func (s *Service) now() time.Time { return s.d.DB.Clock().Now() }

// blind is what the actor would see with the permission to read it: the subjects of
// actions that ask for none.
func (s *Service) blind(ctx context.Context, who access.Actor, checks []Check, rules []rule) (map[id.ID]*thing, error) {
	var subjects []id.ID
	for i, c := range checks {
		if rules[i].blind && !c.Subject.IsZero() {
			subjects = append(subjects, c.Subject)
		}
	}
	if who.Can(access.ContactView) || len(subjects) == 0 {
		return nil, nil
	}
	who.Permissions = access.SetOf(append(who.Permissions.List(), access.ContactView)...)
	return s.read(ctx, who, subjects)
}

// read is the subjects that the actor sees: one look at each kind.
func (s *Service) read(ctx context.Context, who access.Actor, subjects []id.ID) (map[id.ID]*thing, error) {
	kinds := map[id.Kind][]id.ID{}
	for _, x := range subjects {
		if !slices.Contains(kinds[x.Kind()], x) {
			kinds[x.Kind()] = append(kinds[x.Kind()], x)
		}
	}
	out := map[id.ID]*thing{}
	for _, r := range []struct {
		kind id.Kind
		read func(context.Context, access.Actor, []id.ID, map[id.ID]*thing) error
	}{
		{id.Contact, s.contacts}, {id.Record, s.records}, {id.Call, s.calls}, {id.Recording, s.recordings}, {id.Voicemail, s.voicemails},
		{id.Thread, s.threads}, {id.Message, s.messages}, {id.FollowUp, s.followUps}, {id.Transcript, s.transcripts}, {id.User, s.users},
	} {
		if ids := kinds[r.kind]; len(ids) > 0 {
			if err := r.read(ctx, who, ids, out); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func (s *Service) contacts(ctx context.Context, who access.Actor, ids []id.ID, out map[id.ID]*thing) error {
	seen, err := contact.Seen(ctx, s.d.DB.App(), who, ids)
	if err != nil {
		return err
	}
	for x, c := range seen {
		if c.IsOwn {
			out[x] = &thing{contact: x}
		}
	}
	masked, err := contact.Masked(ctx, s.d.DB.App(), who, ids)
	for x := range masked {
		if out[x] != nil {
			out[x].masked = true
		}
	}
	if err != nil {
		return err
	}
	err = s.holds(ctx, who, ids, out, `SELECT c.id, `+s.d.Contacts.Held("c")+` AS held, is_held(c.organization_id, c.id) AS own
		FROM contact c WHERE c.organization_id = $1 AND c.id = ANY ($2::uuid[])`)
	if err != nil {
		return err
	}
	return phones(ctx, s.d.DB.App(), out)
}

// holds notes which of the things the query says to be under a legal hold.
func (s *Service) holds(ctx context.Context, who access.Actor, ids []id.ID, out map[id.ID]*thing, query string) error {
	var rows []struct {
		ID   id.ID `bun:"id"`
		Held bool  `bun:"held"`
		Own  bool  `bun:"own"`
		Live bool  `bun:"live"`
	}
	err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.d.DB.App(), &rows, query, who.OrganizationID, ids)
	for _, r := range rows {
		if x := out[r.ID]; x != nil {
			x.held, x.ownHold, x.live = r.Held, r.Own, r.Live
		}
	}
	return err
}

func (s *Service) records(ctx context.Context, who access.Actor, ids []id.ID, out map[id.ID]*thing) error {
	seen, err := contact.RecordsSeen(ctx, s.d.DB.App(), who, ids)
	if err != nil {
		return err
	}
	for x, r := range seen {
		out[x] = &thing{contact: r.ContactID, record: x, owner: r.AssignedUserID, invoice: r.Kind == contact.RecordInvoice}
	}
	return phones(ctx, s.d.DB.App(), out)
}

// phones notes whose customer has a number. It serves the rules and is shown to nobody.
func phones(ctx context.Context, q bun.IDB, things map[id.ID]*thing) error {
	var of []id.ID
	for _, x := range things {
		if !x.contact.IsZero() && !slices.Contains(of, x.contact) {
			of = append(of, x.contact)
		}
	}
	found, err := contact.PhonesOf(ctx, q, of)
	for _, x := range things {
		if list := found[x.contact]; len(list) > 0 {
			x.phone, x.number = true, string(list[0].E164)
		}
	}
	return err
}

func (s *Service) calls(ctx context.Context, who access.Actor, ids []id.ID, out map[id.ID]*thing) error {
	seen, err := s.d.Calls.Visible(ctx, who, ids)
	if err != nil {
		return err
	}
	places, err := s.d.Calls.Places(ctx, s.d.DB.App(), who, seen)
	for x, c := range seen {
		out[x] = &thing{live: c.Live(), answered: c.AnsweredAt != nil, outbound: c.Direction == call.Outbound, status: string(c.Status),
			recorded: c.IsRecorded, paused: c.RecordingPausedAt != nil, place: places[x]}
	}
	return err
}

func (s *Service) recordings(ctx context.Context, who access.Actor, ids []id.ID, out map[id.ID]*thing) error {
	seen, err := s.d.Recordings.Visible(ctx, who, ids)
	for x, r := range seen {
		out[x] = &thing{gone: r.Status == recording.Deleted, waits: r.MediaState != recording.MediaStored, held: r.IsHeld, ofVoicemail: r.Purpose == recording.OfVoicemail,
			live: r.Status == recording.InProgress || r.Status == recording.Paused}
	}
	return err
}

func (s *Service) voicemails(ctx context.Context, who access.Actor, ids []id.ID, out map[id.ID]*thing) error {
	seen, err := s.d.Voicemails.Visible(ctx, who, ids)
	for x, v := range seen {
		out[x] = &thing{contact: v.ContactID, owner: v.OwnerID, held: v.IsHeld}
	}
	return err
}

func (s *Service) threads(ctx context.Context, who access.Actor, ids []id.ID, out map[id.ID]*thing) error {
	seen, err := s.d.Messages.ThreadsByIDs(access.With(ctx, who), ids)
	for _, t := range seen {
		out[t.ID] = &thing{contact: t.ContactID, number: t.TheirNumber, phone: strings.HasPrefix(t.TheirNumber, "+")}
	}
	return err
}

func (s *Service) messages(ctx context.Context, who access.Actor, ids []id.ID, out map[id.ID]*thing) error {
	seen, err := s.d.Messages.ByIDs(access.With(ctx, who), ids)
	for _, m := range seen {
		out[m.ID] = &thing{contact: m.ContactID, record: m.RecordID}
	}
	if err != nil {
		return err
	}
	return s.holds(ctx, who, ids, out, `SELECT m.id, `+message.Held+` AS held, NOT (`+message.Settled+`) AS live
		FROM message m JOIN sms_thread t ON t.organization_id = m.organization_id AND t.id = m.thread_id
		WHERE m.organization_id = $1 AND m.id = ANY ($2::uuid[])`)
}

func (s *Service) followUps(ctx context.Context, who access.Actor, ids []id.ID, out map[id.ID]*thing) error {
	seen, err := s.d.FollowUps.Visible(ctx, who, ids)
	for x, f := range seen {
		out[x] = &thing{contact: f.ContactID, owner: f.OwnerID}
	}
	return err
}

func (s *Service) transcripts(ctx context.Context, who access.Actor, ids []id.ID, out map[id.ID]*thing) error {
	seen, err := s.d.Transcripts.Visible(ctx, who, ids)
	for x, t := range seen {
		out[x] = &thing{gone: t.Status == transcript.Deleted}
	}
	if err != nil {
		return err
	}
	return s.holds(ctx, who, ids, out, `SELECT transcript.id, `+transcript.Held+` AS held
		FROM transcript WHERE transcript.organization_id = $1 AND transcript.id = ANY ($2::uuid[])`)
}

func (s *Service) users(ctx context.Context, who access.Actor, ids []id.ID, out map[id.ID]*thing) error {
	var rows []struct {
		ID     id.ID `bun:"id"`
		Active bool  `bun:"active"`
		Admin  bool  `bun:"admin"`

		Permissions []access.Permission `bun:"permissions,array"`
		Visibility  access.Visibility   `bun:"visibility"`
	}
	err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.d.DB.App(), &rows, `SELECT u.id, u.status = 'ACTIVE' AS active, coalesce(r.built_in = 'ADMIN', false) AS admin, r.permissions, r.visibility
		FROM "user" u JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id
		WHERE u.organization_id = $1 AND u.id = ANY ($2::uuid[])`, who.OrganizationID, ids)
	for _, u := range rows {
		out[u.ID] = &thing{self: u.ID == who.UserID, admin: u.Admin, active: u.Active, permissions: u.Permissions, visibility: u.Visibility}
	}
	return err
}
