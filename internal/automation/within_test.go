package automation_test

import (
	"testing"

	"switchboard/internal/access"
	"switchboard/internal/automation"
	"switchboard/internal/contact"
	"switchboard/internal/errs"
	"switchboard/internal/patch"
)

// The role is the master gate: a rule sends nothing that its author may not (R158, R234).
func TestARuleSendsWhatItsAuthorMay(t *testing.T) {
	s := newStage(t)
	kinds := map[automation.Trigger]contact.RecordKind{automation.BookingConfirmed: contact.RecordBooking, automation.InvoiceOutstanding: contact.RecordInvoice}
	for name, c := range map[string]struct {
		why         string
		sees        access.Visibility
		permissions []access.Permission
		trigger     automation.Trigger
		want        errs.Code // "": made
	}{
		"all":         {"who may send to all may have it sent", access.SeesOrganization, []access.Permission{access.AutomationManage, access.SMSSend}, automation.BookingConfirmed, ""},
		"sender":      {"who may not send cannot have it sent", access.SeesOrganization, []access.Permission{access.AutomationManage}, automation.BookingConfirmed, errs.Forbidden},
		"branch":      {"a rule writes to customers of every branch", access.SeesBranch, []access.Permission{access.AutomationManage, access.SMSSend}, automation.BookingConfirmed, errs.Forbidden},
		"own":         {"a rule writes to everybody's customers", access.SeesOwn, []access.Permission{access.AutomationManage, access.SMSSend}, automation.BookingConfirmed, errs.Forbidden},
		"invoice":     {"invoices need a permission of their own", access.SeesOrganization, []access.Permission{access.AutomationManage, access.SMSSend}, automation.InvoiceOutstanding, errs.Forbidden},
		"bookkeeping": {"who has it may", access.SeesOrganization, []access.Permission{access.AutomationManage, access.SMSSend, access.SMSSendInvoice}, automation.InvoiceOutstanding, ""},
	} {
		who := s.user(name, c.sees, c.permissions...)
		_, err := s.svc.Create(s.ctx, who, automation.Rule{Name: name, Trigger: c.trigger, TemplateID: s.template("Hello", kinds[c.trigger]), IsEnabled: true})
		if got := code(err); got != c.want {
			t.Errorf("%s: %v, want %q: %s", name, err, c.want, c.why)
		}
	}
	a := s.rule(automation.BookingConfirmed, "Hello", contact.RecordBooking, nil)
	who := s.user("later", access.SeesOwn, access.AutomationManage)
	if _, err := s.svc.Update(s.ctx, who, a.ID, automation.Change{Name: patch.To("another")}); code(err) != errs.Forbidden {
		t.Errorf("a rule that is on is changed: %v", err)
	}
	if a, err := s.svc.Update(s.ctx, who, a.ID, automation.Change{IsEnabled: patch.To(false)}); err != nil || a.IsEnabled {
		t.Errorf("whoever may write rules may stop one: %v", err)
	}
}

// code is the code of an error, "" when there is none.
func code(err error) errs.Code {
	e, ok := errs.As(err)
	if !ok {
		return ""
	}
	return e.Code
}
