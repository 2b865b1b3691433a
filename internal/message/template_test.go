package message_test

import (
	"strings"
	"testing"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/patch"
)

// templates are those of the stage, and who manages them.
func templates(s *stage) (*message.Templates, access.Actor) {
	who := s.admin
	who.Permissions = access.SetOf(append(who.Permissions.List(), access.TemplateManage)...)
	return message.NewTemplates(message.TemplatesDeps{DB: s.db, Contacts: s.contacts}), who
}

func TestTemplatesAreKept(t *testing.T) { // R161-R163
	t.Parallel()
	s := newStage(t, options{idle: true})
	svc, who := templates(s)
	kind := contact.RecordInvoice
	in := message.NewTemplate{Kind: message.WholeMessage, Name: " Due ", Body: "{{record.amount}}, {{contact.firstName|hello}}\r\n", Purpose: message.ForInvoice, RecordKind: &kind}
	due, err := svc.Create(s.ctx, who, in)
	s.must(err)
	if due.Name != "Due" || due.Body != "{{record.amount}}, {{contact.firstName|hello}}" || len(due.Fields()) != 2 || due.Version != 1 {
		t.Errorf("kept %+v", due)
	}
	for name, x := range map[string]struct {
		in    message.NewTemplate
		code  errs.Code
		field string
	}{
		"no name":     {message.NewTemplate{Name: " ", Body: "x"}, errs.Required, "input.name"},
		"two lines":   {message.NewTemplate{Name: "a\nb", Body: "x"}, errs.Invalid, "input.name"},
		"the same":    {message.NewTemplate{Kind: "TEMPLATE", Purpose: "OTHER", Name: "dUE", Body: "x"}, errs.Taken, "input.name"},
		"no text":     {message.NewTemplate{Name: "a", Body: " \n"}, errs.Invalid, "input.body"},
		"too long":    {message.NewTemplate{Name: "a", Body: strings.Repeat("x", message.MaxBody+1)}, errs.Invalid, "input.body"},
		"not closed":  {message.NewTemplate{Name: "a", Body: "{{contact.name"}, errs.Invalid, "input.body"},
		"of a record": {message.NewTemplate{Name: "a", Body: "{{record.title}}"}, errs.Invalid, "input.body"},
	} {
		_, err := svc.Create(s.ctx, who, x.in)
		if s.wants(err, x.code, x.field); err == nil {
			t.Error(name)
		}
	}
	_, err = svc.Create(s.ctx, s.admin, in)
	s.wants(err, errs.Forbidden, "")
	_, err = svc.Update(s.ctx, who, due.ID, message.TemplateChange{RecordKind: patch.Clear[contact.RecordKind]()})
	s.wants(err, errs.Invalid, "input.body") // it has fields of a record
	due, err = svc.Update(s.ctx, who, due.ID, message.TemplateChange{Name: patch.To("Overdue")})
	s.must(err)
	if due.Version != 2 {
		t.Errorf("the version is %d", due.Version)
	}
	_, err = svc.Archive(s.ctx, who, due.ID)
	s.must(err)
	_, err = svc.Update(s.ctx, who, due.ID, message.TemplateChange{Name: patch.To("Back")})
	s.wants(err, errs.Conflict, "")
	in.Name = "Overdue" // free again
	_, err = svc.Create(s.ctx, who, in)
	s.must(err)
	if n := s.count(`SELECT count(*) AS n FROM audit_entry WHERE subject = $1 AND action LIKE 'messageTemplate.%'`, due.ID); n != 3 {
		t.Errorf("%d audit entries", n)
	}
	w, err := svc.List(s.ctx, s.admin, message.TemplateFilter{RecordKind: contact.RecordInvoice, Search: "OVER"}, db.Page{})
	s.must(err)
	all, err := svc.List(s.ctx, s.admin, message.TemplateFilter{WithArchived: true}, db.Page{First: 1})
	s.must(err)
	if len(w.Nodes) != 1 || len(all.Nodes) != 1 || !all.HasNext {
		t.Errorf("found %d and %d", len(w.Nodes), len(all.Nodes))
	}
	if _, err := svc.Get(s.ctx, access.Actor{OrganizationID: s.org, Permissions: access.SetOf(access.ContactView)}, due.ID); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("somebody who writes nothing reads a template: %v", err)
	}
}

func TestAPreviewMergesNothingHidden(t *testing.T) { // R163, R241
	t.Parallel()
	s := newStage(t, options{idle: true})
	svc, _ := templates(s)
	ann, other := s.contact("Ann Miller", mobile), s.contact("Otto", other)
	in := contact.RecordCreate{Kind: contact.RecordBooking, Title: "Roof", ContactID: ann.ID, AssignedUserID: s.owen.UserID}
	r, err := s.contacts.CreateRecord(s.ctx, s.admin, in)
	s.must(err)
	preview := func(who access.Actor, in message.TemplatePreview) *message.Previewed {
		t.Helper()
		p, err := svc.Preview(s.ctx, who, in)
		s.must(err)
		return p
	}
	text := message.TemplatePreview{Body: "{{contact.name}}: {{contact.phone}} {{record.title}} {{record.startsAt}} {{record.colour}}", RecordID: r.ID}
	p := preview(s.owen, text)
	if want := "Ann Miller: " + mobile + " Roof {{record.startsAt}} {{record.colour}}"; p.Body != want || strings.Join(p.Missing, " ") != "record.startsAt record.colour" ||
		len(p.Problems) != 1 || p.Size.Parts != 1 {
		t.Errorf("their own: %+v", p)
	}
	s.exec(`INSERT INTO masked_pair (organization_id, id, record_id, contact_id, user_id, phone_number_id, customer_number, fieldworker_number, expires_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, '+61491570158', $8, $8)`, s.org, id.New(id.MaskedPair), r.ID, ann.ID, s.owen.UserID, s.office, mobile, start)
	if p := preview(s.owen, text); strings.Contains(p.Body, mobile) || !strings.HasPrefix(p.Body, "Ann Miller: {{contact.phone}}") {
		t.Errorf("behind a mask: %+v", p)
	}
	if p := preview(s.admin, text); !strings.Contains(p.Body, mobile) {
		t.Errorf("to the office: %+v", p)
	}
	_, err = svc.Preview(s.ctx, s.owen, message.TemplatePreview{Body: "{{contact.name}}", ContactID: other.ID})
	s.wants(err, errs.NotFound, "input.contactId")
	_, err = svc.Preview(s.ctx, s.owen, message.TemplatePreview{Body: "{{contact.name}}", ContactID: other.ID, RecordID: r.ID})
	s.wants(err, errs.NotFound, "input.contactId")
	_, err = svc.Preview(s.ctx, s.owen, message.TemplatePreview{ContactID: ann.ID})
	s.wants(err, errs.Required, "input.body")
}
