package message

import (
	"strings"
)

// FieldType is what a field of a template holds.
type FieldType string

// The types of field. FieldAny is one of record.data, which may hold anything.
const (
	FieldText  FieldType = "TEXT"
	FieldTime  FieldType = "TIME"
	FieldMoney FieldType = "MONEY"
	FieldAny   FieldType = "ANY"
)

// FieldInfo describes a field that a template may use (R163).
type FieldInfo struct {
	Path        string // "record.data.*" stands for every name below it
	Type        FieldType
	Description string
	Example     string
}

// FieldSet is what a template of one kind may use, in the order to show it.
type FieldSet []FieldInfo

const anyData = "record.data.*"

// The kinds of record, as package contact names them.
const (
	onBooking   = "BOOKING"
	onQuote     = "QUOTE"
	onInvoice   = "INVOICE"
	onInquiry   = "INQUIRY"
	onComplaint = "COMPLAINT"
)

var recordKinds = []string{onBooking, onQuote, onInvoice, onInquiry, onComplaint}

// personFields are there in every template; recordFields only in those of a
// record, and of these each only where its kind has it.
var (
	personFields = FieldSet{
		{"contact.name", FieldText, "The contact's whole name.", "Ann Miller"},
		{"contact.firstName", FieldText, "The contact's first name.", "Ann"},
		{"contact.lastName", FieldText, "The contact's last name.", "Miller"},
		{"contact.company", FieldText, "The contact's company.", "Miller Plumbing"},
		{"contact.email", FieldText, "The contact's e-mail address.", "ann@example.com"},
		{"contact.phone", FieldText, "The contact's main phone number.", "+61255501234"},
		{"contact.location", FieldText, "Where the contact is.", "Newtown"},
		{"user.name", FieldText, "The whole name of whoever sends it or is in charge.", "Bob Brown"},
		{"user.firstName", FieldText, "The first name of whoever sends it or is in charge.", "Bob"},
		{"business.name", FieldText, "The name of the business.", "Harbour Plumbing"},
		{"business.phone", FieldText, "The Company Phone.", "+61255501000"},
	}
	recordFields = []struct {
		FieldInfo
		of string // the kinds that have it, one after the other; "" is all
	}{
		{FieldInfo{"record.title", FieldText, "What the record is about.", "Hot water repair"}, ""},
		{FieldInfo{"record.status", FieldText, "Where the record stands.", "CONFIRMED"}, ""},
		{FieldInfo{"record.externalId", FieldText, "The record's number in the other system.", "INV-1042"}, ""},
		{FieldInfo{"record.startsAt", FieldTime, "When the work begins; date and time unless :date or :time.", "Tue 24 Nov 2026 14:30"}, onBooking},
		{FieldInfo{"record.endsAt", FieldTime, "When the work ends; date and time unless :date or :time.", "Tue 24 Nov 2026 16:00"}, onBooking},
		{FieldInfo{"record.etaAt", FieldTime, "When the fieldworker arrives; the time unless :date or :datetime.", "14:10"}, onBooking},
		{FieldInfo{"record.nextServiceAt", FieldTime, "When the next service is due; the date unless :time or :datetime.", "Mon 24 May 2027"}, onBooking},
		{FieldInfo{"record.expiresAt", FieldTime, "Until when the quote holds; the date unless :time or :datetime.", "Fri 4 Dec 2026"}, onQuote},
		{FieldInfo{"record.dueAt", FieldTime, "When the invoice is due; the date unless :time or :datetime.", "Tue 8 Dec 2026"}, onInvoice},
		{FieldInfo{"record.amount", FieldMoney, "The amount with its currency.", "120.00 AUD"}, onBooking + onQuote + onInvoice},
		{FieldInfo{"record.url", FieldText, "The link to the record.", "https://example.com/i/1042"}, ""},
		{FieldInfo{"record.trackingUrl", FieldText, "The link that shows where the fieldworker is.", "https://example.com/t/77"}, onBooking},
		{FieldInfo{"record.service", FieldText, "The kind of work.", "Plumbing"}, ""},
		{FieldInfo{"record.location", FieldText, "Where the work is.", "12 King St, Newtown"}, ""},
		{FieldInfo{anyData, FieldAny, "A field of the record's own data, such as record.data.warranty; a time may have :date, :time or :datetime.", "2 years"}, ""},
	}
	eventFields = FieldSet{
		{"event.eta", FieldTime, "When somebody arrives, as the event that started an automation says; the time unless :date or :datetime.", "14:10"},
		{"event.note", FieldText, "The note of the event that started an automation.", "traffic on the bridge"},
	}
)

// FieldsFor are the fields for templates of a kind of record ("BOOKING"); any
// other kind, "" among them, is a template about a contact alone.
func FieldsFor(kind string) FieldSet {
	set := append(FieldSet{}, personFields...)
	for _, k := range recordKinds {
		if k != kind {
			continue
		}
		for _, f := range recordFields {
			if f.of == "" || strings.Contains(f.of, kind) {
				set = append(set, f.FieldInfo)
			}
		}
	}
	return append(set, eventFields...)
}

// Find is the field of the set that a path names.
func (s FieldSet) Find(path string) (FieldInfo, bool) {
	for _, f := range s {
		if f.Path == path && path != anyData {
			return f, true
		}
		if group, ok := strings.CutSuffix(f.Path, "*"); ok && len(path) > len(group) && strings.HasPrefix(path, group) {
			return f, true
		}
	}
	return FieldInfo{}, false
}

// defaultFormat is how a time is written without a format.
func defaultFormat(path string) string {
	switch path {
	case "record.etaAt", "event.eta":
		return "time"
	case "record.dueAt", "record.expiresAt", "record.nextServiceAt":
		return "date"
	}
	return "datetime"
}

// hasField reports whether any kind of template has the field.
func hasField(path string) bool {
	for _, k := range recordKinds {
		if _, ok := FieldsFor(k).Find(path); ok {
			return true
		}
	}
	return false
}

// instead says who has a field that the set lacks.
func (s FieldSet) instead(path string) string {
	var who []string
	for _, k := range recordKinds {
		if _, ok := FieldsFor(k).Find(path); ok {
			who = append(who, k)
		}
	}
	if len(who) == len(recordKinds) {
		return "this template is about a contact alone; choose a kind of record for it"
	}
	return "only templates of " + strings.Join(who, ", ") + " have it; choose another field or another kind of record"
}

// otherWords are what people call the groups.
var otherWords = map[string]string{
	"customer": "contact", "client": "contact", "lead": "contact", "person": "contact", "recipient": "contact",
	"booking": "record", "quote": "record", "invoice": "record", "inquiry": "record", "complaint": "record", "job": "record", "appointment": "record",
	"company": "business", "organization": "business", "organisation": "business", "agent": "user", "staff": "user", "employee": "user", "sender": "user",
}

// nearest is the field of the set that was probably meant; "" when none is near.
func (s FieldSet) nearest(path string) string {
	wanted := folded(path)
	best, least := "", max(2, len(wanted)/4)+1
	for _, f := range s {
		if d := distance(wanted, folded(f.Path)); f.Path != anyData && d < least {
			best, least = f.Path, d
		}
	}
	return best
}

// folded is a path without case, separators and other people's words.
func folded(path string) string {
	group, name, _ := strings.Cut(strings.ToLower(path), ".")
	if usual, ok := otherWords[group]; ok {
		group = usual
	}
	return group + "." + strings.NewReplacer("_", "", "-", "", ".", "").Replace(name)
}

// distance is how many letters to change, add or leave out (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// NameParts splits a name into the first and the last ("Ann Miller", "Miller,
// Ann"); what has one word has no last name.
func NameParts(name string) (first, last string) {
	name = strings.Trim(name, ", ")
	if family, given, ok := strings.Cut(name, ","); ok {
		return strings.Join(strings.Fields(given), " "), strings.Join(strings.Fields(family), " ")
	}
	words := strings.Fields(name)
	if len(words) == 0 {
		return "", ""
	}
	return words[0], strings.Join(words[1:], " ")
}
