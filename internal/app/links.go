package app

import "switchboard/internal/contact"

// linked are the tables that link to contacts and records: merging a contact moves
// what they hold, and a legal hold on it keeps the contact. A test compares them with
// the foreign keys of the database.
var linked = []contact.Link{
	{Table: "call", Contacts: true, Records: true, Holds: true},
	{Table: "voicemail", Contacts: true, Holds: true},
	{Table: "sms_thread", Contacts: true, Holds: true},
	{Table: "message", Contacts: true, Records: true, Holds: true},
	{Table: "bulk_recipient", Contacts: true, Records: true},
	{Table: "automation_run", Contacts: true, Records: true},
	{Table: "consent", Contacts: true},
	{Table: "follow_up", Contacts: true, Records: true},
	{Table: "transcript", Contacts: true, Records: true, Holds: true},
}
