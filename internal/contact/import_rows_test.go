package contact_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/id"
)

// masked makes the contact one whom the user reaches through a masked number.
func (b *bundle) masked(user, c id.ID) {
	b.t.Helper()
	connection, number := id.New(id.Connection), id.New(id.PhoneNumber)
	r, err := b.svc.CreateRecord(b.t.Context(), b.admin, contact.RecordCreate{Kind: contact.RecordBooking, Title: "B", ContactID: c})
	if err != nil {
		b.t.Fatal(err)
	}
	b.exec(`INSERT INTO twilio_connection (organization_id, id, name, account_sid, account_type, account_status, updated_at)
		VALUES ($1, $2, 'x', 'AC' || replace($2::uuid::text, '-', ''), 'FULL', 'ACTIVE', $3)`, b.org, connection, start)
	b.exec(`INSERT INTO phone_number (organization_id, id, connection_id, twilio_sid, e164, name, country, can_voice, can_sms, can_mms, updated_at)
		VALUES ($1, $2, $3, 'PN' || replace($2::uuid::text, '-', ''), '+61255500000', 'x', 'AU', true, true, true, $4)`, b.org, number, connection, start)
	b.exec(`INSERT INTO masked_pair (organization_id, id, record_id, contact_id, user_id, phone_number_id, customer_number, fieldworker_number, expires_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, '+61255501234', '+61255501111', $7, $7)`, b.org, id.New(id.MaskedPair), r.ID, c, user, number, start)
}

func TestWhomADetailOfAFileFindsIsHiddenFromWhoeverHidesIt(t *testing.T) { // R103, R241
	t.Parallel()
	b := setup(t)
	fred := b.own("fred", access.ContactView, access.ContactEdit, access.ContactImport)
	hides := fred
	hides.Switched = []access.FieldworkerOption{access.DisplayContactDetails}
	who := fred
	jobs := b.importingAs(func() access.Actor { return who })
	mine := b.contact(b.admin, contact.Create{Name: "Mine", Email: ptr("mine@example.com"), Phones: phones(line), AssignedUserID: fred.UserID, ExternalID: ptr("E1")})
	people := func(by contact.ImportMatch, file string) []string {
		_, rows := b.run(jobs, contact.ImportCreate{Subject: contact.ImportsContacts, Kind: "LEAD", UpdateBy: by, DryRun: true}, file)
		return rows
	}
	things := func(file string) []string {
		_, rows := b.run(jobs, contact.ImportCreate{Subject: contact.ImportsRecords, Kind: "QUOTE", DryRun: true}, file)
		return rows
	}
	for _, x := range []struct {
		why  string
		who  access.Actor
		rows func() []string
		want []string
	}{
		{"their own, by its number", fred, func() []string { return people(contact.MatchesNumber, "name,phone\nMine,02 5550 1234\n") }, []string{"2 UNCHANGED"}},
		{"a number, hidden", hides, func() []string {
			return people(contact.MatchesNumber, "name,phone\nMine,02 5550 1234\nNobody,02 5550 9999\n")
		},
			[]string{"2 FAILED phones", "3 FAILED phones"}},
		{"an e-mail, hidden", hides, func() []string {
			return people(contact.MatchesEmail, "name,email\nMine,mine@example.com\nNobody,no@example.com\n")
		},
			[]string{"2 FAILED email", "3 FAILED email"}},
		{"an external id is no detail", hides, func() []string { return people(contact.MatchesNumber, "id,name\nE1,Mine\n") }, []string{"2 UNCHANGED"}},
		{"a guess, hidden", hides, func() []string {
			return people(contact.MatchesNumber, "id,name,phone,email\nE1,Mine,02 5550 1234,\nE1,Mine,02 5550 9999,\nE1,Mine,,mine@example.com\nE1,Mine,,no@example.com\n")
		}, []string{"2 UPDATED", "3 UPDATED", "4 UPDATED", "5 UPDATED"}},
		{"a record's, hidden", hides, func() []string {
			return things("title,phone,email,customer id\nA,02 5550 1234,,\nB,,mine@example.com,\nC,02 5550 9999,,\nD,02 5550 1234,,E1\n")
		}, []string{"2 FAILED phones", "3 FAILED email", "4 FAILED phones", "5 CREATED"}},
	} {
		who = x.who
		if d := cmp.Diff(x.want, x.rows()); d != "" {
			t.Errorf("%s -want +got:\n%s", x.why, d)
		}
	}
	// They see the contact, and reach it through a masked number: whose number it is they do not learn.
	b.masked(fred.UserID, mine.ID)
	who = fred
	if d := cmp.Diff([]string{"2 CREATED"}, people(contact.MatchesNumber, "name,phone\nMine,02 5550 1234\n")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"2 UPDATED", "3 UPDATED"}, people("", "id,name,phone\nE1,Mine,02 5550 1234\nE1,Mine,02 5550 9999\n")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"2 FAILED phones", "3 CREATED"}, things("title,phone,email\nA,02 5550 1234,\nB,,mine@example.com\n")); d != "" {
		t.Error(d)
	}
}

func TestRowsOfOneBatchAboutOneContactAreDoneOneAfterTheOther(t *testing.T) {
	t.Parallel()
	for why, x := range map[string]struct {
		file string
		want []string
		name []string // of all contacts, newest first
	}{
		"by id, then by number":                      {"E1,New name,02 5550 1234,\n,Newer,02 5550 1234,bob@example.com\n", []string{"2 UPDATED", "3 UPDATED"}, []string{"Newer"}},
		"by number, then by id":                      {",Newer,02 5550 1234,\nE1,New name,,bob@example.com\n", []string{"2 UPDATED", "3 UPDATED"}, []string{"New name"}},
		"by a number that an id of the batch brings": {"E1,,02 5550 1299,\n,Newer,02 5550 1299,\n", []string{"2 UPDATED", "3 UPDATED"}, []string{"Newer"}},
		"of a contact that is new by its id":         {"E2,Eve,02 5550 1298,\n,,02 5550 1298,eve@example.com\n", []string{"2 CREATED", "3 UPDATED"}, []string{"Eve", "Bob"}},
		"of a new one with two numbers":              {",Eve,02 5550 1298,,02 5550 1297\n,,02 5550 1297,eve@example.com\n", []string{"2 CREATED", "3 UPDATED"}, []string{"Eve", "Bob"}},
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			jobs := b.importing()
			b.contact(b.boss(), contact.Create{Name: "Bob", Phones: phones(line), ExternalID: ptr("E1")})
			imp, rows := b.run(jobs, contact.ImportCreate{Subject: contact.ImportsContacts, Kind: "LEAD", UpdateBy: contact.MatchesNumber}, "id,name,phone,email,mobile\n"+x.file)
			if d := cmp.Diff(x.want, rows); d != "" || imp.Status != contact.ImportDone {
				t.Errorf("%s %s", imp.Status, d)
			}
			w, err := b.svc.List(t.Context(), b.admin, contact.Filter{}, db.Page{})
			if d := cmp.Diff(x.name, names(w.Nodes)); d != "" || err != nil {
				t.Errorf("%s %v", d, err)
			}
		})
	}
}
