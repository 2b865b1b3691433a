package gate

import (
	"switchboard/internal/access"
	"switchboard/internal/id"
	"switchboard/internal/tenant"
)

// rule is what one action asks of whoever takes it on one kind of thing: one row of
// the table, with the checks of the command behind it.
type rule struct {
	needs   []access.Permission
	oneOf   []access.Permission
	feature tenant.FeatureName
	early   bool // D13: not before the customer's booking begins
	blind   bool // the command needs no permission to read the subject: who knows its id may
	option  func(access.Actor, *thing) access.FieldworkerOption
	// may asks what depends on the thing itself, after it was seen: it names a
	// permission that its command asks only then, or says what state forbids it.
	may func(access.Actor, *thing) (access.Permission, string)
}

// inGeneral is the kind of the row that answers without a subject.
const inGeneral id.Kind = 0

type rows map[id.Kind]rule

func needs(p ...access.Permission) rule { return rule{needs: p} }

// general is the row of what is done to nothing in particular.
func general(p ...access.Permission) rows { return rows{inGeneral: needs(p...)} }

// one is the rows of what is done to one kind of thing, and in general.
func one(k id.Kind, r rule) rows { return rows{inGeneral: {needs: r.needs, feature: r.feature}, k: r} }

// hear is what hearing a recording takes: of a conversation the one, of a voicemail the other.
var hear = []access.Permission{access.RecordingListen, access.VoicemailListen}

// read is what reading a transcript takes: of a conversation the one, of a voicemail either.
var read = []access.Permission{access.TranscriptView, access.VoicemailListen}

// actions is the table: each action with what it is done to.
var actions = map[Action]rows{
	View: {
		id.Contact: needs(access.ContactView), id.Record: needs(access.ContactView), id.Call: {}, id.Recording: {oneOf: hear},
		id.Voicemail: needs(access.VoicemailListen), id.Thread: needs(access.SMSView), id.Message: needs(access.SMSView),
		id.FollowUp: needs(access.FollowUpView), id.Transcript: {oneOf: read}, id.User: {},
	},
	ViewContactDetails: one(id.Contact, rule{needs: []access.Permission{access.ContactView}, option: details, may: unmasked}),

	Answer: general(access.CallReceive),
	Call: {
		inGeneral:  needs(access.CallMake),
		id.Contact: {needs: []access.Permission{access.CallMake}, early: true, may: reachable},
		id.Record:  {needs: []access.Permission{access.CallMake}, early: true, may: reachable},
		id.User:    {needs: []access.Permission{access.CallInternal}, option: admins, may: colleague},
	},
	SMS: {
		inGeneral:  needs(access.SMSSend),
		id.Contact: {needs: []access.Permission{access.SMSSend}, early: true, may: reachable},
		id.Record:  {needs: []access.Permission{access.SMSSend}, early: true, may: writable},
		id.Thread:  {needs: []access.Permission{access.SMSSend, access.SMSView}, early: true, may: answerable},
	},
	SendInvoice: one(id.Record, rule{needs: []access.Permission{access.SMSSend, access.SMSSendInvoice}, early: true, may: invoice}),
	SendBulk:    general(access.SMSBulk),

	HangUp:         {id.Call: {may: hangsUp}},
	Hold:           {id.Call: {may: takesPart}},
	Transfer:       one(id.Call, rule{needs: []access.Permission{access.CallTransfer}, may: moves}),
	AddParticipant: one(id.Call, rule{needs: []access.Permission{access.CallMake}, feature: tenant.Conference, may: takesPart}),
	PauseRecording: {id.Call: {feature: tenant.RecordingPause, may: pauses}},
	Monitor:        one(id.Call, rule{needs: []access.Permission{access.CallMonitor}, may: listensIn}),
	DropVoicemail:  one(id.Call, rule{needs: []access.Permission{access.CallMake}, feature: tenant.VoicemailDrop, may: drops}),

	Listen: {
		inGeneral:    needs(access.RecordingListen),
		id.Recording: {oneOf: hear, may: audible}, id.Voicemail: needs(access.VoicemailListen),
	},
	DeleteRecording:  one(id.Recording, rule{needs: []access.Permission{access.RecordingDelete}, may: deletable}),
	ExportRecordings: general(access.RecordingExport),
	DeleteVoicemail:  one(id.Voicemail, rule{needs: []access.Permission{access.VoicemailDelete}, may: kept}),
	MarkVoicemail:    one(id.Voicemail, needs(access.VoicemailListen)),
	EditTranscript:   one(id.Transcript, rule{needs: []access.Permission{access.TranscriptEdit, access.TranscriptView}, may: there}),
	DeleteTranscript: one(id.Transcript, rule{needs: []access.Permission{access.TranscriptDelete, access.TranscriptView}, may: kept}),

	WorkOnFollowUp: one(id.FollowUp, rule{needs: []access.Permission{access.FollowUpView}, may: worksOn}),
	AssignFollowUp: one(id.FollowUp, rule{needs: []access.Permission{access.FollowUpView}, may: worksOn}),

	CreateContact: general(access.ContactEdit),
	CreateRecord:  general(access.ContactEdit),
	Edit: {
		inGeneral: needs(access.ContactEdit), id.Contact: needs(access.ContactEdit, access.ContactView), id.Record: needs(access.ContactEdit, access.ContactView),
		id.User: {may: edits},
	},
	DeleteContact:     one(id.Contact, rule{needs: []access.Permission{access.ContactDelete}, blind: true, may: kept}),
	MergeContact:      one(id.Contact, rule{needs: []access.Permission{access.ContactDelete, access.ContactEdit, access.ContactView}, may: merges}),
	ImportContacts:    general(access.ContactImport),
	ReportRecordEvent: one(id.Record, rule{needs: []access.Permission{access.RecordEventAdd}, blind: true, may: reports}),
	NotifyOnTheWay:    one(id.Record, rule{needs: []access.Permission{access.RecordEventAdd}, blind: true, option: notifies, may: reports}),

	AssignThread:  one(id.Thread, needs(access.SMSSend)),
	CloseThread:   one(id.Thread, needs(access.SMSSend)),
	RelinkMessage: one(id.Message, needs(access.SMSRelink)),
	DeleteMessage: one(id.Message, rule{needs: []access.Permission{access.SMSDelete}, may: over}),

	ViewLive: general(access.LiveView), ViewReports: general(access.ReportView), ExportReports: general(access.ReportExport),
	ViewCosts: general(access.CostView), ExplainRoute: general(access.RouteExplain), ManageSettings: general(access.SettingsManage),
	ManageUsers: general(access.UserManage), ManageNumbers: general(access.NumberManage), ManageConnections: general(access.ConnectionManage),
	ManageAPIKeys: general(access.APIKeyManage), ManageTemplates: general(access.TemplateManage), ManageAutomations: general(access.AutomationManage),
	ManageWebhooks: general(access.WebhookManage), ManageRetention: general(access.RetentionManage), ViewAuditLog: general(access.AuditView),
	Diagnose: general(access.Diagnose),
}

// Actions are the actions of the table, and the kinds of thing that each is asked of.
func Actions() map[Action][]id.Kind {
	out := make(map[Action][]id.Kind, len(actions))
	for a, r := range actions {
		for k := range r {
			out[a] = append(out[a], k)
		}
	}
	return out
}

func details(who access.Actor, _ *thing) access.FieldworkerOption {
	if who.HidesContactDetails() {
		return access.DisplayContactDetails
	}
	return ""
}

func admins(who access.Actor, x *thing) access.FieldworkerOption {
	if x.admin && !who.MayCallAdmins() {
		return access.CallAdmins
	}
	return ""
}

func notifies(who access.Actor, _ *thing) access.FieldworkerOption {
	if !who.MayNotifyOnTheWay() {
		return access.NotifyOnTheWay
	}
	return ""
}

func unmasked(_ access.Actor, x *thing) (access.Permission, string) {
	if x.masked {
		return "", "the booking has a masked number: its customer's own is hidden"
	}
	return "", ""
}

func reachable(_ access.Actor, x *thing) (access.Permission, string) {
	if x.contact.IsZero() {
		return "", "the record is about nobody; give it a contact"
	}
	if !x.phone {
		return "", "the contact has no phone; give it one"
	}
	return "", ""
}

func writable(who access.Actor, x *thing) (access.Permission, string) {
	if x.invoice && !who.Can(access.SMSSendInvoice) {
		return access.SMSSendInvoice, ""
	}
	return reachable(who, x)
}

func answerable(_ access.Actor, x *thing) (access.Permission, string) {
	if !x.phone {
		return "", "the other end cannot receive replies; write to a phone number instead"
	}
	return "", ""
}

func invoice(who access.Actor, x *thing) (access.Permission, string) {
	if !x.invoice {
		return "", "the record is no invoice"
	}
	return reachable(who, x)
}

func colleague(_ access.Actor, x *thing) (access.Permission, string) {
	switch {
	case x.self:
		return "", "you cannot call yourself"
	case !x.active:
		return "", "they are not an active user"
	}
	return "", ""
}

func hangsUp(who access.Actor, x *thing) (access.Permission, string) {
	if !x.place.Took && !x.place.Talks && !who.Can(access.CallControl) {
		return access.CallControl, ""
	}
	return "", ""
}

func takesPart(who access.Actor, x *thing) (access.Permission, string) {
	switch {
	case !x.live || !x.answered:
		return "", "the call is " + x.status
	case x.place.Talks || who.Can(access.CallControl):
		return "", ""
	case x.place.Talked:
		return "", "you have left the call"
	}
	return access.CallControl, ""
}

func moves(who access.Actor, x *thing) (access.Permission, string) {
	p, why := takesPart(who, x)
	if p == "" && why == "" && !x.place.MayMove {
		return "", "calls of this number are not transferred: its setting allowTransfer is off"
	}
	return p, why
}

func pauses(who access.Actor, x *thing) (access.Permission, string) {
	p, why := takesPart(who, x)
	switch {
	case p != "" || why != "":
	case x.paused:
		why = "the recording is paused already"
	case !x.recorded:
		why = "the call is not being recorded"
	}
	return p, why
}

func listensIn(_ access.Actor, x *thing) (access.Permission, string) {
	switch {
	case !x.live || !x.answered:
		return "", "the call is " + x.status
	case x.place.Talks:
		return "", "you take part in this call"
	}
	return "", ""
}

func drops(_ access.Actor, x *thing) (access.Permission, string) {
	switch {
	case !x.outbound:
		return "", "this is no outbound call: it has no answering machine"
	case !x.place.Took:
		return "", "only who is on the call can do this"
	case !x.live:
		return "", "the call is " + x.status
	}
	return "", ""
}

// there is for what leaves something behind when it is deleted.
func there(_ access.Actor, x *thing) (access.Permission, string) {
	if x.gone {
		return "", "it was deleted"
	}
	return "", ""
}

func audible(who access.Actor, x *thing) (access.Permission, string) {
	if x.waits && !x.gone {
		return "", "its audio is not here yet"
	}
	return there(who, x)
}

// kept is for what a legal hold keeps from being deleted.
func kept(_ access.Actor, x *thing) (access.Permission, string) {
	if x.held {
		return "", "a legal hold keeps it"
	}
	return "", ""
}

// merges is for a contact that goes into another.
func merges(_ access.Actor, x *thing) (access.Permission, string) {
	if x.ownHold {
		return "", "a legal hold keeps it; others can be merged into it"
	}
	return "", ""
}

func over(who access.Actor, x *thing) (access.Permission, string) {
	if p, why := kept(who, x); why != "" {
		return p, why
	}
	if x.live {
		return "", "it is still under way; cancel it or wait until it is sent"
	}
	return "", ""
}

func deletable(who access.Actor, x *thing) (access.Permission, string) {
	if x.ofVoicemail {
		return "", "this is the audio of a voicemail; delete the voicemail"
	}
	if p, why := kept(who, x); why != "" {
		return p, why
	}
	switch {
	case x.live:
		return "", "it is still being recorded; end the call first"
	}
	return "", ""
}

func worksOn(who access.Actor, x *thing) (access.Permission, string) {
	if !x.owner.IsZero() && x.owner != who.UserID && !who.Can(access.FollowUpManage) {
		return access.FollowUpManage, ""
	}
	return "", ""
}

func edits(who access.Actor, x *thing) (access.Permission, string) {
	if !x.self && !who.Can(access.UserManage) {
		return access.UserManage, ""
	}
	if x.self {
		return "", ""
	}
	for _, p := range x.permissions {
		if !who.Can(p) {
			return p, "" // nobody changes somebody whose role is wider
		}
	}
	if !who.Visibility.Covers(x.visibility) {
		return "", "you cannot change somebody whose role sees further than your own"
	}
	return "", ""
}

// reports is for records of one's own, of whoever works in the field or sees no others.
func reports(who access.Actor, x *thing) (access.Permission, string) {
	if (who.IsFieldworker || who.SeesOwnContacts()) && x.owner != who.UserID {
		return "", unseen
	}
	return "", ""
}
