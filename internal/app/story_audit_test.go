package app_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"switchboard/graph"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/demo"
	"switchboard/internal/id"
)

// mutations says of every mutation what the audit log keeps of it: the name of an
// act, or after a dash why it keeps none. A new mutation fails until it stands here.
var mutations = func() map[string]string {
	const (
		ownCall       = "- the call and its facts say who did what"
		ownThread     = "- the thread and its events say who did what"
		ownMessage    = "- the message says who sent it"
		ownFollowUp   = "- the follow-up keeps its own history of who did what"
		ownDevice     = "- it concerns only the actor's own device"
		ownTranscript = "- the transcript keeps its own history of who changed what"
		reading       = "- it only asks Twilio anew"
	)
	return map[string]string{
		"apiKeyCreate": "apiKey.create", "apiKeyRevoke": "apiKey.revoke",
		"automationCreate": "automation.create", "automationUpdate": "automation.update", "automationDelete": "automation.delete",
		"branchCreate": "branch.create", "branchUpdate": "branch.update", "branchDelete": "branch.delete",
		"bulkMessageCreate": "bulkMessage.create", "bulkMessagePause": "bulkMessage.pause", "bulkMessageResume": "bulkMessage.resume", "bulkMessageCancel": "bulkMessage.cancel",
		"callAddParticipant": ownCall, "callAnswererSet": ownCall, "callDecline": ownCall, "callHangUp": ownCall, "callHold": ownCall, "callMonitorStart": ownCall,
		"callMonitorStop": ownCall, "callMute": ownCall, "callQualityReport": ownCall, "callRecordingPause": ownCall, "callRecordingResume": ownCall,
		"callRemoveParticipant": ownCall, "callResume": ownCall, "callSave": ownCall, "callSendDigits": ownCall, "callStart": ownCall, "callTransfer": ownCall,
		"callTransferCancel": ownCall, "callTransferComplete": ownCall, "callUnmute": ownCall, "callUpdate": ownCall, "testCall": ownCall, "voicemailDrop": ownCall,
		"callsRelink": "call.relink", "callerCardSettingsUpdate": "callerCard.update",
		"campaignCreate": "campaign.create", "campaignUpdate": "campaign.update", "campaignMembersAdd": "campaign.addMembers", "campaignMembersRemove": "campaign.removeMembers",
		"consentRecord": "consent.record",
		"contactAssign": "contact.assign", "contactCreate": "contact.create", "contactDelete": "contact.delete", "contactMerge": "contact.merge",
		"contactUpdate": "contact.update", "contactUpsert": "contact.upsert", "contactImportCreate": "contact.import", "contactImportCancel": "contact.importCancel",
		"costCapSet": "cost_cap.set", "costCapRemove": "cost_cap.remove",
		"deviceRegister": "device.register", "deviceRemove": "device.remove", "deviceReport": ownDevice, "deviceTokenRefresh": ownDevice,
		"dropMessageCreate": "drop_message.create", "dropMessageUpdate": "drop_message.update", "dropMessageDelete": "drop_message.delete",
		"exportCreate": "export.create", "exportCancel": "export.cancel",
		"findingAcknowledge": "finding.acknowledge", "findingSnooze": "finding.snooze",
		"followUpAssign": ownFollowUp, "followUpCallBack": ownFollowUp, "followUpReopen": ownFollowUp, "followUpResolve": ownFollowUp, "followUpUpdate": ownFollowUp,
		"followUpSettingsUpdate": "followUpSettings.update",
		"ignoredNumberAdd":       "ignoredNumber.add", "ignoredNumberRemove": "ignoredNumber.remove",
		"invitationAccept": "invitation.accept",
		"legalHoldPlace":   "legal_hold.place", "legalHoldRelease": "legal_hold.release",
		"maskedPairCreate": "masked_pair.create", "maskedPairEnd": "masked_pair.end",
		"menuCreate": "menu.create", "menuUpdate": "menu.update", "menuDelete": "menu.delete",
		"messageCancel": ownMessage, "messageRetry": ownMessage, "messageSend": ownMessage, "testMessage": ownMessage,
		"messageRelink": "message.relink", "messagesDelete": "message.delete",
		"messageTemplateCreate": "messageTemplate.create", "messageTemplateUpdate": "messageTemplate.update", "messageTemplateArchive": "messageTemplate.archive",
		"messagingServiceConnect": "number.service", "numberMessagingUpdate": "number.messaging", "numberMessagingRefresh": reading,
		"notificationDefaultsSet": "notificationDefaults.set", "notificationPreferencesSet": "notificationPreferences.set",
		"notificationsMarkRead": "- it concerns only the actor's own notifications",
		"openingHoursCreate":    "openingHours.create", "openingHoursUpdate": "openingHours.update", "openingHoursDelete": "openingHours.delete",
		"organizationUpdate": "organization.update", "passwordChange": "password.change",
		"phoneNumberDisconnect": "number.disconnect", "phoneNumberSetDefault": "number.default", "phoneNumberTranscriptionSet": "number.transcription",
		"phoneNumberUpdate": "number.update", "phoneNumberUserSet": "number.user", "phoneNumberWebhooksWrite": "number.webhooks",
		"pushCredentialSet": "push_credential.set", "pushSubscriptionCreate": ownDevice, "pushSubscriptionDelete": ownDevice,
		"recordAssign": "record.assign", "recordCreate": "record.create", "recordDelete": "record.delete", "recordEvent": "record.event",
		"recordImportCreate": "contact.import", "recordUpdate": "record.update", "recordUpsert": "record.upsert",
		"recordingPolicyUpdate": "recording.policy", "recordingsDelete": "recording.delete",
		"retentionRuleSet": "retention.rule", "retentionRuleDelete": "retention.rule.delete", "retentionRunStart": "retention.start", "retentionRunCancel": "retention.cancel",
		"roleCreate": "role.create", "roleUpdate": "role.update",
		"sessionCreate": "session.create", "sessionEnd": "session.end", "sessionRefresh": "- it goes on with a session whose beginning is an entry",
		"sipDomainUpdate": "sip_domain.update", "sipDomainsImport": "sip_domain.import",
		"smsThreadAssign": ownThread, "smsThreadClose": ownThread, "smsThreadRead": ownThread, "smsThreadReopen": ownThread, "smsThreadStart": ownThread,
		"teamCreate": "team.create", "teamUpdate": "team.update", "teamDelete": "team.delete",
		"transcriptCreate": "transcript.create", "transcriptRetry": "transcript.retry", "transcriptUpdate": ownTranscript, "transcriptSegmentsUpdate": ownTranscript,
		"transcriptNoteAdd": ownTranscript, "transcriptNoteDelete": "transcript.note.delete", "transcriptNoteReopen": ownTranscript, "transcriptNoteResolve": ownTranscript,
		"transcriptsDelete": "transcript.delete", "transcriptionSettingsUpdate": "transcription.settings",
		"twilioConnectionCreate": "connection.create", "twilioConnectionUpdate": "connection.update", "twilioConnectionImport": "connection.import",
		"twilioConnectionDisconnect": "connection.disconnect",
		"userCreate":                 "user.create", "userUpdate": "user.update", "userDisable": "user.disable", "userEnable": "user.enable", "userDoNotDisturbSet": "user.doNotDisturb",
		"voicemailCallBack": ownCall, "voicemailMarkHeard": "- the voicemail says who heard it", "voicemailsAssign": "voicemail.assign", "voicemailsDelete": "voicemail.delete",
		"voicemailNotificationsSet": "voicemailNotifications.set",
		"webhookEndpointCreate":     "webhookEndpoint.create", "webhookEndpointUpdate": "webhookEndpoint.update", "webhookEndpointDelete": "webhookEndpoint.delete",
		"webhookEndpointSecretRotate": "webhookEndpoint.secretRotate", "webhookEndpointEnable": "webhookEndpoint.enable", "webhookEndpointDisable": "webhookEndpoint.disable",
		"webhookEndpointTest": "webhookEndpoint.test", "webhookRedeliver": "webhookEndpoint.redeliver", "webhookReplay": "webhookEndpoint.replay",
	}
}()

func TestEveryMutationIsAuditedOrSaysWhyNot(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, a := range audit.Actions() {
		known[a.Name] = true
	}
	schema := graph.Schema()
	for _, m := range schema.Mutation.Fields {
		if strings.HasPrefix(m.Name, "__") {
			continue
		}
		what, ok := mutations[m.Name]
		switch {
		case !ok:
			t.Errorf("%s: say which entry of the audit log it makes, or why none", m.Name)
		case strings.HasPrefix(what, "- "):
		case !known[what]:
			t.Errorf("%s: the audit log knows no act %q (internal/audit/words.go)", m.Name, what)
		}
	}
	for name := range mutations {
		if schema.Mutation.Fields.ForName(name) == nil {
			t.Errorf("%s is no mutation", name)
		}
	}
}

// The acts that the log knows are those that the code writes, whole or in two
// pieces: what is before a verb, and the verb.
func TestTheAuditLogKnowsWhatIsWritten(t *testing.T) {
	t.Parallel()
	texts := map[string]bool{} // of the source
	read := func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "words.go") && strings.Contains(path, "audit") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if s, err := strconv.Unquote(l.Value); err == nil {
					texts[s] = true
				}
			}
			// Action: "x.y" of an entry must be known.
			if kv, ok := n.(*ast.KeyValueExpr); ok {
				if k, ok := kv.Key.(*ast.Ident); ok && k.Name == "Action" {
					if l, ok := kv.Value.(*ast.BasicLit); ok {
						if s, _ := strconv.Unquote(l.Value); strings.Contains(s, ".") && !slices.ContainsFunc(audit.Actions(), func(a audit.Action) bool { return a.Name == s }) {
							t.Errorf("%s writes %q, which internal/audit/words.go has no words for", path, s)
						}
					}
				}
			}
			return true
		})
		return nil
	}
	for _, root := range []string{"..", "../../graph"} {
		if err := filepath.WalkDir(root, read); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range audit.Actions() {
		noun, verb, _ := strings.Cut(a.Name, ".")
		if !texts[a.Name] && !(texts[noun+"."] && texts[verb]) {
			t.Errorf("nothing writes %s", a.Name)
		}
	}
}

type entryView struct {
	ID, Action, Words, ActorName               string
	IsAccess                                   bool
	At                                         time.Time
	SubjectReference, ClientAddress, UserAgent *string
	Actor                                      *ref
	Subject                                    *struct{ ID string }
	Details                                    []struct{ Name, Value string }
}

const entryFields = `id at action words isAccess actorName subjectReference clientAddress userAgent actor { id name } subject { id } details { name value }`

// entries are those that a filter lets through, newest first.
func (s *story) entries(filter demo.Vars) (out []entryView) {
	s.t.Helper()
	after := (*string)(nil)
	for {
		var page struct {
			AuditEntries struct {
				Nodes    []entryView
				PageInfo struct {
					HasNextPage bool
					EndCursor   *string
				}
			}
		}
		s.Do(`query($f: AuditFilter, $a: String) { auditEntries(first: 10, after: $a, filter: $f) { nodes { `+entryFields+` } pageInfo { hasNextPage endCursor } } }`,
			demo.Vars{"f": filter, "a": after}, &page)
		out = append(out, page.AuditEntries.Nodes...)
		if !page.AuditEntries.PageInfo.HasNextPage {
			return out
		}
		after = page.AuditEntries.PageInfo.EndCursor
	}
}

func TestTheAuditLogIsSearched(t *testing.T) {
	s := newStory(t)
	for _, name := range []string{"North", "South", "Zürich West"} {
		s.Branch(name)
	}
	all := s.entries(nil)
	created := s.entries(demo.Vars{"action": "branch.create"})
	if len(created) < 3 || len(all) <= len(created) || !slices.IsSortedFunc(all, func(a, b entryView) int { return b.At.Compare(a.At) }) {
		t.Fatalf("%d of %d entries", len(created), len(all))
	}
	newest := created[0]
	if newest.Words != "created a branch: Zürich West" || newest.Actor == nil || newest.ActorName != newest.Actor.Name || newest.Subject == nil ||
		*newest.SubjectReference != newest.Subject.ID || newest.IsAccess || newest.ClientAddress == nil || newest.UserAgent == nil {
		t.Errorf("got %+v", newest)
	}
	for name, c := range map[string]struct {
		filter demo.Vars
		want   func(entryView) bool
		some   bool
	}{
		"the beginning of an act": {demo.Vars{"action": "branch."}, func(e entryView) bool { return strings.HasPrefix(e.Action, "branch.") }, true},
		"a subject":               {demo.Vars{"subjectId": *newest.SubjectReference}, func(e entryView) bool { return *e.SubjectReference == *newest.SubjectReference }, true},
		"a kind of subject":       {demo.Vars{"subjectKind": "branch"}, func(e entryView) bool { return strings.HasPrefix(*e.SubjectReference, "branch_") }, true},
		"an actor":                {demo.Vars{"actorId": newest.Actor.ID}, func(e entryView) bool { return e.Actor.ID == newest.Actor.ID }, true},
		"nobody's":                {demo.Vars{"actorId": id.New(id.User).String()}, func(entryView) bool { return false }, false},
		"changes":                 {demo.Vars{"isAccess": false}, func(e entryView) bool { return !e.IsAccess }, true},
		"accesses":                {demo.Vars{"isAccess": true}, func(e entryView) bool { return e.IsAccess }, false},
		"words":                   {demo.Vars{"text": "zürich wes"}, func(e entryView) bool { return strings.Contains(e.Words, "Zürich") }, true},
		"words and an act":        {demo.Vars{"text": "north", "action": "branch.", "actorId": newest.Actor.ID, "subjectKind": "branch"}, func(e entryView) bool { return strings.Contains(e.Words, "North") }, true},
		"words that are nowhere":  {demo.Vars{"text": "xylophone"}, func(entryView) bool { return false }, false},
		"a time to come":          {demo.Vars{"from": s.Clock.Now().Add(time.Hour)}, func(entryView) bool { return false }, false},
	} {
		got := s.entries(c.filter)
		if c.some != (len(got) > 0) {
			t.Errorf("%s: %d entries", name, len(got))
		}
		for _, e := range got {
			if !c.want(e) {
				t.Errorf("%s: got %s about %v", name, e.Action, e.SubjectReference)
			}
		}
	}
	// Bad input is told, and never becomes SQL.
	for name, filter := range map[string]demo.Vars{
		"an act that is SQL": {"action": "x' OR '1'='1"}, "an unknown kind": {"subjectKind": "'; DROP TABLE call"}, "a short text": {"text": "a"},
		"signs":     {"text": "&|!:*"},
		"backwards": {"from": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
	} {
		err := s.Admin.Do(t.Context(), `query($f: AuditFilter) { auditEntries(filter: $f) { nodes { id } } }`, demo.Vars{"f": filter}, nil)
		if err == nil || !strings.Contains(err.Error(), "INVALID") && !strings.Contains(err.Error(), "write") && !strings.Contains(err.Error(), "end") && !strings.Contains(err.Error(), "no ids") && !strings.Contains(err.Error(), "not the name") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, text := range []string{`a' & b`, `\\ ' "`, "x:*|y", "<->", strings.Repeat("word ", 39)} {
		_ = s.Admin.Do(t.Context(), `query($f: AuditFilter) { auditEntries(filter: $f) { nodes { id } } }`, demo.Vars{"f": demo.Vars{"text": text}}, nil)
	}
	if n := len(s.entries(demo.Vars{"action": "branch.create"})); n != len(created) {
		t.Errorf("%d entries are left", n)
	}
}

// Whoever may not read the log is told so, and guessing a password is an entry of it.
func TestTheAuditLogIsForThoseWhoMay(t *testing.T) {
	s := newStory(t)
	p := s.User("ann", "OFFICE", "")
	if err := p.Client.Do(t.Context(), `{ auditEntries { nodes { id } } }`, nil, nil); err == nil || !strings.Contains(err.Error(), "AUDIT_VIEW") {
		t.Errorf("got %v", err)
	}
	if err := p.Client.Do(t.Context(), `{ auditActions { name } }`, nil, nil); err == nil || !strings.Contains(err.Error(), "AUDIT_VIEW") {
		t.Errorf("got %v", err)
	}
	other := s.Another("Other")
	var theirs struct {
		AuditEntries struct{ Nodes []struct{ ID string } }
	}
	other.Do(`{ auditEntries { nodes { id } } }`, nil, &theirs)
	ours := s.entries(nil)
	for _, e := range theirs.AuditEntries.Nodes {
		if slices.ContainsFunc(ours, func(x entryView) bool { return x.ID == e.ID }) {
			t.Errorf("%s is in both logs", e.ID)
		}
	}
	var email struct {
		Viewer struct{ User struct{ Email string } }
	}
	s.Do(`{ viewer { user { email } } }`, nil, &email)
	resp, err := http.Post(s.GraphQL(), "application/json", strings.NewReader(`{"query":"mutation { sessionCreate(input: {email: \"`+email.Viewer.User.Email+`\", password: \"wrong password\"}) { userErrors { code } } }"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	s.Settle()
	refused := s.entries(demo.Vars{"action": "session.refuse"})
	if len(refused) != 1 || refused[0].Actor != nil || refused[0].ClientAddress == nil || refused[0].ActorName != "the server" || !refused[0].IsAccess {
		t.Errorf("got %+v", refused)
	}
}

// Append-only: neither role can change the log.
func TestNoRoleOfTheServerChangesTheAuditLog(t *testing.T) {
	s := newStory(t)
	ctx := db.WithTenant(t.Context(), orgID(t, s))
	for _, q := range []string{`UPDATE audit_entry SET action = 'x'`, `UPDATE audit_entry SET client_address = NULL`, `DELETE FROM audit_entry`, `TRUNCATE audit_entry`,
		`ALTER TABLE audit_entry DISABLE ROW LEVEL SECURITY`, `DROP TABLE audit_entry`} {
		if _, err := db.Exec(ctx, s.App.DB.App(), q); err == nil {
			t.Errorf("the app role may %s", q)
		}
		if _, err := db.Exec(ctx, s.App.DB.Worker(), q); err == nil {
			t.Errorf("the worker role may %s", q)
		}
	}
}

// orgID is the story's organization.
func orgID(t *testing.T, s *story) id.ID {
	t.Helper()
	x, err := id.ParseKind(s.OrganizationID, id.Organization)
	if err != nil {
		t.Fatal(err)
	}
	return x
}
