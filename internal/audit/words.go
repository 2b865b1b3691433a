package audit

import (
	"slices"
	"strings"
)

// acts are the acts that are written, with what they say in words after the name of
// whoever did it. What begins with ! is an access and not a change. A test in the
// composition root holds this list against the code.
var acts = map[string]string{
	"apiKey.create": "created an API key", "apiKey.revoke": "revoked an API key",
	"audio.create":       "uploaded audio",
	"automation.archive": "archived an automation", "automation.create": "created an automation", "automation.delete": "deleted an automation",
	"automation.disable": "switched an automation off", "automation.enable": "switched an automation on", "automation.update": "changed an automation",
	"branch.create": "created a branch", "branch.delete": "deleted a branch", "branch.update": "changed a branch",
	"bulkMessage.cancel": "ended a bulk message", "bulkMessage.create": "started a bulk message", "bulkMessage.pause": "paused a bulk message",
	"bulkMessage.resume":  "resumed a bulk message",
	"call.relink":         "corrected what a call belongs to",
	"callerCard.update":   "changed the caller card's settings",
	"campaign.addMembers": "added contacts to a campaign", "campaign.create": "created a campaign", "campaign.removeMembers": "removed contacts from a campaign",
	"campaign.update":   "changed a campaign",
	"connection.create": "connected a Twilio account", "connection.disconnect": "disconnected a Twilio account", "connection.import": "imported the numbers of a Twilio account",
	"connection.reconnect": "reconnected a Twilio account", "connection.rotated": "finished changing the secret of a Twilio account",
	"connection.setup": "set up a Twilio account", "connection.update": "changed a Twilio account",
	"consent.record": "recorded a consent or an opt-out",
	"contact.assign": "assigned a contact", "contact.create": "created a contact", "contact.delete": "deleted a contact", "contact.import": "imported a file", "contact.importCancel": "ended an import", "contact.importEnd": "had a file imported",
	"contact.merge": "merged contacts", "contact.update": "changed a contact", "contact.upsert": "took over contacts from another system",
	"cost_cap.remove": "removed a cap of costs", "cost_cap.set": "set a cap of costs",
	"device.register": "registered a device", "device.remove": "removed a device",
	"drop_message.create": "created a voicemail drop", "drop_message.delete": "deleted a voicemail drop", "drop_message.update": "changed a voicemail drop",
	"export.cancel": "ended an export", "export.complete": "had an export written", "export.create": "asked for an export",
	"export.download": "!downloaded an export", "export.expire": "had an export erased", "export.fail": "had an export that could not be written",
	"finding.acknowledge": "acknowledged a finding", "finding.snooze": "snoozed a finding",
	"followUpSettings.update": "changed the settings of follow-ups",
	"ignoredNumber.add":       "added an ignored number", "ignoredNumber.remove": "removed an ignored number",
	"invitation.accept": "accepted an invitation",
	"legal_hold.place":  "placed a legal hold", "legal_hold.release": "released a legal hold",
	"masked_pair.create": "created a masked pair", "masked_pair.end": "ended a masked pair", "masked_pair.reveal": "!saw the real numbers of a masked pair",
	"menu.create": "created a menu", "menu.delete": "deleted a menu", "menu.update": "changed a menu",
	"message.delete": "deleted messages", "message.relink": "corrected what a message belongs to",
	"messageTemplate.archive": "archived a template", "messageTemplate.create": "created a template", "messageTemplate.update": "changed a template",
	"notificationDefaults.set": "changed what a role is notified of", "notificationPreferences.set": "changed what somebody is notified of",
	"number.assign": "put a number into a branch or team", "number.default": "made a number the default", "number.disconnect": "disconnected a number",
	"number.enable": "enabled a number", "number.messaging": "changed how a number sends messages", "number.service": "connected a messaging service",
	"number.transcription": "changed which recordings of a number are transcribed", "number.unassign": "took a number out of a branch or team",
	"number.update": "changed a number", "number.user": "changed what somebody may do with a number", "number.webhooks": "wrote a number's webhooks at Twilio",
	"openingHours.create": "created opening hours", "openingHours.delete": "deleted opening hours", "openingHours.update": "changed opening hours",
	"organization.create": "created the organization", "organization.update": "changed the organization",
	"password.change":     "changed their password",
	"push_credential.set": "set the push credential of an app",
	"record.assign":       "assigned a record", "record.create": "created a record", "record.delete": "deleted a record", "record.event": "told what happened to a record", "record.update": "changed a record", "record.upsert": "took over records from another system",
	"recording.delete": "deleted a recording", "recording.download": "!downloaded a recording", "recording.export": "!exported the audio of a recording",
	"recording.listen": "!listened to a recording", "recording.policy": "changed the rules for deleting recordings at Twilio",
	"retention.cancel": "stopped a run of retention", "retention.rule": "changed a rule of retention", "retention.rule.delete": "deleted a rule of retention", "retention.run": "ran a rule of retention",
	"retention.start": "started a run of retention",
	"role.create":     "created a role", "role.update": "changed a role",
	"session.create": "signed in", "session.end": "signed out", "session.refuse": "!tried to sign in and was refused",
	"sip_domain.import": "imported SIP domains", "sip_domain.update": "changed a SIP domain",
	"team.create": "created a team", "team.delete": "deleted a team", "team.update": "changed a team", "transcript.create": "had a recording transcribed", "transcript.delete": "deleted a transcript", "transcript.note.delete": "deleted a note of a transcript", "transcript.retry": "had a transcript tried again", "transcript.read": "!read a transcript",
	"transcription.settings": "changed how recordings are transcribed",
	"user.create":            "created a user", "user.disable": "disabled a user", "user.doNotDisturb": "set a user's do not disturb", "user.enable": "enabled a user",
	"user.update":      "changed a user",
	"voicemail.assign": "assigned a voicemail", "voicemail.delete": "deleted a voicemail",
	"voicemailNotifications.set": "changed who is told of a number's voicemails",
	"webhookEndpoint.create":     "created a webhook endpoint", "webhookEndpoint.delete": "deleted a webhook endpoint", "webhookEndpoint.disable": "disabled a webhook endpoint",
	"webhookEndpoint.enable": "enabled a webhook endpoint", "webhookEndpoint.redeliver": "sent a delivery again", "webhookEndpoint.replay": "sent events to a webhook endpoint again",
	"webhookEndpoint.secretRotate": "gave a webhook endpoint another secret", "webhookEndpoint.test": "tried a webhook endpoint", "webhookEndpoint.update": "changed a webhook endpoint",
}

var known, accesses = func() (all []Action, accesses []string) {
	for name, words := range acts {
		words, isAccess := strings.CutPrefix(words, "!")
		all = append(all, Action{Name: name, Words: words, IsAccess: isAccess})
		if isAccess {
			accesses = append(accesses, name)
		}
	}
	slices.SortFunc(all, func(a, b Action) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(accesses)
	return all, accesses
}()

// Actions are the acts that people can look for, sorted by name.
func Actions() []Action { return slices.Clone(known) }

// Words is the deed as a sentence without who did it: "disabled a user: Jane".
func (e Entry) Words() string {
	words := strings.TrimPrefix(acts[e.Action], "!")
	if words == "" { // of a time when the list had it
		words = strings.NewReplacer(".", " ", "_", " ").Replace(e.Action)
	}
	for _, what := range []string{"name", "title", "reason"} {
		if s, ok := e.Detail[what].(string); ok && s != "" {
			return words + ": " + s
		}
	}
	return words
}

// IsAccess reports whether the deed was an access to what is private and not a change.
func (e Entry) IsAccess() bool { return strings.HasPrefix(acts[e.Action], "!") }
