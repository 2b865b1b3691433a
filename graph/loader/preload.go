package loader

import (
	"context"

	"switchboard/internal/call"
	"switchboard/internal/id"
	"switchboard/internal/message"
)

// Calls reads what the client asks of every call of a page, one statement a
// table, and hands it to the loaders before the fields ask.
func Calls(ctx context.Context, calls []*call.Call, asked func(field string) bool) error {
	l := From(ctx)
	return first(
		ahead(ctx, l.Numbers, calls, asked("phoneNumber"), func(c *call.Call) []id.ID { return []id.ID{c.PhoneNumberID} }),
		ahead(ctx, l.Branches, calls, asked("branch"), func(c *call.Call) []id.ID { return []id.ID{c.BranchID} }),
		ahead(ctx, l.Contacts, calls, asked("contact"), func(c *call.Call) []id.ID { return []id.ID{c.ContactID} }),
		ahead(ctx, l.Users, calls, asked("answeredBy") || asked("user"), func(c *call.Call) []id.ID { return []id.ID{c.AnsweredByID, c.UserID} }),
		ahead(ctx, l.CallRecordings, calls, asked("recordings"), callID),
		ahead(ctx, l.CallLegs, calls, asked("legs"), callID),
		ahead(ctx, l.CallVoicemails, calls, asked("voicemail"), callID),
	)
}

func callID(c *call.Call) []id.ID { return []id.ID{c.ID} }

// Threads does the same for a page of threads.
func Threads(ctx context.Context, threads []*message.Thread, asked func(field string) bool) error {
	l := From(ctx)
	return first(
		ahead(ctx, l.Contacts, threads, asked("contact"), func(t *message.Thread) []id.ID { return []id.ID{t.ContactID} }),
		ahead(ctx, l.Numbers, threads, asked("phoneNumber"), func(t *message.Thread) []id.ID { return []id.ID{t.PhoneNumberID} }),
		ahead(ctx, l.Branches, threads, asked("branch"), func(t *message.Thread) []id.ID { return []id.ID{t.BranchID} }),
		ahead(ctx, l.Messages, threads, asked("lastMessage"), func(t *message.Thread) []id.ID { return []id.ID{t.LastMessageID} }),
	)
}

// ahead reads the keys of all rows at once and fills the loader with what it found.
func ahead[R, V any](ctx context.Context, l *Batch[V], rows []R, wanted bool, keys func(R) []id.ID) error {
	if !wanted || len(rows) == 0 {
		return nil
	}
	seen := map[id.ID]bool{}
	var ids []id.ID
	for _, r := range rows {
		for _, k := range keys(r) {
			if !k.IsZero() && !seen[k] {
				seen[k] = true
				ids = append(ids, k)
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	found, err := l.read(ctx, ids)
	if err != nil {
		return err
	}
	for _, k := range ids {
		l.Prime(k, found[k])
	}
	return nil
}

func first(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}
