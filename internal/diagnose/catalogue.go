package diagnose

// entry is what is always said of a code.
type entry struct {
	title  string // what is looked at
	fix    string // where it is the same for all
	source string
	// kept: it lasts until somebody mends it, so the doctor looks for it by itself. What
	// people choose, and what is about one call or message, is for those who ask.
	kept bool
}

const (
	console    = "in the Twilio Console"
	errorsPage = "twilio.com/docs/api/errors/"
)

var catalogue = map[Code]entry{
	TokenRefused:            {"the auth token", "enter the account's present primary auth token with twilioConnectionUpdate; it stands " + console + " under Account, API keys and tokens", "R005, R268, " + errorsPage + "20003", true},
	AccountSuspended:        {"the account's status", "settle it with Twilio: the account's page " + console + " says why, most often a balance that is used up", "R268, " + errorsPage + "30002", true},
	AccountClosed:           {"the account's status", "a closed account does not come back: connect another one with twilioConnectionCreate", "R268, " + errorsPage + "20005", true},
	TrialAccount:            {"the kind of account", "verify the numbers of those you test with " + console + " under Phone Numbers, Verified caller IDs, or upgrade the account under Billing", "R019, R269, twilio.com/docs/usage/trials", true},
	ConnectionDisabled:      {"whether the connection is on", "switch it on: twilioConnectionUpdate(input: {isEnabled: true})", "R009", false},
	ConnectionDisconnected:  {"whether the account is connected", "connect the account again with twilioConnectionCreate", "R014", false},
	ImportFailed:            {"the last import", "import the numbers again with twilioConnectionImport", "R012", true},
	RotationEnding:          {"the rotation of the auth token", "promote the new token " + console + " if that is not done: Twilio signs with the primary one, and the former one is accepted here no longer than until then", "R005, twilio.com/docs/usage/security", true},
	AccessKeyOld:            {"the access key of the posts", "write our addresses to Twilio again with phoneNumberWebhooksWrite, and look for addresses that were copied by hand, such as in a TwiML App", "R017, D28", true},
	CallsPerSecondQueue:     {"calls that wait for their turn", "have Twilio raise the account's calls per second and set twilioConnectionUpdate(input: {callsPerSecond}) to the same, or ring fewer at once", "R071, twilio.com/docs/voice/api/call-resource", true},
	ProxyBreaksSignatures:   {"the signatures of the posts", "have the proxy pass host, path and query on as they came, or set PUBLIC_URL to the address that Twilio calls", "R017, D28, twilio.com/docs/usage/security", true},
	NoWebhooksArriving:      {"whether Twilio's posts arrive here", "see to which machine the public address leads: DNS, firewall and proxy must bring it to this server", "R268, R273", true},
	PublicURLUnreachable:    {"whether Twilio reaches our address", "open the public address in a browser from outside; see to DNS, firewall and a certificate that is valid and not self-signed", "R268, " + errorsPage + "11200", true},
	WrongSIDKind:            {"the number's SID", "disconnect the connection and connect it again with the number's own SID; it begins with PN and stands on the number's page " + console, "R002, R003, R268", true},
	NumberDisabled:          {"whether the number is on", "switch it on: phoneNumberUpdate(input: {isEnabled: true})", "R013, R268, D26", false},
	NumberDisconnected:      {"whether the number is connected", "import the numbers of its connection with twilioConnectionImport, and switch it on", "R014, R268", false},
	NumberGone:              {"whether the account has the number", "see " + console + " under Phone Numbers in which account it is: buy it back or connect that account; or disconnect it here with phoneNumberDisconnect", "R004, R268, " + errorsPage + "20404", true},
	WebhookChanged:          {"what the number calls at Twilio", "write our addresses again with phoneNumberWebhooksWrite", "R268, twilio.com/docs/phone-numbers/api/incomingphonenumber-resource", true},
	OnTrunk:                 {"whether a trunk takes the calls", "take the number off the trunk " + console + " under Elastic SIP Trunking, Numbers, or write our addresses with phoneNumberWebhooksWrite, which does that", "D22", true},
	CapabilityMissing:       {"what the number can do", "use another number for this, or buy one that can " + console + "; or say with phoneNumberUpdate(input: {usage}) that it is not used for it", "R015, R020, R270, " + errorsPage + "21601", true},
	NotUsedFor:              {"what the number is used for", "switch the use on: phoneNumberUpdate(input: {usage})", "R026, R030", false},
	GeoPermission:           {"the countries that the account may reach", "allow the country " + console + ": Voice, Settings, Geo permissions for calls; Messaging, Settings, Geo permissions for messages", "R149, R270, " + errorsPage + "21408, " + errorsPage + "21215", true},
	A2PUnregistered:         {"the registration for business texts (A2P 10DLC)", "register a brand and a campaign " + console + " under Messaging, Regulatory Compliance, and add the number to the campaign's Messaging Service", "R152, R153, " + errorsPage + "30034", true},
	TollFreeUnverified:      {"the verification of the toll-free number", "hand its verification in " + console + " under Messaging, Regulatory Compliance, Toll-free; send from another number until then", "R152, " + errorsPage + "30032", true},
	SenderCountry:           {"whether the sender fits the country and can be answered", "send from a number of the recipient's country that takes replies; take the sender name away with numberMessagingUpdate", "R150, R151, R274, " + errorsPage + "21612", false},
	RecordingOff:            {"recording", "set phoneNumberUpdate(input: {recording}) or the connection's default with twilioConnectionUpdate", "R111-R122, R271, D23", false},
	NobodyToRing:            {"whom a call rings", "give the number a branch with people, a team or a user: phoneNumberUpdate(input: {branchId}), branchUpdate(input: {userIds})", "R023-R026, R273", true},
	ClosedNow:               {"the opening hours", "it is as it was set; change the opening hours with openingHoursUpdate if they are wrong", "D02, R273", false},
	IgnoredCaller:           {"the list of ignored numbers", "take the number off the list with ignoredNumberRemove to have a popup again; calls are routed either way", "R057, D08", false},
	NoDevice:                {"registered devices", "have them sign in and open the phone in the browser or the app, which registers the device", "R065, R273", true},
	DeviceNotReady:          {"whether devices are ready", "have them allow microphone and notifications, and look at firewall and VPN: Twilio's media and signalling ports must be open", "R075, R273, R275, twilio.com/docs/voice/sdks/network-connectivity-requirements", true},
	NoPhone:                 {"the phone or SIP address", "give them a primary phone or a SIP address with userUpdate, or reach people by their devices: phoneNumberUpdate(input: {routing: {reachBy: DEVICES}})", "R040, R090, D21", true},
	NoPush:                  {"what wakes mobile devices", "give the connection its push credential with pushCredentialSet, and have the app hand its push token over with deviceReport; until then the app rings only while it is open", "R064, R273", true},
	DoNotDisturb:            {"do not disturb", "have them end it with userDoNotDisturbSet, for all calls or for this line", "R072, R273", false},
	Role:                    {"the role", "give the role the permission CALL_RECEIVE with roleUpdate, or the person another role with userUpdate", "R073, R273", true},
	OtherBranch:             {"the branch", "add the person to the number's branch with branchUpdate(input: {userIds}), or the number to theirs", "R023, R273", true},
	UserDisabled:            {"whether the person is active", "enable them with userEnable; who is invited accepts the invitation first", "R273, D05", false},
	CallFailed:              {"how the legs went", "see what Twilio says of the call " + console + " under Monitor, Logs, Calls", "R273", false},
	TranscriptionFailed:     {"transcripts", "see the reason, and have it transcribed again", "R199", true},
	OptedOut:                {"whether the recipient wants messages", "nobody but the recipient can lift it: they text START to the number", "R155, R274, " + errorsPage + "21610", false},
	ConsentMissing:          {"the recipient's consent", "ask for it, and record it with consentRecord", "R121, R154", false},
	QuietHours:              {"the quiet hours", "have it wait for their end instead: automationUpdate(input: {quietHours})", "R272", false},
	InvalidNumber:           {"the number written to or called", "correct the number on the contact", "R270, " + errorsPage + "21211", false},
	RecipientUnreachable:    {"whether the recipient can be reached", "try again in some hours, or call them: it may be off, without signal or a landline", "R274, " + errorsPage + "30003", false},
	CarrierFiltered:         {"filtering by Twilio and carriers", "change the wording, leave links of shorteners out, register the sender; to send the same again makes it worse", "R159, R274, " + errorsPage + "30007", false},
	CarrierBlocked:          {"blocks by the recipient or carriers", "reach them another way; ask Twilio's support about a block that is not theirs", "R159, R274, " + errorsPage + "30004", false},
	ContentRefused:          {"text and files", "shorten the text, leave the files out or make them smaller", "R144, R156, R270", false},
	SendingTooFast:          {"how fast messages are sent", "send more slowly, or from more numbers; it is tried again by itself where Twilio allows it", "R270, " + errorsPage + "30001", false},
	NotDelivered:            {"what became of the message", "send it once more with messageRetry; see Twilio's log with messageTwilioLog", "R159, R270", false},
	MediaFailed:             {"copies of recordings and files", "see the reason; what Twilio still has can be fetched again", "R143, R123", true},
	AutomationDisabled:      {"the rule", "switch it on: automationUpdate(input: {isEnabled: true})", "R175, R272", false},
	AutomationTrigger:       {"the trigger", "see that the record has the date, or that the event is reported", "R272", false},
	AutomationCondition:     {"the conditions", "change the record or the condition", "R272", false},
	AutomationNoRecipient:   {"the recipient", "give the contact a phone, or the rule another recipient", "R272", false},
	AutomationTemplate:      {"the template", "fill the field in, or write what stands there otherwise, such as {{contact.firstName|there}}", "R163, R272", false},
	AutomationSender:        {"the sender", "enable a number that can send messages, or choose another one", "R272", false},
	AutomationTooLate:       {"the time", "what is past is not sent afterwards", "R272", false},
	AutomationCapped:        {"the caps of costs", "raise the cap, or wait for its next period", "R102, R174", false},
	AutomationRefused:       {"what sending said", "see the reason", "R272", false},
	WebhookEndpointDisabled: {"the addresses that are told of events", "mend the receiver, then webhookEndpointEnable and webhookReplay", "R273", true},
	ParkedEvents:            {"events that could not be worked off", "an operator looks at the log of the server and at its metrics", "R268", true},
}

// Title is what is looked at, in a few words.
func (c Code) Title() string { return catalogue[c].title }

// Codes are all codes, those that the doctor looks for by itself if only kept is asked for.
func Codes(kept bool) (out []Code) {
	for c, e := range catalogue {
		if e.kept || !kept {
			out = append(out, c)
		}
	}
	return out
}
