package app_test

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"switchboard/graph"
	"switchboard/internal/db"
	"switchboard/internal/demo"
	"switchboard/internal/id"
)

// owned are the objects of one organization, an id of each kind.
type owned struct {
	*story
	ids   map[id.Kind]string
	email string // of the administrator

	everything string // SQL that sums up all tables
}

// furnish gives an organization one of everything. Whatever can have a name has the word.
func furnish(s *story, word, e164 string) *owned {
	s.t.Helper()
	o := &owned{story: s, ids: map[id.Kind]string{}, email: "admin@" + strings.ToLower(word) + ".test"}
	var me struct {
		Viewer struct {
			SessionID string
			User      ref
		}
	}
	s.Do(`{ viewer { sessionId user { id } } }`, nil, &me)
	branch := s.Branch(word + " branch")
	line := s.Number(e164, demo.Vars{"name": word + " line", "branchId": branch, "recording": demo.Vars{"incoming": "FROM_ANSWER"}, "voicemail": demo.Vars{"isEnabled": true}})
	var role struct{ RoleCreate struct{ Role ref } }
	s.Do(`mutation($n: String!) { roleCreate(input: {name: $n, permissions: [CALL_VIEW, CALL_RECEIVE, SMS_VIEW, SMS_SEND, VOICEMAIL_LISTEN, FOLLOW_UP_VIEW], visibility: BRANCH}) { role { id } userErrors { code field message } } }`,
		demo.Vars{"n": word + " role"}, &role)
	bob := s.User(strings.ToLower(word)+"bob", "OFFICE", "+12025550158", branch)
	s.change(bob, demo.Vars{"roleId": role.RoleCreate.Role.ID})
	admin := s.person(me.Viewer.User.ID)
	s.change(admin, demo.Vars{"branchIds": []string{branch}})
	device := s.Device(admin, word+" device")
	bob.Client = s.SignIn(strings.ToLower(word) + "bob")
	bobs := s.Device(bob, word+" device of bob")
	known := s.contact("CUSTOMER", word+" contact", customer, demo.Vars{"assignedUserId": bob.ID})
	camp := s.campaign(word+" campaign", bob.ID, known)
	var record struct{ RecordCreate struct{ Record ref } }
	s.Do(`mutation($i: RecordCreateInput!) { recordCreate(input: $i) { record { id } userErrors { code field message } } }`,
		demo.Vars{"i": demo.Vars{"kind": "BOOKING", "title": word + " record", "contactId": known, "assignedUserId": bob.ID}}, &record)
	template := s.made("messageTemplateCreate", "MessageTemplateCreateInput", "messageTemplate", demo.Vars{
		"kind": "TEMPLATE", "name": word + " template", "body": word + " hello {{contact.firstName|there}}", "purpose": "OTHER"})
	rule := s.made("automationCreate", "AutomationCreateInput", "automation", demo.Vars{
		"name": word + " automation", "trigger": "JOB_ACCEPTED", "templateId": template, "quietHours": nil, "isEnabled": true})
	happened, _ := s.happens(s.Admin, demo.Vars{"recordId": record.RecordCreate.Record.ID, "event": "JOB_ACCEPTED", "note": word})
	var key struct{ ApiKeyCreate struct{ ApiKey ref } }
	s.Do(`mutation($r: ID!, $n: String!) { apiKeyCreate(input: {name: $n, roleId: $r}) { apiKey { id } userErrors { code field message } } }`,
		demo.Vars{"r": role.RoleCreate.Role.ID, "n": word + " key"}, &key)

	sid := s.dial(customer, e164)
	s.speakAndHangUp(sid, secs(5))
	s.Settle()
	second := s.dial(customer, e164) // one that bob answers
	s.answer(bobs)
	s.hangUp(second)
	c := s.call(sid)
	s.Do(`mutation($c: ID!, $r: ID!) { callUpdate(id: $c, input: {recordId: $r}) { userErrors { code field message } } }`, demo.Vars{"c": c.ID, "r": record.RecordCreate.Record.ID}, nil)
	s.text(customer, e164, word+" text")
	s.Settle()
	thread := s.threads(s.Admin)[0]
	leg := c.leg(bobs)
	if c.Voicemail == nil || leg.ID == "" || len(thread.Messages.Nodes) == 0 {
		s.t.Fatalf("the organization %s is not furnished: %s", word, c)
	}
	s.Do(`mutation($t: ID!, $u: ID!) { smsThreadAssign(id: $t, userId: $u) { userErrors { code field message } } }`, demo.Vars{"t": thread.ID, "u": bob.ID}, nil)
	s.Must(bob.Client.Do(s.t.Context(), `mutation($i: MessageSendInput!) { messageSend(input: $i) { userErrors { code field message } } }`,
		demo.Vars{"i": demo.Vars{"threadId": thread.ID, "body": word + " answer"}}, nil))
	s.Do(`mutation($i: MessageSendInput!) { messageSend(input: $i) { userErrors { code field message } } }`,
		demo.Vars{"i": demo.Vars{"threadId": thread.ID, "body": word + " about it", "recordId": record.RecordCreate.Record.ID}}, nil)
	many := s.made("bulkMessageCreate", "BulkMessageCreateInput", "bulkMessage", demo.Vars{
		"name": word + " bulk", "body": word + " to many", "audience": demo.Vars{"recipients": []demo.Vars{{"contactId": known}}}})
	s.Settle()
	var ran struct {
		Automation struct{ Runs struct{ Nodes []ref } }
	}
	s.Do(`query($a: ID!) { automation(id: $a) { runs { nodes { id } } } }`, demo.Vars{"a": rule}, &ran)
	team := s.made("teamCreate", "TeamCreateInput", "team", demo.Vars{"name": word + " team", "userIds": []string{bob.ID}})
	s.set(line, demo.Vars{"routing": demo.Vars{"teamId": team}})
	hours := s.made("openingHoursCreate", "OpeningHoursCreateInput", "openingHours", demo.Vars{"name": word + " hours", "week": []demo.Vars{}})
	menu := s.made("menuCreate", "MenuCreateInput", "menu", demo.Vars{"name": word + " menu", "promptText": word, "options": []demo.Vars{{"key": "1", "label": word, "to": demo.Vars{"kind": "VOICEMAIL"}}}})
	var rules struct {
		IgnoredNumberAdd struct{ IgnoredNumbers []ref }
	}
	s.Do(`mutation($n: String!) { ignoredNumberAdd(input: {rules: ["+14844608117"], note: $n}) { ignoredNumbers { id } userErrors { code field message } } }`, demo.Vars{"n": word}, &rules)
	saved := s.made("dropMessageCreate", "DropMessageCreateInput", "dropMessage", demo.Vars{"name": word + " message", "text": word})
	pair := s.made("maskedPairCreate", "MaskedPairCreateInput", "maskedPair", demo.Vars{"recordId": record.RecordCreate.Record.ID})
	_, err := s.Emulator.AddSIPDomain(s.AccountSID, strings.ToLower(word)+".sip.twilio.com", nil)
	s.Must(err)
	var domains struct{ SipDomainsImport struct{ SipDomains []ref } }
	s.Do(`mutation($c: ID!) { sipDomainsImport(connectionId: $c) { sipDomains { id } userErrors { code field message } } }`, demo.Vars{"c": s.ConnectionID}, &domains)
	domain := domains.SipDomainsImport.SipDomains[0].ID
	s.Do(`mutation($d: ID!) { sipDomainUpdate(id: $d, isEnabled: true) { userErrors { code field message } } }`, demo.Vars{"d": domain}, nil)
	hook := s.made("webhookEndpointCreate", "WebhookEndpointCreateInput", "webhookEndpoint", demo.Vars{
		"url": "http://127.0.0.1:1025/" + word, "roleId": s.Role("ADMIN"), "description": word, "kinds": []string{"WEBHOOK_ENDPOINT_DISABLED"}})
	var tested struct {
		WebhookEndpointTest struct{ WebhookDelivery ref }
	}
	s.Do(`mutation($h: ID!) { webhookEndpointTest(id: $h) { webhookDelivery { id } userErrors { code field message } } }`, demo.Vars{"h": hook}, &tested)
	s.Settle()
	if len(ran.Automation.Runs.Nodes) != 1 {
		s.t.Fatalf("the automation of %s ran %d times", word, len(ran.Automation.Runs.Nodes))
	}
	s.settled()
	o.afterwards(word, c)
	for k, x := range map[id.Kind]string{
		id.Template: template, id.Automation: rule, id.AutomationRun: ran.Automation.Runs.Nodes[0].ID, id.Bulk: many, id.Media: s.file(word+".gif", dot),
		id.WebhookEndpoint: hook, id.WebhookDelivery: tested.WebhookEndpointTest.WebhookDelivery.ID,
		id.DropMessage: saved, id.MaskedPair: pair, id.SIPDomain: domain,
		id.Team: team, id.Schedule: hours, id.Menu: menu, id.IgnoredNumber: rules.IgnoredNumberAdd.IgnoredNumbers[0].ID,
		id.Organization: s.OrganizationID, id.User: bob.ID, id.Role: role.RoleCreate.Role.ID, id.Session: me.Viewer.SessionID, id.APIKey: key.ApiKeyCreate.ApiKey.ID,
		id.Device: device, id.Connection: s.ConnectionID, id.PhoneNumber: line, id.Branch: branch, id.Contact: known, id.Campaign: camp,
		id.Record: record.RecordCreate.Record.ID, id.RecordEvent: happened, id.Call: c.ID, id.Leg: leg.ID, id.Recording: c.Voicemail.Recording.ID, id.Voicemail: c.Voicemail.ID,
		id.Thread: thread.ID, id.Message: thread.Messages.Nodes[0].ID, id.Upload: s.upload(word+"-audio", wav()),
	} {
		o.ids[k] = x
	}
	return o
}

// afterwards adds what there is after a call that became a voicemail.
func (o *owned) afterwards(word string, c callView) {
	o.t.Helper()
	first := func(query, of string) string {
		o.t.Helper()
		out := map[string]struct{ Nodes []ref }{}
		o.Do(query, nil, &out)
		if len(out[of].Nodes) == 0 {
			o.t.Fatalf("the organization %s has no %s", word, of)
		}
		return out[of].Nodes[0].ID
	}
	o.ids[id.FollowUp] = first(`{ followUps { nodes { id } } }`, "followUps")
	o.ids[id.Notification] = first(`{ notifications { nodes { id } } }`, "notifications")
	o.ids[id.Transcript] = o.made("transcriptCreate", "TranscriptCreateInput", "transcript", demo.Vars{"recordingId": c.Voicemail.Recording.ID, "language": "en-US"})
	var note struct{ TranscriptNoteAdd struct{ TranscriptNote ref } }
	o.Do(`mutation($t: ID!, $i: TranscriptNoteInput!) { transcriptNoteAdd(id: $t, input: $i) { transcriptNote { id } userErrors { code field message } } }`,
		demo.Vars{"t": o.ids[id.Transcript], "i": demo.Vars{"text": word + " note"}}, &note)
	o.ids[id.TranscriptNote] = note.TranscriptNoteAdd.TranscriptNote.ID
	o.ids[id.LegalHold] = o.hold(o.contact("LEAD", word+" held", "+12025550171", nil), word+" claim")
	rule, _ := o.rule("MESSAGE_MEDIA", 3650, true, o.preview("MESSAGE_MEDIA", 3650).Confirmation)
	o.ids[id.RetentionRule] = rule
	var run struct{ RetentionRunStart struct{ Run ref } }
	o.Do(`mutation($r: ID!) { retentionRunStart(ruleId: $r) { run { id } userErrors { code field message } } }`, demo.Vars{"r": rule}, &run)
	o.ids[id.RetentionRun] = run.RetentionRunStart.Run.ID
	o.ids[id.Export] = o.made("exportCreate", "ExportCreateInput", "export", demo.Vars{"kind": "CALLS"})
	o.ids[id.CostCap] = o.made("costCapSet", "CostCapSetInput", "costCap", demo.Vars{"scope": "ORGANIZATION", "period": "MONTH", "amountMinor": 100000, "currency": "USD", "action": "WARN"})
	file := o.posted("?for=import&name=contacts.csv", "text/csv", []byte("name,phone\n"+word+" imported,+12025550188\n"))
	o.ids[id.Import] = o.made("contactImportCreate", "ContactImportCreateInput", "contactImport", demo.Vars{"uploadId": file, "dryRun": true, "kind": "CUSTOMER"})
	o.ids[id.PushSubscription] = o.made("pushSubscriptionCreate", "PushSubscriptionCreateInput", "pushSubscription", demo.Vars{"endpoint": "https://push.example.com/one",
		"p256dh": "BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM", "auth": "tBHItJI5svbpez7KI4CCXg"})
	o.Do(`query($n: ID!) { diagnose(input: {phoneNumberId: $n}) { checks { code } } }`, demo.Vars{"n": c.PhoneNumber.ID}, nil)
	o.settled()
	o.ids[id.Finding] = first(`{ findings { nodes { id } } }`, "findings")
}

// kindOf says what an argument of type ID names. A new argument needs a line here, or
// a name that says it.
func kindOf(field string, path []string) (id.Kind, bool) {
	kinds := map[string]id.Kind{
		"phoneNumberId": id.PhoneNumber, "branchId": id.Branch, "branchIds": id.Branch, "contactId": id.Contact, "contactIds": id.Contact, "recordId": id.Record,
		"userId": id.User, "userIds": id.User, "assignedUserId": id.User, "ownerId": id.User, "notifiedUserIds": id.User, "deviceId": id.Device, "campaignId": id.Campaign,
		"threadId": id.Thread, "connectionId": id.Connection, "roleId": id.Role, "inboundPhoneNumberId": id.PhoneNumber, "organization": id.Organization,
		"welcomeAudioId": id.Upload, "farewellAudioId": id.Upload, "greetingAudioId": id.Upload,
		"teamId": id.Team, "openingHoursId": id.Schedule, "menuId": id.Menu, "audioId": id.Upload, "promptAudioId": id.Upload, "holdMusicId": id.Upload,
		"callId": id.Call, "legId": id.Leg, "dropMessageId": id.DropMessage, "sipDomainId": id.SIPDomain,
		"templateId": id.Template, "mediaIds": id.Media, "bulkMessageId": id.Bulk, "automationId": id.Automation, "smsAssigneeId": id.User, "mmsAssigneeId": id.User,
		"Query.automationDryRun.input.id": id.Automation,
		"accountId":                       id.Contact, "from": id.Contact, "escalateToUserId": id.User, "escalateToRoleId": id.Role, "phoneNumberIds": id.PhoneNumber, "recordingId": id.Recording,
		"subjectId": id.Contact, "ruleId": id.RetentionRule, "actorId": id.User, "messageId": id.Message, "uploadId": id.Upload,
		"endpointId": id.WebhookEndpoint, "deliveryId": id.WebhookDelivery,
		"Mutation.deviceRegister.input.id": id.Device, "Mutation.deviceReport.input.id": id.Device,
	}
	fields := map[string]id.Kind{ // whose argument is just id
		"Query.call": id.Call, "Query.voicemail": id.Voicemail, "Query.contact": id.Contact, "Query.record": id.Record, "Query.smsThread": id.Thread,
		"Query.branch": id.Branch, "Query.phoneNumber": id.PhoneNumber, "Query.user": id.User, "Subscription.callChanged": id.Call,
		"Mutation.callDecline": id.Call, "Mutation.callHangUp": id.Call, "Mutation.callUpdate": id.Call, "Mutation.voicemailMarkHeard": id.Voicemail,
		"Mutation.contactUpdate": id.Contact, "Mutation.recordUpdate": id.Record, "Mutation.branchUpdate": id.Branch, "Mutation.branchDelete": id.Branch,
		"Mutation.twilioConnectionUpdate": id.Connection, "Mutation.twilioConnectionImport": id.Connection, "Mutation.twilioConnectionDisconnect": id.Connection,
		"Mutation.phoneNumberUpdate": id.PhoneNumber, "Mutation.phoneNumberSetDefault": id.PhoneNumber, "Mutation.phoneNumberDisconnect": id.PhoneNumber,
		"Mutation.phoneNumberWebhooksWrite": id.PhoneNumber, "Mutation.sessionEnd": id.Session, "Mutation.apiKeyRevoke": id.APIKey,
		"Mutation.userUpdate": id.User, "Mutation.userDisable": id.User, "Mutation.userEnable": id.User, "Mutation.roleUpdate": id.Role,
		"Query.team": id.Team, "Mutation.teamUpdate": id.Team, "Mutation.teamDelete": id.Team, "Mutation.openingHoursUpdate": id.Schedule, "Mutation.openingHoursDelete": id.Schedule,
		"Mutation.menuUpdate": id.Menu, "Mutation.menuDelete": id.Menu, "Mutation.ignoredNumberRemove": id.IgnoredNumber,
		"Mutation.deviceTokenRefresh": id.Device, "Mutation.deviceRemove": id.Device,
		"Mutation.dropMessageUpdate": id.DropMessage, "Mutation.dropMessageDelete": id.DropMessage, "Query.maskedPair": id.MaskedPair,
		"Mutation.maskedPairEnd": id.MaskedPair, "Mutation.sipDomainUpdate": id.SIPDomain, "Mutation.voicemailDrop": id.Call, "Mutation.callAnswererSet": id.Call,
	}
	for kind, names := range map[id.Kind][]string{
		id.Message:     {"Query.message", "Query.messageTwilioLog", "Mutation.messageCancel", "Mutation.messageRetry", "Mutation.messageRelink"},
		id.Thread:      {"Mutation.smsThreadAssign", "Mutation.smsThreadRead", "Mutation.smsThreadClose", "Mutation.smsThreadReopen"},
		id.Bulk:        {"Query.bulkMessage", "Subscription.bulkMessageChanged", "Mutation.bulkMessagePause", "Mutation.bulkMessageResume", "Mutation.bulkMessageCancel"},
		id.Template:    {"Query.messageTemplate", "Mutation.messageTemplateUpdate", "Mutation.messageTemplateArchive"},
		id.Automation:  {"Query.automation", "Query.automationExplain", "Mutation.automationUpdate", "Mutation.automationDelete"},
		id.PhoneNumber: {"Mutation.numberMessagingUpdate", "Mutation.numberMessagingRefresh", "Mutation.phoneNumberTranscriptionSet"},

		id.Call: {"Mutation.callSave"}, id.Campaign: {"Mutation.campaignUpdate", "Mutation.campaignMembersAdd", "Mutation.campaignMembersRemove"},
		id.Contact: {"Mutation.contactMerge"}, id.CostCap: {"Mutation.costCapRemove"}, id.Export: {"Query.export", "Mutation.exportCancel"},
		id.Finding: {"Query.finding", "Mutation.findingAcknowledge", "Mutation.findingSnooze"}, id.Recording: {"Query.recording"},
		id.FollowUp:  {"Query.followUp", "Mutation.followUpAssign", "Mutation.followUpCallBack", "Mutation.followUpReopen", "Mutation.followUpResolve", "Mutation.followUpUpdate"},
		id.LegalHold: {"Mutation.legalHoldRelease"}, id.RetentionRule: {"Mutation.retentionRuleDelete"}, id.RetentionRun: {"Mutation.retentionRunCancel"}, id.Import: {"Query.contactImport", "Mutation.contactImportCancel"}, id.PushSubscription: {"Mutation.pushSubscriptionDelete"}, id.Voicemail: {"Mutation.voicemailCallBack"},
		id.Transcript:     {"Query.transcript", "Mutation.transcriptNoteAdd", "Mutation.transcriptRetry", "Mutation.transcriptSegmentsUpdate", "Mutation.transcriptUpdate"},
		id.TranscriptNote: {"Mutation.transcriptNoteDelete", "Mutation.transcriptNoteReopen", "Mutation.transcriptNoteResolve"},
	} {
		for _, name := range names {
			fields[name] = kind
		}
	}
	for _, name := range []string{"Update", "Delete", "SecretRotate", "Enable", "Disable", "Test"} {
		fields["Mutation.webhookEndpoint"+name] = id.WebhookEndpoint
	}
	fields["Query.webhookEndpoint"] = id.WebhookEndpoint
	for name, kind := range map[string]id.Kind{"callsRelink": id.Call, "contactAssign": id.Contact, "contactDelete": id.Contact, "messagesDelete": id.Message,
		"notificationsMarkRead": id.Notification, "recordAssign": id.Record, "recordDelete": id.Record, "recordingsDelete": id.Recording,
		"transcriptsDelete": id.Transcript, "voicemailsAssign": id.Voicemail, "voicemailsDelete": id.Voicemail} {
		kinds["Mutation."+name+".ids"] = kind
	}
	kinds["Query.findings.filter.subjectId"] = id.PhoneNumber
	for _, name := range []string{"Hold", "Resume", "Mute", "Unmute", "Transfer", "TransferComplete", "TransferCancel", "AddParticipant", "RemoveParticipant",
		"SendDigits", "RecordingPause", "RecordingResume", "MonitorStart", "MonitorStop"} {
		fields["Mutation.call"+name] = id.Call
	}
	if k, ok := kinds[field+"."+strings.Join(path, ".")]; ok {
		return k, true
	}
	last := path[len(path)-1]
	if last == "id" && len(path) == 1 {
		k, ok := fields[field]
		return k, ok
	}
	k, ok := kinds[last]
	return k, ok
}

// trial is one argument of type ID of one root field.
type trial struct {
	field string
	path  []string
	kind  id.Kind
	query string
	build func(o *owned, value string) demo.Vars
}

func (x trial) String() string { return x.field + "." + strings.Join(x.path, ".") }

// triedElsewhere are root fields that another test tries with the ids of others.
var triedElsewhere = map[string]string{
	"Mutation.contactImportCreate": "needs an uploaded list; package contact tries another tenant's",
	"Mutation.recordImportCreate":  "needs an uploaded list; package contact tries another tenant's",
	"Query.contactImportPreview":   "needs an uploaded list; package contact tries another tenant's",
	"Mutation.exportCreate":        "a filter that finds nothing makes an empty file; the lists' own filters are tried here, and the story of exports has another tenant",
}

// trials are made from the schema: none can be forgotten.
func trials(t *testing.T) (list []trial) {
	t.Helper()
	a := asking{schema: graph.Schema()}
	all := roots(a.schema)
	for _, field := range slices.Sorted(maps.Keys(all)) {
		f := all[field]
		if field == "Query.node" || field == "Query.nodes" {
			continue // with every kind, below
		}
		if why := triedElsewhere[field]; why != "" {
			t.Logf("%s is not tried here: %s", field, why)
			continue
		}
		for _, path := range a.ids(f) {
			kind, ok := kindOf(field, path)
			if !ok {
				t.Errorf("%s.%s: say in kindOf what this id names", field, strings.Join(path, "."))
				continue
			}
			list = append(list, trial{field: field, path: path, kind: kind, query: a.operation(field, f), build: func(o *owned, value string) demo.Vars {
				vars := a.arguments(f)
				if slices.Contains([]string{"callStart", "messageSend", "testCall", "callerIdExplain"}, f.Name) && path[1] != "threadId" && path[1] != "userId" {
					vars["input"].(map[string]any)["to"] = samples["to"]
				}
				for _, other := range a.ids(f) { // the other ids that are needed are one's own
					if t := f.Arguments.ForName(other[0]).Type; len(other) == 1 && t.NonNull {
						if k, ok := kindOf(field, other); ok {
							a.put(f, vars, other, o.ids[k])
						}
					}
				}
				switch f.Name {
				case "can":
					vars["subjectId"] = o.ids[id.Contact]
				case "transcriptSegmentsUpdate":
					vars["segments"] = []any{demo.Vars{"index": 0, "text": "x"}}
				case "transcriptNoteAdd":
					vars["input"].(map[string]any)["text"] = "x"
				case "callsRelink":
					vars["input"].(map[string]any)["contactId"] = o.ids[id.Contact]
				case "transcriptInsights":
					vars["filter"].(map[string]any)["from"], vars["filter"].(map[string]any)["until"] = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
				}
				if in, ok := vars["input"].(map[string]any); ok {
					if slices.Contains([]string{"messageSend", "messagePreview", "bulkMessageCreate", "messageTemplatePreview"}, f.Name) && path[1] != "templateId" {
						in["body"] = samples["body"]
					}
					if slices.Contains([]string{"messagePreview", "bulkMessageCreate"}, f.Name) && path[1] != "audience" && path[1] != "threadId" {
						in["audience"] = demo.Vars{"recipients": []any{demo.Vars{"to": samples["to"]}}}
					}
					if f.Name == "smsThreadStart" && path[1] == "phoneNumberId" {
						in["to"] = samples["to"]
					}
					if _, needed := in["templateId"]; needed {
						in["templateId"] = o.ids[id.Template]
					}
					if _, needed := in["roleId"]; needed {
						in["roleId"] = o.ids[id.Role]
					}
					if _, needed := in["phoneNumberId"]; needed {
						in["phoneNumberId"] = o.ids[id.PhoneNumber]
					}
					if _, needed := in["userId"]; needed {
						in["userId"] = o.ids[id.User]
					}
					if _, needed := in["recordId"]; needed {
						in["recordId"] = o.ids[id.Record]
					}
					if field == "Mutation.pushCredentialSet" {
						in["platform"], in["secret"] = "ANDROID", `{"type":"service_account","project_id":"x","private_key":"k","client_email":"a@b.test"}`
					}
					if field == "Mutation.menuCreate" && path[1] != "options" {
						in["options"] = []any{demo.Vars{"key": "1", "label": "x", "to": demo.Vars{"kind": "VOICEMAIL"}}}
					}
					if scope, ok := map[string]string{"branchId": "BRANCH", "automationId": "AUTOMATION", "userId": "USER"}[path[len(path)-1]]; ok && f.Name == "costCapSet" {
						in["scope"], in["amountMinor"], in["currency"] = scope, 5000, "USD"
						delete(in, "userId")
					}
					if field == "Mutation.sessionCreate" {
						in["email"], in["password"] = o.email, "correct horse battery"
					}
				}
				a.put(f, vars, path, value)
				if in, ok := vars["input"].(map[string]any); ok {
					if rule, ok := in["rule"].(map[string]any); ok && path[len(path)-1] != "templateId" {
						rule["templateId"] = o.ids[id.Template]
					}
				}
				if in, ok := vars["input"].(map[string]any); ok && strings.HasSuffix(field, "Upsert") { // what a new row cannot be without
					in["title"], in["externalId"] = "Sample", "sample"
					if field == "Mutation.contactUpsert" {
						delete(in, "title")
						in["name"], in["kind"] = "Sample", "CUSTOMER"
					}
				}
				return vars
			}})
		}
	}
	return list
}

var (
	anyID     = regexp.MustCompile(`\b[a-z]+_[0-9a-hjkmnp-tv-z]{26}\b`)
	refusals  = regexp.MustCompile(`NOT_FOUND|WRONG_CREDENTIALS|this number cannot be used here|"gate":"VISIBILITY"`)
	sums      = regexp.MustCompile(`Statistics$|^Query\.(callDashboard|callActivity|answeredByReport|usage|transcriptInsights|providerLog)$`)
	takesAway = regexp.MustCompile(`^Mutation\.(campaignMembersRemove|costCapRemove|notificationsMarkRead)$`)
	// The own one is no account, or nothing of the kind is furnished that has it.
	ownHasNone = regexp.MustCompile(`accountId$|^Query\.followUps\.filter\.(ownerId|recordId)|^Query\.recordings\.filter\.(recordId|callId)|^Query\.transcripts\.filter\.userId|^Mutation\.recordingsDelete`)
	// What cannot be whatever the other ids are is refused before they are looked at.
	tooLate = regexp.MustCompile(`the call is over: it is VOICEMAIL|this is no outbound call|this is no phone of yours`)
)

// Another organization's ids are ids that never existed: same answer to the letter,
// no data, no effect, no event.
func TestForeignIDsAreLikeIDsThatNeverExisted(t *testing.T) {
	s := newStory(t)
	secret := furnish(&story{Stage: s.Another("Alpha"), t: t}, "Alpha", "+12025550110")
	b := furnish(&story{Stage: s.Another("Beta"), t: t}, "Beta", "+12025550111")
	list := trials(t)
	if len(list) < 80 {
		t.Errorf("only %d trials", len(list))
	}
	secret.settled()
	b.settled()
	before, mine := secret.digest(), b.digest()
	refused := func(what, answer, never, foreign string) {
		t.Helper()
		if anyID.ReplaceAllString(answer, "ID") != anyID.ReplaceAllString(never, "ID") {
			t.Errorf("%s: a foreign id is answered\n%s\nan id that never existed\n%s", what, answer, never)
		}
		if rest := strings.ReplaceAll(answer, foreign, ""); strings.Contains(rest, "Alpha") || slices.ContainsFunc(slices.Collect(maps.Values(secret.ids)), func(x string) bool { return strings.Contains(rest, x) }) {
			t.Errorf("%s: the answer shows what is another's: %s", what, answer)
		}
		if after := secret.digest(); !maps.Equal(after, before) {
			t.Errorf("%s: the other organization changed: %s", what, different(before, after))
			before = after
		}
		if after := b.digest(); !maps.Equal(after, mine) {
			t.Errorf("%s: something was half-written in the own organization: %s", what, different(mine, after))
			mine = after
		}
	}
	for _, x := range list {
		foreign, never := secret.ids[x.kind], id.New(x.kind).String()
		if foreign == "" {
			t.Fatalf("%s: the organization has no %s", x, x.kind)
		}
		answer := b.answered(b.Admin, x.query, x.build(b, foreign))
		unknown := b.answered(b.Admin, x.query, x.build(b, never))
		if x.field == "Mutation.sessionCreate" { // that somebody tried is written down
			b.settled()
			mine = b.digest()
		}
		refused(x.String(), answer, unknown, foreign)
		if slices.Contains(x.path, "audience") && (slices.Contains(x.path, "contacts") || slices.Contains(x.path, "records")) {
			if !strings.Contains(answer, `"recipientCount":0`) && !strings.Contains(answer, "nobody") {
				t.Errorf("%s: it finds somebody: %s", x, answer)
			}
			continue
		}
		isFilter := strings.HasPrefix(x.field, "Query.") && len(x.path) > 1 && x.path[0] == "filter" || slices.Contains([]string{"Query.devices", "Query.ringingCalls", "Query.sipDomains", "Query.retentionRuns"}, x.field)
		switch {
		case takesAway.MatchString(x.field): // what is not there is taken away already, the same for both
		case isFilter && sums.MatchString(x.field): // sums of nothing, the same for both
		case isFilter:
			if !strings.Contains(answer, `"nodes":[]`) && !refusals.MatchString(answer) {
				t.Errorf("%s: the answer is not empty: %s", x, answer)
			}
		case !isFilter && strings.HasPrefix(x.field, "Query.") && len(x.path) == 1:
			if !strings.Contains(answer, `"data":{"`+strings.TrimPrefix(x.field, "Query.")+`":null}`) && !refusals.MatchString(answer) {
				t.Errorf("%s: the answer is not null: %s", x, answer)
			}
		case !isFilter && !refusals.MatchString(answer) && !tooLate.MatchString(answer):
			t.Errorf("%s: not refused as absent: %s", x, answer)
		}
	}
	// node and nodes, with every kind there is.
	all := slices.Sorted(maps.Values(secret.ids))
	for _, foreign := range all {
		never, err := id.Parse(foreign)
		b.Must(err)
		const query = `query($id: ID!) { node(id: $id) { __typename id } }`
		answer := b.answered(b.Admin, query, demo.Vars{"id": foreign})
		refused("node("+foreign+")", answer, b.answered(b.Admin, query, demo.Vars{"id": id.New(never.Kind()).String()}), foreign)
	}
	const nodes = `query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }`
	if answer := b.answered(b.Admin, nodes, demo.Vars{"ids": all}); strings.Contains(answer, "__typename") {
		t.Errorf("nodes shows what is another's: %s", answer)
	}
	if answer := secret.answered(secret.Admin, nodes, demo.Vars{"ids": all}); strings.Count(answer, "__typename") < 13 {
		t.Errorf("the ids mean little to their own organization, so that nothing is proved: %s", answer)
	}
	for _, k := range []id.Kind{id.Recording, id.Upload, id.Media} {
		if status, _, _ := b.fetch("/media/"+secret.ids[k], b.Admin.Token(), nil); status != 404 {
			t.Errorf("another's %s is served with status %d", k, status)
		}
	}
	b.ownIDsWork(list)
}

// ownIDsWork asks the same with the organization's own ids: what was refused was the
// foreign id and nothing else. What ends something comes last.
func (o *owned) ownIDsWork(list []trial) {
	o.t.Helper()
	last := func(x trial) int {
		for i, word := range []string{"callDecline", "EndpointDisable", "Remove", "Delete", "Revoke", "Disable", "phoneNumberDisconnect", "twilioConnectionDisconnect", "sessionEnd"} {
			if strings.HasSuffix(x.field, word) {
				return i + 1
			}
		}
		return 0
	}
	slices.SortStableFunc(list, func(a, b trial) int { return last(a) - last(b) })
	for _, x := range list {
		if strings.HasPrefix(x.field, "Subscription.") || x.field == "Mutation.callQualityReport" {
			continue // the stories of live subscriptions open them; a report is of a device that took part in the call
		}
		if ownHasNone.MatchString(x.String()) {
			continue
		}
		answer := o.answered(o.Admin, x.query, x.build(o, o.ids[x.kind]))
		if refusals.MatchString(answer) || strings.Contains(answer, `"data":null`) || strings.Contains(answer, `"nodes":[]`) {
			o.t.Errorf("%s with an own id: %s", x, answer)
		}
		if x.field == "Mutation.branchDelete" {
			o.ids[id.Branch] = o.Branch("Beta again")
		}
	}
}

// digest is what the database holds of the organization, by table.
func (o *owned) digest() map[string]string {
	o.t.Helper()
	org, err := id.Parse(o.OrganizationID)
	o.Must(err)
	sums := map[string]string{}
	o.Must(o.App.DB.InWorkerTx(o.t.Context(), func(ctx context.Context, tx *db.Tx) error {
		if o.everything == "" {
			if o.everything, err = tenantTables(ctx, tx); err != nil {
				return err
			}
		}
		rows, err := tx.Pgx().Query(ctx, o.everything, org)
		if err != nil {
			return err
		}
		for rows.Next() {
			var table, sum string
			if err := rows.Scan(&table, &sum); err != nil {
				return err
			}
			sums[table] = sum
		}
		rows.Close()
		return rows.Err()
	}))
	return sums
}

// tenantTables is the statement that sums up every table with a tenant. Sessions are
// left out: to ask is to use one.
func tenantTables(ctx context.Context, tx *db.Tx) (sql string, err error) {
	rows, err := tx.Pgx().Query(ctx, `SELECT c.oid::regclass::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id'
		WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname <> 'session'`)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var parts []string
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return "", err
		}
		parts = append(parts, fmt.Sprintf(`SELECT '%s', count(*)::text || ' ' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM %s t WHERE organization_id = $1`, table, table))
	}
	if len(parts) < 25 {
		return "", fmt.Errorf("only %d tables have a tenant", len(parts))
	}
	return strings.Join(parts, " UNION ALL "), rows.Err()
}

func different(a, b map[string]string) (tables []string) {
	for k, v := range a {
		if b[k] != v {
			tables = append(tables, k+": "+v+" became "+b[k])
		}
	}
	return tables
}

// dot is the smallest GIF.
var dot = []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")
