package twilio

type why struct {
	reason, advice string
	retry          bool
}

const (
	fixNumber  = "check the number"
	otherFrom  = "choose another number to send from"
	askAdmin   = "an administrator can allow it in the Twilio Console"
	ours       = "tell the administrator of this system"
	later      = "it is tried again later"
	callEnded  = "read the call again: it has moved on"
	fixService = "check the Messaging Service in the Twilio Console"
)

// reasons says in plain words what Twilio's numbers mean to the people here.
var reasons = map[int]why{
	10001: {"the Twilio account is not active", "check the account in the Twilio Console", false},
	10002: {"a trial account cannot do this", "upgrade the Twilio account", false},
	10003: {"the Twilio account is not allowed to do this", askAdmin, false},
	10004: {"too many calls are running on the Twilio account", later, true},
	20003: {"Twilio refused the credentials", "enter the Account SID and auth token of the connection again", false},
	20005: {"the Twilio account is not active", "check the account in the Twilio Console", false},
	20006: {"the Twilio credentials do not allow this", "use credentials with full access", false},
	20008: {"this does not work with Twilio test credentials", "enter the live credentials", false},
	20404: {"Twilio has no such thing in this account", "check that the SID and the account belong together", false},
	20409: {"it was changed by somebody else at the same moment", "read it again", false},
	20429: {"Twilio is taking too many requests at once", later, true},
	20500: {"Twilio has an error of its own", later, true},
	20503: {"Twilio is unavailable", later, true},
	21201: {"there is no number to call", fixNumber, false},
	21203: {"international calling is off in the Twilio account", askAdmin, false},
	21205: {"Twilio cannot use our web address", ours, false},
	21208: {"the ring time is out of range", "choose 5 to 600 seconds", false},
	21210: {"the caller ID is not a number of this Twilio account", otherFrom, false},
	21211: {"the number to call is not valid", fixNumber, false},
	21212: {"the caller ID is not valid", otherFrom, false},
	21213: {"there is no caller ID", otherFrom, false},
	21214: {"the number cannot be reached", fixNumber, false},
	21215: {"calls to that country are not allowed in the Twilio account", askAdmin, false},
	21216: {"Twilio blocks calls to that number", fixNumber, false},
	21217: {"the number is not valid", fixNumber, false},
	21218: {"the TwiML App does not exist", "connect the Twilio account again", false},
	21219: {"a trial account may only call verified numbers", "verify the number or upgrade the Twilio account", false},
	21220: {"the call is not in a state that allows this", callEnded, false},
	21234: {"a value for answering machine detection is out of range", ours, false},
	21401: {"the phone number is not valid", fixNumber, false},
	21404: {"trial accounts cannot have this kind of number", "upgrade the Twilio account", false},
	21408: {"messages to that country are not allowed in the Twilio account", askAdmin, false},
	21421: {"the phone number is not valid", fixNumber, false},
	21422: {"the phone number is not available any more", "choose another number", false},
	21450: {"the number is already verified", "it can be used as caller ID", false},
	21452: {"there is no number in that area", "choose another area", false},
	21481: {"the list changed while it was read", later, true},
	21601: {"the number to send from cannot send messages", otherFrom, false},
	21602: {"the message is empty", "write a text or add a picture", false},
	21603: {"there is no number to send from", otherFrom, false},
	21604: {"there is no number to send to", fixNumber, false},
	21606: {"the number to send from cannot send to this destination", otherFrom, false},
	21608: {"a trial account may only write to verified numbers", "verify the number or upgrade the Twilio account", false},
	21609: {"Twilio cannot use our web address", ours, false},
	21610: {"the recipient asked for no messages", "they can text START to receive them again", false},
	21611: {"too many messages wait to go out from this number", later, true},
	21612: {"the recipient cannot be reached from this number", otherFrom, false},
	21614: {"the number is no mobile", "call it instead", false},
	21617: {"the message is longer than 1600 characters", "shorten it", false},
	21619: {"Twilio could not take the message", later, true},
	21620: {"Twilio could not read a picture of the message", "send it again or leave the picture out", false},
	21623: {"the message has more than ten pictures", "leave some out", false},
	21624: {"the validity period is out of range", ours, false},
	21701: {"the Messaging Service does not exist", fixService, false},
	21702: {"the Messaging Service is missing", fixService, false},
	21703: {"the Messaging Service has no sender", fixService, false},
	21704: {"the Messaging Service has no number that can send this", fixService, false},
	21705: {"the Messaging Service is not usable", fixService, false},
	21712: {"the number is in another Messaging Service", fixService, false},
	21714: {"the Messaging Service is full", fixService, false},
	30001: {"too many messages wait to go out", later, true},
	30002: {"the Twilio account is suspended", "check the account in the Twilio Console", false},
	30003: {"the phone cannot be reached: off, without signal, or a landline", "try again in some hours", false},
	30004: {"the recipient or their carrier blocks messages from this number", "call instead", false},
	30005: {"the number does not exist or is out of service", fixNumber, false},
	30006: {"the number is a landline or its carrier takes no messages", "call it instead", false},
	30007: {"the carrier filtered the message as unwanted", "change the wording or register the sender", false},
	30008: {"the carrier gave no reason", "it may be sent once more", false},
	30010: {"the message costs more than the limit", ours, false},
	30011: {"the carrier takes no picture messages", "send the text alone", false},
	30017: {"the carrier's network is congested", later, true},
	30018: {"this country wants the sender name registered", askAdmin, false},
	30019: {"the picture is too big for the carrier", "send a smaller one", false},
	30022: {"the campaign sends faster than the carriers allow", later, true},
	30023: {"the daily limit of the brand is reached", "send tomorrow", false},
	30024: {"the number is not set up for this carrier", askAdmin, false},
	30032: {"the toll-free number is not verified for messages", askAdmin, false},
	30034: {"the number is not registered for business texting in the United States (10DLC)", askAdmin, false},
	30035: {"the number is still being set up for messages", "try again later", false},
	30410: {"the carrier did not confirm in time", "it may have arrived; send once more with care", false},
	30450: {"the destination is blocked for a while", later, true},
	11200: {"our server did not answer Twilio properly", ours, false},
	11205: {"Twilio could not connect to our server", ours, false},
	11210: {"Twilio could not find our server's name", ours, false},
	11750: {"our answer to Twilio was too large", ours, false},
	12100: {"our answer to Twilio was not XML", ours, false},
	12200: {"our answer to Twilio had an unknown instruction", ours, false},
	12300: {"our answer to Twilio had the wrong type", ours, false},
	13214: {"the caller ID is not allowed for this call", otherFrom, false},
	13223: {"the number dialled is not in international form", fixNumber, false},
	13224: {"the number dialled is not supported", fixNumber, false},
	13225: {"Twilio blocks calls to that number", fixNumber, false},
	13227: {"calls to that country are not allowed in the Twilio account", askAdmin, false},
	13247: {"the caller ID is on a do-not-originate list", otherFrom, false},
	13250: {"more than ten phones were to ring at once", ours, false},
	14107: {"too many automatic replies went to this number", "wait half a minute", false},
	15003: {"our server refused news about a call", ours, false},
	16011: {"our server refused news about a conference", ours, false},
	16020: {"the conference is full", "start another call", false},
	16021: {"too many people are in conferences on the Twilio account", later, true},
	32009: {"the desk phone is not registered", "check the phone's network and credentials", false},
	32018: {"our instructions for the call were too long", ours, false},
	32100: {"a trial account may only call verified numbers", "verify the number or upgrade the Twilio account", false},
	32203: {"Twilio blocks calls to that number", fixNumber, false},
	35118: {"scheduling needs a Messaging Service", fixService, false},
}

// Reason says what one of Twilio's error numbers means, what to do about it, and
// whether sending the same again later makes sense. The texts are empty for a
// number that is not known here.
func Reason(code int) (reason, advice string, retry bool) {
	w := reasons[code]
	return w.reason, w.advice, w.retry
}
