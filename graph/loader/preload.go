package loader

import (
	"context"

	"switchboard/internal/access"
	"switchboard/internal/automation"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/followup"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/recording"
	"switchboard/internal/report"
	"switchboard/internal/session"
	"switchboard/internal/transcript"
	"switchboard/internal/user"
	"switchboard/internal/voicemail"
)

// Asked reports whether the client selected a field, by its path below a row.
type Asked func(path ...string) bool

func (a Asked) below(field string) Asked {
	return func(path ...string) bool { return a(append([]string{field}, path...)...) }
}

// Ahead reads what the client asks of every row of a page, one statement a table,
// and hands it to the loaders before the fields ask. A loader alone gathers what
// arrives within its time: on a busy machine that is a part of the page, and the
// page costs more statements the longer it is.
//
// Deeper than what stands here it is left to the loaders, as are rows without references.
func Ahead(ctx context.Context, rows any, asked Asked) error {
	r := &reader{ctx: ctx, Loaders: From(ctx)}
	switch rows := rows.(type) {
	case []*call.Call:
		r.calls(rows, asked)
	case []*report.RecentCall:
		r.recentCalls(rows, asked)
	case []*voicemail.Voicemail:
		r.voicemails(rows, asked)
	case []*recording.Recording:
		r.recordings(rows, asked)
	case []*recording.LedgerEntry:
		read(r, r.Users, asked("actor"), rows, func(e *recording.LedgerEntry) id.ID { return e.ActorID })
	case []*transcript.Transcript:
		r.transcripts(rows, asked)
	case []*transcript.Correction:
		read(r, r.Users, asked("by"), rows, func(c *transcript.Correction) id.ID { return c.ByID })
	case []*message.Thread:
		r.threads(rows, asked)
	case []*message.Message:
		r.messages(rows, asked)
	case []*automation.Automation:
		read(r, r.Templates, asked("template"), rows, func(a *automation.Automation) id.ID { return a.TemplateID })
		read(r, r.Numbers, asked("phoneNumber"), rows, func(a *automation.Automation) id.ID { return a.PhoneNumberID })
		read(r, r.Users, asked("createdBy"), rows, func(a *automation.Automation) id.ID { return a.CreatedByID })
	case []*automation.Run:
		read(r, r.Automations, asked("automation"), rows, func(x *automation.Run) id.ID { return x.AutomationID })
		read(r, r.Records, asked("record"), rows, func(x *automation.Run) id.ID { return x.RecordID })
		read(r, r.Contacts, asked("contact"), rows, func(x *automation.Run) id.ID { return x.ContactID })
		read(r, r.Messages, asked("message"), rows, func(x *automation.Run) id.ID { return x.MessageID })
	case []*message.SavedTemplate:
		read(r, r.Users, asked("createdBy"), rows, func(t *message.SavedTemplate) id.ID { return t.CreatedByID })
	case []*message.Bulk:
		r.bulks(rows, asked)
	case []*message.BulkRecipient:
		r.recipients(rows, asked)
	case []*message.Consent:
		r.consents(rows, asked)
	case []*user.User:
		r.users(rows, asked)
	case []*user.Device:
		read(r, r.Users, asked("user"), rows, func(d *user.Device) id.ID { return d.UserID })
	case []*contact.Contact:
		r.contacts(rows, asked)
	case []*contact.Import:
		read(r, r.Users, asked("createdBy"), rows, func(x *contact.Import) id.ID { return x.CreatedByID })
	case []*contact.ImportRow:
		read(r, r.Contacts, asked("contact"), rows, (*contact.ImportRow).ContactID)
		read(r, r.Records, asked("record"), rows, (*contact.ImportRow).RecordID)
	case []*contact.Campaign:
		read(r, r.Users, asked("assignedUser"), rows, func(c *contact.Campaign) id.ID { return c.AssignedUserID })
	case []*contact.Record:
		read(r, r.Contacts, asked("contact"), rows, func(x *contact.Record) id.ID { return x.ContactID })
		read(r, r.Users, asked("assignedUser"), rows, func(x *contact.Record) id.ID { return x.AssignedUserID })
	case []*number.PhoneNumber:
		r.numbers(rows, asked)
	case []*number.Branch:
		members := read(r, r.BranchUsers, asked("users"), rows, func(b *number.Branch) id.ID { return b.ID })
		read(r, r.Users, true, flat(members), itself)
		r.numbers(flat(read(r, r.BranchNumbers, asked("phoneNumbers"), rows, func(b *number.Branch) id.ID { return b.ID })), asked.below("phoneNumbers"))
	case []*followup.FollowUp:
		r.followUps(rows, asked)
	case []*followup.Attempt:
		read(r, r.Calls, asked("call"), rows, func(a *followup.Attempt) id.ID { return a.CallID })
		read(r, r.Voicemails, asked("voicemail"), rows, func(a *followup.Attempt) id.ID { return a.VoicemailID })
	case []*followup.Entry:
		read(r, r.Calls, asked("call"), rows, func(e *followup.Entry) id.ID { return e.CallID })
		read(r, r.Voicemails, asked("voicemail"), rows, func(e *followup.Entry) id.ID { return e.VoicemailID })
		read(r, r.Roles, asked("role"), rows, func(e *followup.Entry) id.ID { return e.RoleID })
		people := gather(nil, asked("actor"), rows, func(e *followup.Entry) id.ID { return e.ActorID })
		people = gather(people, asked("user"), rows, func(e *followup.Entry) id.ID { return e.UserID })
		read(r, r.Users, true, people, itself)
	case []*followup.Notification:
		r.notifications(rows, asked)
	case []*voicemail.DropMessage:
		read(r, r.Audio, asked("audio"), rows, func(m *voicemail.DropMessage) id.ID { return m.AudioID })
	case []*number.SIPDomain:
		read(r, r.Connections, asked("connection"), rows, func(d *number.SIPDomain) id.ID { return d.ConnectionID })
	case []*call.MaskedPair:
		read(r, r.Numbers, asked("phoneNumber"), rows, func(p *call.MaskedPair) id.ID { return p.PhoneNumberID })
		read(r, r.Records, asked("record"), rows, func(p *call.MaskedPair) id.ID { return p.RecordID })
		read(r, r.Contacts, asked("contact"), rows, func(p *call.MaskedPair) id.ID { return p.ContactID })
		read(r, r.Users, asked("user"), rows, func(p *call.MaskedPair) id.ID { return p.UserID })
	case []*call.Presence:
		r.presences(rows, asked)
	case []*call.TransferTarget:
		var people []*call.Presence
		for _, t := range rows {
			if t.Presence != nil {
				people = append(people, t.Presence)
			}
		}
		r.presences(people, asked.below("presence"))
		read(r, r.Branches, asked("branch"), rows, func(t *call.TransferTarget) id.ID { return t.BranchID })
	case []*number.Team:
		r.numbers(flat(read(r, r.TeamNumbers, asked("phoneNumbers"), rows, func(t *number.Team) id.ID { return t.ID })), asked.below("phoneNumbers"))
		read(r, r.Users, asked("users"), flatten(rows, func(t *number.Team) []id.ID { return t.UserIDs }), itself)
	case []*number.Menu:
		r.menus(rows, asked)
	case []*number.IgnoredNumber:
		read(r, r.Users, asked("createdBy"), rows, func(x *number.IgnoredNumber) id.ID { return x.CreatedByID })
	case []*number.Connection:
		read(r, r.PushCredentials, asked("pushCredentials"), rows, func(c *number.Connection) id.ID { return c.ID })
	case []*session.ApiKey:
		read(r, r.Roles, asked("role"), rows, func(k *session.ApiKey) id.ID { return k.RoleID })
		read(r, r.Users, asked("createdBy"), rows, func(k *session.ApiKey) id.ID { return k.CreatedByID })
	}
	return r.err
}

// reader reads one thing after the other until one fails.
type reader struct {
	*Loaders
	ctx context.Context
	err error
}

func (r *reader) followUps(rows []*followup.FollowUp, asked Asked) {
	notes := flat(read(r, r.FollowUpNotes, asked("notes"), rows, func(f *followup.FollowUp) id.ID { return f.ID }))
	read(r, r.Reveals, asked("from"), rows, revealed(r, RevealedByFollowUp))
	read(r, r.Contacts, asked("contact"), rows, func(f *followup.FollowUp) id.ID { return f.ContactID })
	read(r, r.Records, asked("record"), rows, func(f *followup.FollowUp) id.ID { return f.RecordID })
	read(r, r.Branches, asked("branch"), rows, func(f *followup.FollowUp) id.ID { return f.BranchID })
	read(r, r.Numbers, asked("phoneNumber"), rows, func(f *followup.FollowUp) id.ID { return f.PhoneNumberID })
	read(r, r.Roles, asked("escalatedToRole"), rows, func(f *followup.FollowUp) id.ID { return f.EscalatedToRoleID })
	read(r, r.Calls, asked("closedByCall"), rows, func(f *followup.FollowUp) id.ID { return f.ClosedByCallID })
	people := gather(nil, asked("owner"), rows, func(f *followup.FollowUp) id.ID { return f.OwnerID })
	people = gather(people, asked("escalatedTo"), rows, func(f *followup.FollowUp) id.ID { return f.EscalatedToID })
	people = gather(people, asked("closedBy"), rows, func(f *followup.FollowUp) id.ID { return f.ClosedByID })
	people = gather(people, asked("notes", "author"), notes, func(n *followup.Note) id.ID { return n.AuthorID })
	read(r, r.Users, true, people, itself)
}

func (r *reader) notifications(rows []*followup.Notification, asked Asked) {
	subjects := func(k id.Kind) []id.ID {
		var out []id.ID
		for _, n := range rows {
			if n.SubjectID.Kind() == k && asked("subject") {
				out = append(out, n.SubjectID)
			}
		}
		return out
	}
	read(r, r.Calls, true, gather(subjects(id.Call), asked("call"), rows, func(n *followup.Notification) id.ID { return n.CallID }), itself)
	read(r, r.Voicemails, true, gather(subjects(id.Voicemail), asked("voicemail"), rows, func(n *followup.Notification) id.ID { return n.VoicemailID }), itself)
	read(r, r.Messages, true, gather(subjects(id.Message), asked("message"), rows, func(n *followup.Notification) id.ID { return n.MessageID }), itself)
	read(r, r.FollowUps, true, gather(subjects(id.FollowUp), asked("followUp"), rows, func(n *followup.Notification) id.ID { return n.FollowUpID }), itself)
	read(r, r.Users, asked("actor"), rows, func(n *followup.Notification) id.ID { return n.ActorID })
	read(r, r.NotificationSendings, asked("sendings"), rows, func(n *followup.Notification) id.ID { return n.ID })
}

func (r *reader) calls(rows []*call.Call, asked Asked) {
	self := func(c *call.Call) id.ID { return c.ID }
	legs := flat(read(r, r.CallLegs, asked("legs"), rows, self))
	mails := read(r, r.CallVoicemails, asked("voicemail"), rows, self)
	read(r, r.CallFollowUps, asked("followUp"), rows, self)
	read(r, r.CallRecordings, asked("recordings"), rows, self)
	read(r, r.CallCosts, asked("cost"), rows, self)
	outside := map[bool]bool{true: asked("from"), false: asked("to")}
	shown := gather(nil, true, rows, func(c *call.Call) id.ID {
		if !outside[c.Direction == call.Inbound] {
			return id.ID{}
		}
		return RevealedByCall(access.From(r.ctx), c)
	})
	shown = gather(shown, asked("legs", "to"), legs, revealed(r, RevealedByLeg))
	read(r, r.Reveals, true, gather(shown, asked("voicemail", "from"), mails, revealed(r, RevealedByVoicemail)), itself)
	read(r, r.LegCosts, asked("legs", "cost"), legs, func(l *call.Leg) id.ID { return l.ID })
	read(r, r.CallCards, asked("callerCard"), rows, self)
	read(r, r.CallRoutes, asked("route"), rows, self)
	read(r, r.Numbers, asked("phoneNumber"), rows, func(c *call.Call) id.ID { return c.PhoneNumberID })
	read(r, r.Branches, asked("branch"), rows, func(c *call.Call) id.ID { return c.BranchID })
	read(r, r.Contacts, asked("contact"), rows, func(c *call.Call) id.ID { return c.ContactID })
	read(r, r.Records, asked("record"), rows, func(c *call.Call) id.ID { return c.RecordID })
	read(r, r.Masks, asked("maskedPair"), rows, func(c *call.Call) id.ID { return c.MaskedPairID })
	read(r, r.Campaigns, asked("campaign"), rows, func(c *call.Call) id.ID { return c.CampaignID })
	read(r, r.LegQuality, asked("legs", "qualityWarnings"), legs, func(l *call.Leg) id.ID { return l.ID })
	read(r, r.Devices, asked("legs", "device"), legs, func(l *call.Leg) id.ID { return l.DeviceID })
	read(r, r.Recordings, asked("voicemail", "recording"), mails, func(v *voicemail.Voicemail) id.ID { return v.RecordingID })
	var people []id.ID // of all levels at once
	people = gather(people, asked("user"), rows, func(c *call.Call) id.ID { return c.UserID })
	people = gather(people, asked("answeredBy"), rows, func(c *call.Call) id.ID { return c.AnsweredByID })
	people = gather(people, asked("legs", "user"), legs, func(l *call.Leg) id.ID { return l.UserID })
	people = gather(people, asked("legs", "answeredBy"), legs, func(l *call.Leg) id.ID { return l.AnsweredByID })
	people = gather(people, asked("voicemail", "owner"), mails, func(v *voicemail.Voicemail) id.ID { return v.OwnerID })
	people = gather(people, asked("voicemail", "heardBy"), mails, func(v *voicemail.Voicemail) id.ID { return v.HeardByID })
	read(r, r.Users, true, people, itself)
}

func (r *reader) presences(rows []*call.Presence, asked Asked) {
	read(r, r.Users, asked("user"), rows, func(p *call.Presence) id.ID { return p.UserID })
	read(r, r.Calls, asked("call"), rows, func(p *call.Presence) id.ID { return p.CallID })
}

func (r *reader) recordings(rows []*recording.Recording, asked Asked) {
	self := func(x *recording.Recording) id.ID { return x.ID }
	read(r, r.Calls, asked("call"), rows, func(x *recording.Recording) id.ID { return x.CallID })
	read(r, r.Numbers, asked("phoneNumber"), rows, func(x *recording.Recording) id.ID { return x.PhoneNumberID })
	read(r, r.Branches, asked("branch"), rows, func(x *recording.Recording) id.ID { return x.BranchID })
	read(r, r.Contacts, asked("contact"), rows, func(x *recording.Recording) id.ID { return x.ContactID })
	read(r, r.Records, asked("record"), rows, func(x *recording.Recording) id.ID { return x.RecordID })
	read(r, r.RecordingVoicemails, asked("voicemail"), rows, self)
	read(r, r.RecordingWaveforms, asked("waveform"), rows, self)
	read(r, r.RecordingsHeard, asked("isHeardByMe"), rows, self)
	read(r, r.Users, asked("deletedBy"), rows, func(x *recording.Recording) id.ID { return x.DeletedByID })
}

func (r *reader) voicemails(rows []*voicemail.Voicemail, asked Asked) {
	self := func(v *voicemail.Voicemail) id.ID { return v.ID }
	read(r, r.Records, asked("record"), rows, func(v *voicemail.Voicemail) id.ID { return v.RecordID })
	read(r, r.VoicemailsHeard, asked("isHeardByMe"), rows, self)
	read(r, r.VoicemailFollowUps, asked("followUp"), rows, self)
	read(r, r.Reveals, asked("from"), rows, revealed(r, RevealedByVoicemail))
	heard := flat(read(r, r.VoicemailListeners, asked("listeners"), rows, self))
	notified := flat(read(r, r.VoicemailNotified, asked("notifiedUsers"), rows, self))
	read(r, r.RecordingWaveforms, asked("recording", "waveform"), rows, func(v *voicemail.Voicemail) id.ID { return v.RecordingID })
	read(r, r.Calls, asked("call"), rows, func(v *voicemail.Voicemail) id.ID { return v.CallID })
	read(r, r.Numbers, asked("phoneNumber"), rows, func(v *voicemail.Voicemail) id.ID { return v.PhoneNumberID })
	read(r, r.Branches, asked("branch"), rows, func(v *voicemail.Voicemail) id.ID { return v.BranchID })
	read(r, r.Contacts, asked("contact"), rows, func(v *voicemail.Voicemail) id.ID { return v.ContactID })
	read(r, r.Recordings, asked("recording"), rows, func(v *voicemail.Voicemail) id.ID { return v.RecordingID })
	people := gather(nil, asked("owner"), rows, func(v *voicemail.Voicemail) id.ID { return v.OwnerID })
	people = gather(people, asked("deletedBy"), rows, func(v *voicemail.Voicemail) id.ID { return v.DeletedByID })
	people = gather(people, asked("listeners", "user"), heard, func(l *voicemail.Listener) id.ID { return l.UserID })
	people = gather(people, asked("notifiedUsers"), notified, itself)
	people = gather(people, asked("heardBy"), rows, func(v *voicemail.Voicemail) id.ID { return v.HeardByID })
	read(r, r.Users, true, people, itself)
}

func (r *reader) threads(rows []*message.Thread, asked Asked) {
	self := func(t *message.Thread) id.ID { return t.ID }
	read(r, r.OptedOutThreads, asked("isOptedOut"), rows, self)
	read(r, r.ThreadUnread, asked("unreadCount"), rows, self)
	read(r, r.HiddenEnds, asked("them") || asked("lastMessage", "from") || asked("lastMessage", "to"), rows, self)
	read(r, r.ThreadReplyProblems, asked("replyProblem"), rows, self)
	read(r, r.Numbers, asked("phoneNumber"), rows, func(t *message.Thread) id.ID { return t.PhoneNumberID })
	read(r, r.Branches, asked("branch"), rows, func(t *message.Thread) id.ID { return t.BranchID })
	last := asked.below("lastMessage")
	newest := read(r, r.Messages, asked("lastMessage"), rows, func(t *message.Thread) id.ID { return t.LastMessageID })
	them := gather(nil, asked("contact"), rows, func(t *message.Thread) id.ID { return t.ContactID })
	them = gather(them, last("contact"), newest, func(m *message.Message) id.ID { return m.ContactID })
	contacts := read(r, r.Contacts, true, them, itself)
	read(r, r.ContactPhones, asked("contact", "phones") || last("contact", "phones"), contacts, func(c *contact.Contact) id.ID { return c.ID })
	people := gather(nil, asked("assignedUser"), rows, func(t *message.Thread) id.ID { return t.AssignedUserID })
	people = gather(people, asked("closedBy"), rows, func(t *message.Thread) id.ID { return t.ClosedByID })
	people = gather(people, last("user"), newest, func(m *message.Message) id.ID { return m.UserID })
	people = gather(people, asked("contact", "assignedUser"), contacts, func(c *contact.Contact) id.ID { return c.AssignedUserID })
	read(r, r.Users, true, people, itself)
	r.belongings(newest, last)
}

func (r *reader) messages(rows []*message.Message, asked Asked) {
	threads := read(r, r.Threads, asked("thread"), rows, func(m *message.Message) id.ID { return m.ThreadID })
	if r.err == nil {
		r.threads(threads, asked.below("thread"))
	}
	read(r, r.HiddenEnds, asked("from") || asked("to"), rows, func(m *message.Message) id.ID { return m.ThreadID })
	read(r, r.Users, asked("user"), rows, func(m *message.Message) id.ID { return m.UserID })
	read(r, r.Contacts, asked("contact"), rows, func(m *message.Message) id.ID { return m.ContactID })
	r.belongings(rows, asked)
}

// belongings reads what hangs on messages besides people.
func (r *reader) belongings(rows []*message.Message, asked Asked) {
	read(r, r.MessageMedia, asked("media"), rows, func(m *message.Message) id.ID { return m.ID })
	read(r, r.Records, asked("record"), rows, func(m *message.Message) id.ID { return m.RecordID })
	read(r, r.Campaigns, asked("campaign"), rows, func(m *message.Message) id.ID { return m.CampaignID })
	read(r, r.Templates, asked("template"), rows, func(m *message.Message) id.ID { return m.TemplateID })
	read(r, r.Bulks, asked("bulkMessage"), rows, func(m *message.Message) id.ID { return m.BulkID })
	read(r, r.Automations, asked("automation"), rows, func(m *message.Message) id.ID { return m.AutomationID })
	read(r, r.Messages, asked("retryOf"), rows, func(m *message.Message) id.ID { return m.RetryOfID })
}

func (r *reader) bulks(rows []*message.Bulk, asked Asked) {
	self := func(b *message.Bulk) id.ID { return b.ID }
	read(r, r.BulkCounts, asked("counts"), rows, self)
	read(r, r.BulkCosts, asked("estimatedCosts") || asked("costs"), rows, self)
	read(r, r.Templates, asked("template"), rows, func(b *message.Bulk) id.ID { return b.TemplateID })
	read(r, r.Numbers, asked("phoneNumber"), rows, func(b *message.Bulk) id.ID { return b.PhoneNumberID })
	read(r, r.Campaigns, asked("campaign"), rows, func(b *message.Bulk) id.ID { return b.CampaignID })
	read(r, r.Users, asked("createdBy"), rows, func(b *message.Bulk) id.ID { return b.CreatedByID })
}

func (r *reader) recipients(rows []*message.BulkRecipient, asked Asked) {
	read(r, r.Contacts, asked("contact"), rows, func(x *message.BulkRecipient) id.ID { return x.ContactID })
	read(r, r.Records, asked("record"), rows, func(x *message.BulkRecipient) id.ID { return x.RecordID })
	sent := read(r, r.Messages, asked("message"), rows, func(x *message.BulkRecipient) id.ID { return x.MessageID })
	if r.err == nil {
		r.messages(sent, asked.below("message"))
	}
}

func (r *reader) users(rows []*user.User, asked Asked) {
	self := func(u *user.User) id.ID { return u.ID }
	read(r, r.Roles, asked("role"), rows, func(u *user.User) id.ID { return u.RoleID })
	read(r, r.UserPhones, asked("phones"), rows, self)
	branches := read(r, r.UserBranches, asked("branches"), rows, self)
	read(r, r.Branches, true, flat(branches), itself)
	read(r, r.SIPDomains, asked("sipDomain"), rows, func(u *user.User) id.ID { return u.SIPDomainID })
	lines := read(r, r.UserQuietLines, asked("doNotDisturbLines"), rows, self)
	assigned := read(r, r.UserNumbers, asked("inboundPhoneNumber"), rows, self)
	read(r, r.Numbers, true, append(flat(lines), flat(assigned)...), itself)
}

func (r *reader) contacts(rows []*contact.Contact, asked Asked) {
	read(r, r.ContactPhones, asked("phones"), rows, func(c *contact.Contact) id.ID { return c.ID })
	read(r, r.Users, asked("assignedUser"), rows, func(c *contact.Contact) id.ID { return c.AssignedUserID })
	read(r, r.Contacts, asked("account"), rows, func(c *contact.Contact) id.ID { return c.AccountID })
	read(r, r.Campaigns, asked("lastCampaign"), rows, func(c *contact.Contact) id.ID { return c.LastCampaignID })
	read(r, r.Numbers, asked("lastPhoneNumber"), rows, func(c *contact.Contact) id.ID { return c.LastPhoneNumberID })
}

func (r *reader) numbers(rows []*number.PhoneNumber, asked Asked) {
	self := func(n *number.PhoneNumber) id.ID { return n.ID }
	read(r, r.Connections, asked("connection"), rows, func(n *number.PhoneNumber) id.ID { return n.ConnectionID })
	read(r, r.Branches, asked("branch"), rows, func(n *number.PhoneNumber) id.ID { return n.BranchID })
	teams := read(r, r.Teams, asked("routing", "team"), rows, func(n *number.PhoneNumber) id.ID { return n.TeamID })
	members := flat(read(r, r.NumberUsers, asked("routing", "teamUsers"), rows, self))
	read(r, r.Hours, asked("routing", "openingHours"), rows, func(n *number.PhoneNumber) id.ID { return n.OpeningHoursID })
	r.menus(read(r, r.Menus, asked("routing", "menu"), rows, func(n *number.PhoneNumber) id.ID { return n.MenuID }), asked.below("routing").below("menu"))
	sounds := gather(nil, asked("prompts", "welcomeAudio"), rows, func(n *number.PhoneNumber) id.ID { return n.WelcomeAudioID })
	sounds = gather(sounds, asked("prompts", "farewellAudio"), rows, func(n *number.PhoneNumber) id.ID { return n.FarewellAudioID })
	sounds = gather(sounds, asked("voicemail", "greetingAudio"), rows, func(n *number.PhoneNumber) id.ID { return n.VoicemailGreetingAudioID })
	sounds = gather(sounds, asked("routing", "afterHours", "audio"), rows, func(n *number.PhoneNumber) id.ID { return n.ClosedAudioID })
	read(r, r.Audio, true, sounds, itself)
	people := gather(nil, asked("assignedUser"), rows, func(n *number.PhoneNumber) id.ID { return n.AssignedUserID })
	people = gather(people, asked("voicemail", "owner"), rows, func(n *number.PhoneNumber) id.ID { return n.VoicemailOwnerID })
	people = gather(people, asked("voicemail", "notifiedUsers"), flatten(rows, func(n *number.PhoneNumber) []id.ID { return n.VoicemailUserIDs }), itself)
	people = gather(people, asked("routing", "team", "users"), flatten(teams, func(t *number.Team) []id.ID { return t.UserIDs }), itself)
	people = gather(people, asked("messaging", "smsAssignee"), rows, func(n *number.PhoneNumber) id.ID { return n.SmsAssigneeID })
	people = gather(people, asked("messaging", "mmsAssignee"), rows, func(n *number.PhoneNumber) id.ID { return n.MmsAssigneeID })
	read(r, r.Countries, asked("messaging", "countries"), rows, func(n *number.PhoneNumber) id.ID { return n.ConnectionID })
	read(r, r.SenderWarnings, asked("messaging", "warnings"), rows, self)
	people = gather(people, asked("routing", "teamUsers", "user"), members, func(x *number.NumberUser) id.ID { return x.UserID })
	read(r, r.Users, true, people, itself)
}

// menus reads where the keys of menus lead.
func (r *reader) menus(rows []*number.Menu, asked Asked) {
	read(r, r.Audio, asked("promptAudio"), rows, func(m *number.Menu) id.ID { return m.PromptAudioID })
	keys := flatten(rows, func(m *number.Menu) []number.MenuDestination {
		out := make([]number.MenuDestination, len(m.Options))
		for i, o := range m.Options {
			out[i] = o.To
		}
		return out
	})
	others := flatten(rows, func(m *number.Menu) []number.MenuDestination { return []number.MenuDestination{m.Otherwise} })
	places := func(field string, of func(number.MenuDestination) id.ID) []id.ID {
		return gather(gather(nil, asked("options", "to", field), keys, of), asked("otherwise", field), others, of)
	}
	read(r, r.Teams, true, places("team", func(d number.MenuDestination) id.ID { return d.TeamID }), itself)
	read(r, r.Branches, true, places("branch", func(d number.MenuDestination) id.ID { return d.BranchID }), itself)
	read(r, r.Users, true, places("user", func(d number.MenuDestination) id.ID { return d.UserID }), itself)
	read(r, r.Menus, true, places("menu", func(d number.MenuDestination) id.ID { return d.MenuID }), itself)
}

func itself(x id.ID) id.ID { return x }

func (r *reader) consents(rows []*message.Consent, asked Asked) {
	whose := func(c *message.Consent) id.ID { return c.ContactID }
	read(r, r.ContactPhones, asked("number"), rows, whose)
	read(r, r.Contacts, asked("contact"), rows, whose)
	read(r, r.Numbers, asked("phoneNumber"), rows, func(c *message.Consent) id.ID { return c.PhoneNumberID })
	read(r, r.Messages, asked("message"), rows, func(c *message.Consent) id.ID { return c.MessageID })
	read(r, r.Users, asked("user"), rows, func(c *message.Consent) id.ID { return c.UserID })
}

// gather appends the keys of rows, if they are asked for.
func gather[R any](keys []id.ID, asked bool, rows []R, key func(R) id.ID) []id.ID {
	if !asked {
		return keys
	}
	for _, row := range rows {
		if k := key(row); !k.IsZero() {
			keys = append(keys, k)
		}
	}
	return keys
}

// read reads the keys of all rows at once, fills the loader with what there is and
// gives what was found.
func read[R, V any](r *reader, l *Batch[V], asked bool, rows []R, key func(R) id.ID) []V {
	keys := gather(make([]id.ID, 0, len(rows)), asked, rows, key)
	if r.err != nil || len(keys) == 0 {
		return nil
	}
	seen := make(map[id.ID]bool, len(keys))
	once := keys[:0]
	for _, k := range keys {
		if !seen[k] {
			seen[k] = true
			once = append(once, k)
		}
	}
	found, err := l.read(r.ctx, once)
	if r.err = err; err != nil {
		return nil
	}
	out := make([]V, 0, len(once))
	for _, k := range once {
		v, ok := found[k]
		l.Prime(k, v)
		if ok {
			out = append(out, v)
		}
	}
	return out
}

func flatten[R, T any](rows []R, list func(R) []T) []T {
	var out []T
	for _, row := range rows {
		out = append(out, list(row)...)
	}
	return out
}

func flat[T any](lists [][]T) []T {
	var out []T
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}
