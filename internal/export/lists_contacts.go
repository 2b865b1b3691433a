package export

import (
	"context"
	"strings"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/sheet"
)

func (s *Service) contacts() source {
	type row = *contact.Contact
	phones := func(n *names, c row) []*contact.Phone {
		all, _ := n.more.(map[id.ID][]*contact.Phone)
		return all[c.ID]
	}
	return &list[row, contact.Filter]{
		needs: []access.Permission{access.ContactView},
		read:  s.d.Contacts.List, count: s.d.Contacts.Count,
		refs: func(c row) []id.ID { return []id.ID{c.AssignedUserID, c.AccountID, c.LastCampaignID} },
		more: func(ctx context.Context, n *names, rows []row) error {
			ids := make([]id.ID, len(rows))
			for i, c := range rows {
				ids[i] = c.ID
				rows[i] = c.For(n.who)
			}
			found, err := s.d.Contacts.PhonesFor(ctx, n.who, ids)
			n.more = found
			return err
		},
		columns: []column[row]{
			col("id", "Contact", "The contact's id.", func(_ *names, c row) sheet.Cell { return sheet.Text(c.ID.String()) }),
			col("kind", "Kind", "Customer, lead, account or contact.", func(_ *names, c row) sheet.Cell { return sheet.Text(string(c.Kind)) }),
			col("name", "Name", "The name.", func(_ *names, c row) sheet.Cell { return sheet.Text(c.Name) }),
			col("company", "Company", "The company.", func(_ *names, c row) sheet.Cell { return words(c.Company) }),
			col("phone", "Phone", "The primary phone, if you may see it.", func(n *names, c row) sheet.Cell {
				for i, p := range phones(n, c) {
					if p.IsPrimary || i == len(phones(n, c))-1 {
						return sheet.Text(string(p.E164))
					}
				}
				return sheet.Cell{}
			}),
			col("phones", "All phones", "Every phone, if you may see them.", func(n *names, c row) sheet.Cell {
				var all []string
				for _, p := range phones(n, c) {
					all = append(all, string(p.E164))
				}
				return sheet.Text(strings.Join(all, " "))
			}),
			col("email", "E-mail", "The e-mail, if you may see it.", func(_ *names, c row) sheet.Cell { return words(c.Email) }),
			col("location", "Location", "Where they are, if you may see it.", func(_ *names, c row) sheet.Cell { return words(c.Location) }),
			col("status", "Status", "The status word.", func(_ *names, c row) sheet.Cell { return words(c.Status) }),
			col("service", "Service", "The service word.", func(_ *names, c row) sheet.Cell { return words(c.Service) }),
			col("tags", "Tags", "The tags.", func(_ *names, c row) sheet.Cell { return sheet.Text(strings.Join(c.Tags, ", ")) }),
			col("assignedUser", "Assigned to", "Whose contact it is.", func(n *names, c row) sheet.Cell { return n.of(c.AssignedUserID) }),
			col("account", "Account", "The account it belongs to (R181).", func(n *names, c row) sheet.Cell { return n.of(c.AccountID) }),
			col("lastContactedAt", "Last contact", "When somebody last called or wrote.", func(_ *names, c row) sheet.Cell { return moment(c.LastContactedAt) }),
			col("createdAt", "Since", "Since when.", func(_ *names, c row) sheet.Cell { return sheet.Time(c.CreatedAt) }),
			col("externalId", "External id", "The id in the other system.", func(_ *names, c row) sheet.Cell { return words(c.ExternalID) }).asked(),
			col("country", "Country", "The country (R187).", func(_ *names, c row) sheet.Cell { return words(c.Country) }).asked(),
			col("timezone", "Time zone", "The time zone.", func(_ *names, c row) sheet.Cell { return words(c.Timezone) }).asked(),
			col("lastCampaign", "Last campaign", "The campaign they were last part of.", func(n *names, c row) sheet.Cell { return n.of(c.LastCampaignID) }).asked(),
		},
	}
}

func (s *Service) records() source {
	type row = *contact.Record
	return &list[row, contact.RecordFilter]{
		needs: []access.Permission{access.ContactView},
		read:  s.d.Contacts.Records,
		refs:  func(r row) []id.ID { return []id.ID{r.ContactID, r.AssignedUserID} },
		columns: []column[row]{
			col("id", "Record", "The record's id.", func(_ *names, r row) sheet.Cell { return sheet.Text(r.ID.String()) }),
			col("kind", "Kind", "Booking, quote, invoice and so on.", func(_ *names, r row) sheet.Cell { return sheet.Text(string(r.Kind)) }),
			col("title", "Title", "The title.", func(_ *names, r row) sheet.Cell { return sheet.Text(r.Title) }),
			col("status", "Status", "The status word.", func(_ *names, r row) sheet.Cell { return sheet.Text(r.Status) }),
			col("contact", "Contact", "The contact's name.", func(n *names, r row) sheet.Cell { return n.of(r.ContactID) }),
			col("assignedUser", "Assigned to", "Whose record it is (R188).", func(n *names, r row) sheet.Cell { return n.of(r.AssignedUserID) }),
			col("startsAt", "Starts", "When it starts.", func(_ *names, r row) sheet.Cell { return moment(r.StartsAt) }),
			col("endsAt", "Ends", "When it ends.", func(_ *names, r row) sheet.Cell { return moment(r.EndsAt) }),
			col("dueAt", "Due", "When it is due.", func(_ *names, r row) sheet.Cell { return moment(r.DueAt) }),
			col("amountMinor", "Amount", "In the smallest unit of the currency.", func(_ *names, r row) sheet.Cell {
				if r.AmountMinor == nil {
					return sheet.Cell{}
				}
				return sheet.Int(*r.AmountMinor)
			}),
			col("currency", "Currency", "Of the amount.", func(_ *names, r row) sheet.Cell { return words(r.Currency) }),
			col("service", "Service", "The service word.", func(_ *names, r row) sheet.Cell { return words(r.Service) }),
			col("location", "Location", "Where it is, if you may see it.", func(n *names, r row) sheet.Cell {
				if n.who.HidesContactDetails() {
					return sheet.Cell{}
				}
				return words(r.Location)
			}),
			col("tags", "Tags", "The tags.", func(_ *names, r row) sheet.Cell { return sheet.Text(strings.Join(r.Tags, ", ")) }),
			col("createdAt", "Since", "Since when.", func(_ *names, r row) sheet.Cell { return sheet.Time(r.CreatedAt) }),
			col("externalId", "External id", "The id in the other system.", func(_ *names, r row) sheet.Cell { return words(r.ExternalID) }).asked(),
			col("confirmedAt", "Confirmed", "When it was confirmed.", func(_ *names, r row) sheet.Cell { return moment(r.ConfirmedAt) }).asked(),
			col("expiresAt", "Expires", "When a quote expires.", func(_ *names, r row) sheet.Cell { return moment(r.ExpiresAt) }).asked(),
		},
	}
}

func (s *Service) auditLog() source {
	type row = *audit.Entry
	return &list[row, audit.Filter]{
		needs: []access.Permission{access.AuditView},
		read: func(ctx context.Context, who access.Actor, f audit.Filter, p db.Page) (db.Window[row], error) {
			if err := who.Require(access.AuditView); err != nil {
				return db.Window[row]{}, err
			}
			return audit.Search(db.WithTenant(ctx, who.OrganizationID), s.d.DB.App(), f, p)
		},
		refs: func(e row) []id.ID { return []id.ID{e.ActorID} },
		columns: []column[row]{
			col("id", "Entry", "The entry's id.", func(_ *names, e row) sheet.Cell { return sheet.Text(e.ID.String()) }),
			col("at", "At", "When.", func(_ *names, e row) sheet.Cell { return sheet.Time(e.At) }),
			col("actor", "Who", "Who did it.", func(n *names, e row) sheet.Cell {
				if e.ActorID.IsZero() {
					return sheet.Text("the server")
				}
				return n.of(e.ActorID)
			}),
			col("action", "Act", "What was done, as noun.verb.", func(_ *names, e row) sheet.Cell { return sheet.Text(e.Action) }),
			col("words", "Words", "The deed as a sentence.", func(_ *names, e row) sheet.Cell { return sheet.Text(e.Words()) }),
			col("isAccess", "Access", "Whether it was an access and not a change.", func(_ *names, e row) sheet.Cell { return sheet.Bool(e.IsAccess()) }),
			col("subject", "About", "The id of what it was about.", func(_ *names, e row) sheet.Cell { return sheet.Text(e.Subject.String()) }),
			col("details", "Details", "More about it.", func(_ *names, e row) sheet.Cell {
				var all []string
				for _, d := range e.Details() {
					all = append(all, d.Name+": "+d.Value)
				}
				return sheet.Text(strings.Join(all, "\n"))
			}),
			col("clientAddress", "Address", "The network address of the request.", func(_ *names, e row) sheet.Cell { return words(e.ClientAddress) }),
			col("userAgent", "Program", "The program that asked.", func(_ *names, e row) sheet.Cell { return words(e.UserAgent) }),
			col("actorId", "Who (id)", "The id of who did it.", func(_ *names, e row) sheet.Cell { return sheet.Text(e.ActorID.String()) }).asked(),
		},
	}
}
