package graph

import (
	"time"

	"github.com/99designs/gqlgen/graphql"

	"switchboard/graph/model"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
)

// sending is the input of messageSend as the domain takes it.
func sending(in model.MessageSendInput, key string) message.Send {
	return message.Send{
		To: given(in.To), ContactID: given(in.ContactID), ThreadID: given(in.ThreadID), Body: given(in.Body), TemplateID: given(in.TemplateID),
		MediaIDs: ids(in.MediaIds), SendAt: in.SendAt.Value(), UseSenderName: given(in.UseSenderName), PhoneNumberID: given(in.PhoneNumberID),
		RecordID: given(in.RecordID), CampaignID: given(in.CampaignID), IdempotencyKey: key,
	}
}

func ids(o graphql.Omittable[[]*id.ID]) (out []id.ID) {
	for _, x := range o.Value() {
		out = append(out, of(x))
	}
	return out
}

// warnings are what to know about a message that was just made.
func warnings(m *message.Message) []string {
	out := []string{}
	if m != nil {
		for _, p := range m.Warnings {
			out = append(out, p.Message)
		}
	}
	return out
}

// previewDraft is the input of messagePreview as the domain takes it.
func previewDraft(in model.MessagePreviewInput) message.Draft {
	d := message.Draft{
		ThreadID: given(in.ThreadID), Body: given(in.Body), TemplateID: given(in.TemplateID), MediaIDs: ids(in.MediaIds),
		PhoneNumberID: given(in.PhoneNumberID), UseSenderName: given(in.UseSenderName),
	}
	audience(in.Audience.Value(), &d)
	return d
}

// audience puts the recipients into a draft.
func audience(a *model.MessageAudienceInput, d *message.Draft) {
	if a == nil {
		return
	}
	for _, x := range a.Recipients.Value() {
		d.Recipients = append(d.Recipients, message.Recipient{To: given(x.To), ContactID: given(x.ContactID), RecordID: given(x.RecordID)})
	}
	if f := a.Contacts.Value(); f != nil {
		c := contactFilter(f)
		d.Contacts = &c
	}
	if f := a.Records.Value(); f != nil {
		c := recordFilter(f)
		d.Records = &c
	}
}

// previewed is a stretch of a preview's recipients.
func previewed(p *message.Preview, first *int, skip int, onlyProblems bool) ([]*message.PreviewRecipient, error) {
	most := 100
	if first != nil {
		most = *first
	}
	if most < 0 || most > message.MaxRecipients || skip < 0 {
		return nil, errs.New(errs.Invalid, "first is 0 to %d and skip is not negative", message.MaxRecipients).At("first")
	}
	out := []*message.PreviewRecipient{}
	for _, r := range p.All {
		switch {
		case onlyProblems && len(r.Problems) == 0:
		case skip > 0:
			skip--
		case len(out) < most:
			out = append(out, r)
		}
	}
	return out, nil
}

func pointers[T any](list []T) []*T {
	out := make([]*T, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}

func twilioLog(x *message.TwilioLog) *model.TwilioMessageLog {
	return &model.TwilioMessageLog{
		Sid: x.SID, Status: x.Status, From: x.From, To: x.To, ErrorCode: unlessZero(x.ErrorCode), ErrorReason: x.ErrorReason, Segments: x.Segments,
		MediaCount: x.MediaCount, MessagingServiceSid: unlessZero(x.ServiceSID), Cost: x.Cost, CreatedAt: moment(x.CreatedAt), SentAt: moment(x.SentAt),
		Differences: x.Differences,
	}
}

// unlessZero is null for the zero value.
func unlessZero[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
