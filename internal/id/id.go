// Package id is the one identifier of the house: a UUIDv7 in SQL (RFC 9562) and
// prefixed text (call_01jd…) everywhere else, so that a log line tells what it
// speaks of.
//
// The last byte of the UUID is the Kind. An id read back from a uuid column
// therefore knows its own prefix, and an id of the wrong kind is told apart
// without asking the database. The text form is the one of TypeID: prefix,
// underscore, 26 characters of Crockford's base32.
package id

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// ID identifies one row. The zero ID means "none": it is NULL in SQL.
type ID struct{ b [16]byte }

// Kind says what an ID identifies. Its number is stored inside every ID: never renumber.
type Kind byte

// The kinds. Append only.
const (
	Organization Kind = iota + 1
	Login
	User
	Role
	Session
	Invitation
	APIKey
	UserPhone
	Device
	Connection
	PhoneNumber
	Branch
	Team
	BusinessUnit
	Contact
	Campaign
	Record
	Call
	Leg
	Recording
	Voicemail
	Thread
	Message
	Media
	Event
	Upload
	Secret
	Post
	Fact
	Audit
	Import
	OptOut
	Node
	Schedule
	Menu
	IgnoredNumber
	DropMessage
	MaskedPair
	SIPDomain
	PushCredential
	Template
	Bulk
	BulkRecipient
	Automation
	AutomationRun
	Consent
	RecordEvent
	UpsertBatch
	WebhookEndpoint
	WebhookDelivery
	WebhookAttempt
	FollowUp
	Notification
	PushSubscription
	Transcript
	TranscriptNote
	LegalHold
	RetentionRule
	RetentionRun
	Export
	Finding
	CostCap
)

var prefixes = [...]string{
	Organization: "org", Login: "login", User: "user", Role: "role", Session: "sess", Invitation: "inv", APIKey: "key",
	UserPhone: "uphone", Device: "dev", Connection: "conn", PhoneNumber: "num", Branch: "branch", Team: "team",
	BusinessUnit: "unit", Contact: "contact", Campaign: "campaign", Record: "record", Call: "call", Leg: "leg",
	Recording: "rec", Voicemail: "vm", Thread: "thread", Message: "msg", Media: "media", Event: "event",
	Upload: "upload", Secret: "secret", Post: "post", Fact: "fact", Audit: "audit", Import: "import", OptOut: "optout",
	Node: "node", Schedule: "hours", Menu: "menu", IgnoredNumber: "ignored", DropMessage: "drop", MaskedPair: "mask", SIPDomain: "sip",
	PushCredential: "push",
	Template:       "tmpl", Bulk: "bulk", BulkRecipient: "bulkto", Automation: "auto", AutomationRun: "autorun", Consent: "consent",
	RecordEvent: "recevent", UpsertBatch: "batch",
	WebhookEndpoint: "hook", WebhookDelivery: "dlv", WebhookAttempt: "try",
	FollowUp: "followup", Notification: "notif", PushSubscription: "pushsub", Transcript: "trans", TranscriptNote: "tnote",
	LegalHold: "hold", RetentionRule: "rule", RetentionRun: "rulerun", Export: "export", Finding: "finding", CostCap: "cap",
}

var kinds = func() map[string]Kind {
	m := map[string]Kind{}
	for k, p := range prefixes {
		if p != "" {
			m[p] = Kind(k)
		}
	}
	return m
}()

// String is the kind's prefix, without the underscore.
func (k Kind) String() string {
	if int(k) < len(prefixes) && prefixes[k] != "" {
		return prefixes[k]
	}
	return "unknown"
}

// KindOf is the kind whose ids begin with the prefix; 0 when there is none.
func KindOf(prefix string) Kind { return kinds[prefix] }

// New makes an ID that sorts after those made before it in this process.
func New(k Kind) ID {
	u, err := uuid.NewV7()
	if err != nil { // the system's random source is gone: nothing can go on safely
		panic(err)
	}
	x := ID{b: u}
	x.b[15] = byte(k)
	return x
}

// FromUUID takes the 16 bytes of a uuid column.
func FromUUID(b [16]byte) ID { return ID{b: b} }

// UUID is the 16 bytes of the uuid column.
func (x ID) UUID() [16]byte { return x.b }

// Kind is what x identifies.
func (x ID) Kind() Kind { return Kind(x.b[15]) }

// IsZero reports whether x is "none".
func (x ID) IsZero() bool { return x.b == [16]byte{} }

// String is the text form, "" for the zero ID.
func (x ID) String() string {
	if x.IsZero() {
		return ""
	}
	var text [40]byte // longer than any prefix and what follows it
	return string(x.append(text[:0]))
}

func (x ID) append(text []byte) []byte {
	text = append(append(text, x.Kind().String()...), '_')
	hi, lo := be(x.b[:8]), be(x.b[8:])
	text = append(text, "00000000000000000000000000"...)
	// 128 bits as 26 characters; the first holds three bits.
	for i, out := 25, text[len(text)-26:]; i >= 0; i-- {
		out[i] = alphabet[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return text
}

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

var reverse = func() (r [256]int8) {
	for i := range r {
		r[i] = -1
	}
	for i := range alphabet {
		r[alphabet[i]] = int8(i)
	}
	return r
}()

func be(b []byte) (n uint64) {
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

// Error says what is wrong with an id that somebody gave us.
type Error string

func (e Error) Error() string { return string(e) }

// Invalid marks the error as one that a client may read (package errs).
func (e Error) Invalid() string { return string(e) }

// Parse reads the text form. The error is an Error and shows only the start of the text.
func Parse(s string) (ID, error) {
	prefix, rest, ok := strings.Cut(s, "_")
	kind, known := kinds[prefix]
	if !ok || !known || len(rest) != 26 || rest[0] > '7' {
		return ID{}, malformed(s)
	}
	var hi, lo uint64
	for i := range 26 {
		v := reverse[rest[i]]
		if v < 0 {
			return ID{}, malformed(s)
		}
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(v)
	}
	var x ID
	for i := 7; i >= 0; i-- {
		x.b[i], x.b[8+i] = byte(hi), byte(lo)
		hi >>= 8
		lo >>= 8
	}
	if x.Kind() != kind {
		return ID{}, malformed(s)
	}
	return x, nil
}

// ParseKind reads the text form of one kind; an id of another kind is refused by name.
func ParseKind(s string, want Kind) (ID, error) {
	x, err := Parse(s)
	if err != nil {
		return ID{}, err
	}
	return x, x.Want(want)
}

// Want returns an Error unless x is of the kind.
func (x ID) Want(k Kind) error {
	if x.Kind() != k {
		return Error(fmt.Sprintf("this is the id of a %s; a %s_… id is needed here", x.Kind(), k))
	}
	return nil
}

func malformed(s string) error {
	if len(s) > 12 {
		s = s[:12] + "…"
	}
	return Error(fmt.Sprintf("%q is not an id; ids look like call_01h455vb4pex5vsknk084sn02q", s))
}

// Scan reads a uuid column; NULL gives the zero ID.
func (x *ID) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*x = ID{}
		return nil
	case [16]byte:
		x.b = v
		return nil
	case []byte:
		if len(v) == 16 {
			copy(x.b[:], v)
			return nil
		}
		return x.Scan(string(v))
	case string:
		u, err := uuid.Parse(v)
		x.b = u
		return err
	}
	return fmt.Errorf("id: cannot scan %T", src)
}

// Value writes a uuid; the zero ID is NULL.
func (x ID) Value() (driver.Value, error) {
	if x.IsZero() {
		return nil, nil
	}
	return uuid.UUID(x.b).String(), nil
}

// ScanUUID implements pgtype.UUIDScanner.
func (x *ID) ScanUUID(v pgtype.UUID) error {
	*x = ID{}
	if v.Valid {
		x.b = v.Bytes
	}
	return nil
}

// UUIDValue implements pgtype.UUIDValuer.
func (x ID) UUIDValue() (pgtype.UUID, error) {
	return pgtype.UUID{Bytes: x.b, Valid: !x.IsZero()}, nil
}

// MarshalText is the text form, so that JSON shows it.
func (x ID) MarshalText() ([]byte, error) { return []byte(x.String()), nil }

// UnmarshalText reads the text form; empty text is the zero ID.
func (x *ID) UnmarshalText(b []byte) (err error) {
	*x = ID{}
	if len(b) > 0 {
		*x, err = Parse(string(b))
	}
	return err
}

// MarshalGQL writes the GraphQL ID.
func (x ID) MarshalGQL(w io.Writer) {
	_, _ = io.WriteString(w, strconv.Quote(x.String()))
}

// UnmarshalGQL reads a GraphQL ID.
func (x *ID) UnmarshalGQL(v any) (err error) {
	switch s := v.(type) {
	case string:
		*x, err = Parse(s)
		return err
	case json.Number:
		return malformed(s.String())
	}
	return malformed(fmt.Sprint(v))
}
