package emulator

import (
	"strconv"
	"time"
)

// Alert is one entry of the debugger list.
type Alert struct {
	SID      string    `json:"sid"`
	At       time.Time `json:"at"`
	Level    string    `json:"level"` // error or warning
	Code     int       `json:"code"`  // Twilio's error code; 0 is the emulator's own complaint
	Text     string    `json:"text"`
	Account  string    `json:"account,omitempty"`
	Resource string    `json:"resource,omitempty"` // SID of the call or message
	URL      string    `json:"url,omitempty"`
	Method   string    `json:"method,omitempty"`
}

func itoa(n int) string { return strconv.Itoa(n) }

func (e *Emulator) alert(a Alert) {
	a.SID, a.At = e.sid("NO"), e.at
	if a.Level == "" {
		a.Level = "error"
	}
	if a.Text == "" {
		a.Text = describe(a.Code)
	}
	e.alerts = append(e.alerts, a)
	if len(e.alerts) > e.o.Keep {
		e.alerts = append(e.alerts[:0:0], e.alerts[len(e.alerts)-e.o.Keep/2:]...)
	}
	e.log.Warn("debugger entry", "code", a.Code, "twilio_sid", a.Resource)
}

// unknown complains about something the emulator cannot imitate.
func (e *Emulator) unknown(account, resource, what string) {
	e.alert(Alert{Account: account, Resource: resource, Text: "the emulator does not know " + what})
}

// Debugger returns the debugger list, oldest first.
func (e *Emulator) Debugger() (list []Alert) {
	e.read(func() { list = append(list, e.alerts...) })
	return list
}

// ClearDebugger empties the debugger list.
func (e *Emulator) ClearDebugger() { e.do(func() { e.alerts = nil }) }

// problem is what Twilio says about one error code.
type problem struct {
	status int // of the HTTP answer, 0 where the code never is one
	text   string
}

func describe(code int) string {
	if p, ok := problems[code]; ok {
		return p.text
	}
	return "error " + itoa(code)
}

// problems are the codes of twilio.com/docs/api/errors that the emulator can give.
var problems = map[int]problem{
	10001: {403, "Account is not active"},
	10002: {403, "Trial account does not support this feature"},
	10004: {400, "Call concurrency limit exceeded"},
	11100: {0, "Invalid URL format"},
	11200: {0, "HTTP retrieval failure"},
	11205: {0, "HTTP connection failure"},
	11206: {0, "HTTP protocol violation"},
	11210: {0, "HTTP bad host name"},
	11215: {0, "HTTP too many redirects"},
	11220: {0, "SSL/TLS handshake error"},
	11240: {0, "Invalid webhook connection override"},
	11750: {0, "TwiML response body too large"},
	11751: {0, "Media Message - Media exceeds messaging provider size limit"},
	11770: {0, "Empty TwiML response body"},
	12100: {0, "Document parse failure"},
	12200: {0, "Schema validation warning"},
	12300: {0, "Invalid Content-Type"},
	13201: {0, "Dial: cannot Dial out from a Dial call segment"},
	13214: {0, "Dial: invalid callerId value"},
	13223: {0, "Dial: invalid phone number format"},
	13224: {0, "Dial: invalid phone number"},
	13801: {0, "Refer is not allowed on a leg that is not SIP"},
	13802: {0, "Dial: no referUrl"},
	13227: {0, "Dial: no international permission"},
	13230: {0, "Dial->Conference: Invalid muted value"},
	13231: {0, "Dial->Conference: Invalid endConferenceOnExit value"},
	13232: {0, "Dial->Conference: Invalid startConferenceOnEnter value"},
	13234: {0, "Dial->Conference: Invalid waitMethod"},
	13235: {0, "Dial->Conference: Invalid beep value"},
	13237: {0, "Dial->Conference: Invalid Conference Name"},
	13238: {0, "Dial->Conference: Invalid Verb used in waitUrl, holdUrl, or announceUrl TwiML"},
	13239: {0, "Dial->Conference: Invalid Trim Value"},
	13240: {0, "Dial->Conference: Invalid Whisper SID"},
	13250: {0, "Dial: too many numbers"},
	13420: {0, "Play: invalid Content-Type"},
	13521: {0, "Say: text too long"},
	13617: {0, "Record: maxLength out of range"},
	14107: {0, "SMS send rate limit exceeded"},
	14202: {0, "Enqueue: invalid waitUrl"},
	14204: {0, "Enqueue: queue name too short"},
	14205: {0, "Enqueue: queue name too long"},
	14207: {0, "Enqueue: the queue has reached its maximum size"},
	14211: {0, "Dial->Queue: invalid whisper URL"},
	15003: {0, "Call progress: warning response to callback URL"},
	15004: {0, "Relative URL in inline TwiML"},
	16002: {400, "Failed to validate conference attributes"},
	16011: {0, "Conference Event: Error Response to Callback URL"},
	16020: {400, "Conference is full"},
	16022: {400, "Conference does not exist or is completed"},
	16023: {0, "Dial->Conference: Invalid participant label, must not exceed 128 characters, must not be a CallSid, must not contain '/'"},
	16024: {400, "Invalid participant label, must not exceed 128 characters, must not be a CallSid, must not contain '/'"},
	16025: {0, "Dial->Conference: Participant label is in use by another participant"},
	16026: {400, "Participant label is in use by another participant"},
	16027: {400, "Participant to be whispered is on hold"},
	16028: {400, "Participant to be whispered is not present in the conference"},
	20001: {400, "Unknown parameters"},
	20003: {401, "Authenticate"},
	20004: {405, "Method not allowed"},
	20005: {403, "Account not active"},
	20006: {403, "Access Denied"},
	20008: {403, "Resource not accessible with Test Account Credentials"},
	20009: {409, "Cannot delete this resource before it is complete"},
	20101: {401, "Invalid Access Token"},
	20104: {401, "Access Token expired or expiration date invalid"},
	20404: {404, "The requested resource was not found"},
	20409: {409, "Conflict"},
	20429: {429, "Too Many Requests"},
	20500: {500, "An internal server error has occurred"},
	20503: {503, "Service unavailable"},
	21201: {400, "No 'To' number specified"},
	21203: {400, "International calling not enabled"},
	21205: {400, "Url parameter is not a valid URL"},
	21208: {400, "Invalid 'Timeout' parameter"},
	21210: {400, "'From' phone number not verified"},
	21211: {400, "Invalid 'To' Phone Number"},
	21212: {400, "Invalid 'From' Number"},
	21213: {400, "'From' phone number is required"},
	21214: {400, "'To' phone number cannot be reached"},
	21215: {400, "Account not authorized to call phone number"},
	21216: {400, "Account not allowed to call phone number"},
	21217: {400, "Phone number does not appear to be valid"},
	21218: {400, "Invalid ApplicationSid"},
	21219: {400, "'To' phone number not verified"},
	21220: {400, "Call is not in-progress. Cannot redirect."},
	21234: {400, "Invalid parameter value"},
	21262: {0, "Answering machine detection is asynchronous and has no callback: its result is only on the call"},
	21231: {400, "SIP domain is not valid"},
	21232: {400, "Invalid SIP domain"},
	21235: {400, "IP access control list is not valid"},
	21236: {400, "IP access control list is in use"},
	21238: {400, "IP address is not valid"},
	21240: {400, "Credential list is not valid"},
	21241: {400, "Credential list is in use"},
	21243: {400, "Credential is not valid"},
	21263: {400, "Invalid answering machine detection parameters"},
	21401: {400, "Invalid Phone Number"},
	21408: {400, "Permission to send an SMS has not been enabled for the region indicated by the 'To' number"},
	21421: {400, "PhoneNumber is invalid"},
	21422: {400, "PhoneNumber is not available"},
	21450: {400, "Phone number is already verified for your account"},
	21452: {400, "No phone numbers found in area code"},
	21481: {400, "Invalid PageToken"},
	21502: {400, "Invalid Voice URL"},
	21601: {400, "Phone number is not a valid SMS-capable inbound phone number"},
	21602: {400, "Message body is required."},
	21603: {400, "A 'From' phone number is required."},
	21604: {400, "A 'To' phone number is required."},
	21606: {400, "The 'From' phone number provided is not a valid message-capable Twilio phone number for this destination."},
	21608: {400, "The number is unverified. Trial accounts cannot send messages to unverified numbers."},
	21609: {400, "Invalid 'StatusCallback' URL"},
	21610: {400, "Attempt to send to unsubscribed recipient"},
	21611: {400, "This 'From' number has exceeded the maximum number of queued messages"},
	21612: {400, "The 'To' phone number is not currently reachable via SMS"},
	21614: {400, "'To' number is not a valid mobile number"},
	21617: {400, "The concatenated message body exceeds the 1600 character limit"},
	21619: {400, "Unable to create record"},
	21620: {400, "Invalid media URL(s)"},
	21623: {400, "Number of media files exceeds allowed limit"},
	21624: {400, "Invalid validity period value"},
	21658: {400, "Parameter exceeded character limit"},
	21701: {404, "The Messaging Service does not exist"},
	21702: {400, "The Messaging Service is not available to send new messages"},
	21703: {400, "The Messaging Service does not have a phone number available to send a message"},
	21704: {400, "The Messaging Service contains no phone numbers"},
	21705: {400, "The Messaging Service is invalid"},
	21708: {400, "Alpha Sender ID missing from the request"},
	21709: {400, "Alpha Sender ID is invalid or not authorized for this Messaging Service"},
	21710: {409, "Phone Number already exists in the Messaging Service"},
	21711: {400, "Phone Number, Short Code or Alpha Sender is not associated to the specified Messaging Service"},
	21712: {409, "Phone Number or Short Code is associated with another Messaging Service"},
	21713: {400, "Messaging Service use case is invalid"},
	21714: {400, "Messaging Service number pool size limit reached"},
	21715: {400, "Phone Number does not have correct Messaging Service capabilities"},
	22003: {400, "A queue with this FriendlyName exists already"},
	30001: {0, "Queue overflow"},
	30002: {0, "Account suspended"},
	30003: {0, "Unreachable destination handset"},
	30004: {0, "Message blocked"},
	30005: {0, "Unknown destination handset"},
	30006: {0, "Landline or unreachable carrier"},
	30007: {0, "Message filtered"},
	30008: {0, "Unknown error"},
	30009: {0, "Missing inbound segment"},
	30010: {0, "Message price exceeds max price"},
	30011: {0, "MMS not supported by the receiving phone number in this region"},
	30017: {0, "Carrier network congestion"},
	30018: {0, "Destination carrier requires sender ID pre-registration"},
	30019: {0, "Content size exceeds carrier limit"},
	30022: {0, "US A2P 10DLC - rate limits exceeded"},
	30023: {0, "US A2P 10DLC - daily message cap reached"},
	30024: {0, "Numeric sender ID not provisioned on carrier"},
	30025: {0, "US A2P 10DLC - half of the daily message limit is consumed"},
	30032: {0, "Toll-free number has not been verified"},
	30034: {0, "Message from an unregistered number"},
	30035: {0, "Number is still being configured"},
	30410: {0, "Provider timeout"},
	30450: {0, "Message delivery blocked"},
	32002: {0, "SIP: no such domain"},
	32007: {0, "SIP: too many registrations of one address"},
	32009: {0, "The user you tried to dial is not registered with the corresponding SIP Domain"},
	32110: {0, "SIP: URI is formatted incorrectly"},
	32200: {0, "SIP: insufficient permissions"},
	32201: {0, "SIP: source IP address not in ACL"},
	32202: {0, "SIP: bad user credentials"},
	32210: {0, "SIP: register not supported"},
	32212: {0, "SIP: registration authentication problem"},
	32218: {0, "SIP: transfer not allowed"},
	32018: {400, "Twiml parameter is longer than 4000 characters"},
	32019: {0, "Both Twiml and Url are given; Url is used"},
	52002: {0, "Invalid push credential"},
	35111: {400, "SendAt missing"},
	35114: {400, "SendAt must be between 300 seconds and 35 days in the future"},
	35117: {400, "Scheduling does not support this timestamp"},
	35125: {400, "Maximum limit reached in the account for scheduling messages"},
	35126: {400, "The ScheduleType value provided is not supported for this channel"},
	35118: {400, "MessagingServiceSid is required to schedule a message"},
}
