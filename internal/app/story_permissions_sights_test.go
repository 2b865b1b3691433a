package app_test

import (
	"slices"

	"switchboard/internal/id"
)

// sight is one row of the table of who sees what: everything below is made from it.
type sight struct {
	kind id.Kind
	// anyOf are the permissions of which one is needed; none: everybody of the organization.
	anyOf []string
	// also is one that is needed besides.
	also string
	// how far the thing is seen.
	reach reach
	// own says that what is one's own is seen without the permission.
	own bool
}

type reach int

const (
	wide     reach = iota // by all of the organization
	bySight               // within the role's visibility
	asBase                // contacts and records: one's own, or all (R243)
	ofMaker               // one's own, and all by who sees the organization
	whole                 // by who sees the organization
	personal              // only one's own, whatever the role
)

// sights has a row for each type of the contract that is a Node.
var sights = map[string]sight{
	"Organization": {kind: id.Organization}, "User": {kind: id.User}, "Role": {kind: id.Role}, "Branch": {kind: id.Branch}, "Team": {kind: id.Team},
	"OpeningHours": {kind: id.Schedule}, "PhoneNumber": {kind: id.PhoneNumber}, "Audio": {kind: id.Upload},
	"ApiKey":           {kind: id.APIKey, anyOf: []string{"API_KEY_MANAGE"}},
	"Menu":             {kind: id.Menu, anyOf: []string{"NUMBER_MANAGE"}},
	"IgnoredNumber":    {kind: id.IgnoredNumber, anyOf: []string{"NUMBER_MANAGE"}},
	"TwilioConnection": {kind: id.Connection, anyOf: []string{"CONNECTION_MANAGE"}},
	"SipDomain":        {kind: id.SIPDomain, anyOf: []string{"CONNECTION_MANAGE"}},
	"WebhookEndpoint":  {kind: id.WebhookEndpoint, anyOf: []string{"WEBHOOK_MANAGE"}},
	"Automation":       {kind: id.Automation, anyOf: []string{"AUTOMATION_MANAGE"}},
	"AutomationRun":    {kind: id.AutomationRun, anyOf: []string{"AUTOMATION_MANAGE"}},
	"MessageTemplate":  {kind: id.Template, anyOf: []string{"SMS_SEND", "TEMPLATE_MANAGE", "AUTOMATION_MANAGE"}},
	"BulkMessage":      {kind: id.Bulk, anyOf: []string{"SMS_BULK"}, reach: ofMaker},
	"DropMessage":      {kind: id.DropMessage, anyOf: []string{"CALL_MAKE", "SETTINGS_MANAGE"}},
	"MaskedPair":       {kind: id.MaskedPair, anyOf: []string{"CONTACT_VIEW"}, reach: asBase},
	"Campaign":         {kind: id.Campaign, anyOf: []string{"CONTACT_VIEW"}},
	"Device":           {kind: id.Device, anyOf: []string{"USER_MANAGE"}, own: true},
	"ContactImport":    {kind: id.Import, anyOf: []string{"CONTACT_IMPORT"}, also: "SETTINGS_MANAGE"}, // the sample is another's
	"Export":           {kind: id.Export, anyOf: []string{"AUDIT_VIEW"}, own: true},
	"AuditEntry":       {kind: id.Audit, anyOf: []string{"AUDIT_VIEW"}},
	"Notification":     {kind: id.Notification, reach: personal},
	"PushSubscription": {kind: id.PushSubscription, reach: personal},
	"CostCap":          {kind: id.CostCap, anyOf: []string{"COST_VIEW"}, reach: whole}, // the sample is the organization's
	"RetentionRule":    {kind: id.RetentionRule, anyOf: []string{"RETENTION_MANAGE"}, reach: whole},
	"RetentionRun":     {kind: id.RetentionRun, anyOf: []string{"RETENTION_MANAGE"}, reach: whole},
	"LegalHold":        {kind: id.LegalHold, anyOf: []string{"RETENTION_MANAGE"}, reach: whole},
	"Finding":          {kind: id.Finding, anyOf: []string{"DIAGNOSE"}},

	"Contact":        {kind: id.Contact, anyOf: []string{"CONTACT_VIEW"}, reach: asBase},
	"Record":         {kind: id.Record, anyOf: []string{"CONTACT_VIEW"}, reach: asBase},
	"RecordEvent":    {kind: id.RecordEvent, anyOf: []string{"CONTACT_VIEW"}, reach: asBase},
	"Call":           {kind: id.Call, anyOf: []string{"CALL_VIEW"}, reach: bySight, own: true},
	"Recording":      {kind: id.Recording, anyOf: []string{"RECORDING_LISTEN"}, reach: bySight},
	"Voicemail":      {kind: id.Voicemail, anyOf: []string{"VOICEMAIL_LISTEN"}, reach: bySight},
	"SmsThread":      {kind: id.Thread, anyOf: []string{"SMS_VIEW"}, reach: bySight},
	"Message":        {kind: id.Message, anyOf: []string{"SMS_VIEW"}, reach: bySight},
	"FollowUp":       {kind: id.FollowUp, anyOf: []string{"FOLLOW_UP_VIEW"}, reach: bySight},
	"Transcript":     {kind: id.Transcript, anyOf: []string{"TRANSCRIPT_VIEW", "VOICEMAIL_LISTEN"}, reach: bySight}, // the sample is a voicemail's
	"TranscriptNote": {kind: id.TranscriptNote, anyOf: []string{"TRANSCRIPT_VIEW"}, reach: bySight},
}

// relation is how a thing stands to the person who looks.
type relation string

const (
	mine relation = "theirs"
	near relation = "of their branch"
	far  relation = "of another branch"
)

// onlooker is a role with what an option leaves of it.
type onlooker struct {
	name        string
	role        string
	visibility  string
	permissions []string
	fieldworker bool
	options     []string // narrowed
}

// effective are the permissions that the options leave.
func (o onlooker) effective() []string {
	if !o.fieldworker {
		return o.permissions
	}
	return slices.DeleteFunc(slices.Clone(o.permissions), func(p string) bool {
		return slices.Contains(o.options, "TWO_WAY_SMS") && slices.Contains([]string{"SMS_SEND", "SMS_VIEW", "SMS_BULK", "SMS_RELINK", "SMS_SEND_INVOICE", "SMS_DELETE"}, p) ||
			slices.Contains(o.options, "CALL_CUSTOMERS") && p == "CALL_MAKE" || slices.Contains(o.options, "SEND_INVOICE_BY_SMS") && p == "SMS_SEND_INVOICE"
	})
}

// sees is what the table says.
func (o onlooker) sees(s sight, r relation) bool {
	may := len(s.anyOf) == 0 || slices.ContainsFunc(o.effective(), func(p string) bool { return slices.Contains(s.anyOf, p) })
	may = may && (s.also == "" || slices.Contains(o.effective(), s.also))
	within := r == mine || o.visibility == "ORGANIZATION" || o.visibility == "BRANCH" && r == near
	switch s.reach {
	case personal:
		return r == mine
	case ofMaker:
		return may && (r == mine || o.visibility == "ORGANIZATION")
	case whole:
		return may && o.visibility == "ORGANIZATION"
	case asBase:
		return may && (r == mine || o.visibility != "OWN" && !(o.fieldworker && slices.Contains(o.options, "WHOLE_CUSTOMER_BASE")))
	case bySight:
		return may && within || s.own && r == mine
	}
	return may || s.own && r == mine
}
