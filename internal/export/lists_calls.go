package export

import (
	"context"
	"slices"
	"strings"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/followup"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/phone"
	"switchboard/internal/recording"
	"switchboard/internal/route"
	"switchboard/internal/sheet"
	"switchboard/internal/voicemail"
)

// party is one end of a call or message, as the actor may see it.
func party(p route.Party) sheet.Cell { return sheet.Text(p.Display) }

func col[T any](name, title, description string, value func(n *names, row T) sheet.Cell) column[T] {
	return column[T]{Column: Column{Name: name, Title: title, Description: description, IsDefault: true}, value: value}
}

// asked is a column that is there only when it is asked for.
func (c column[T]) asked() column[T] {
	c.IsDefault = false
	return c
}

// for whoever has a permission.
func (c column[T]) permitted(p access.Permission) column[T] {
	c.needs = p
	return c
}

func (s *Service) calls() source {
	type row = *call.Call
	return &list[row, call.Filter]{
		needs: []access.Permission{access.CallView},
		read:  s.d.Calls.List, count: s.d.Calls.Count,
		refs: func(c row) []id.ID {
			return []id.ID{c.PhoneNumberID, c.BranchID, c.ContactID, c.RecordID, c.CampaignID, c.UserID, c.AnsweredByID}
		},
		more: s.sounds,
		columns: []column[row]{
			col("id", "Call", "The call's id.", func(_ *names, c row) sheet.Cell { return sheet.Text(c.ID.String()) }),
			col("startedAt", "Started", "When it came in or was started.", func(_ *names, c row) sheet.Cell { return sheet.Time(c.StartedAt) }),
			col("direction", "Direction", "INBOUND, OUTBOUND or INTERNAL.", func(_ *names, c row) sheet.Cell { return sheet.Text(string(c.Direction)) }),
			col("status", "Status", "How it stands or ended.", func(_ *names, c row) sheet.Cell { return sheet.Text(string(c.Status)) }),
			col("from", "From", "Who called, as you may see them.", func(_ *names, c row) sheet.Cell { return party(c.From()) }),
			col("to", "To", "Who was called, as you may see them.", func(_ *names, c row) sheet.Cell { return party(c.To()) }),
			col("contact", "Contact", "The contact's name.", func(n *names, c row) sheet.Cell { return n.of(c.ContactID) }),
			col("phoneNumber", "Number", "The number of ours.", func(n *names, c row) sheet.Cell { return n.of(c.PhoneNumberID) }),
			col("branch", "Branch", "The branch's name.", func(n *names, c row) sheet.Cell { return n.of(c.BranchID) }),
			col("user", "Started by", "Who started an outbound call.", func(n *names, c row) sheet.Cell { return n.of(c.UserID) }),
			col("answeredBy", "Answered by", "Who answered (R213).", func(n *names, c row) sheet.Cell { return n.of(c.AnsweredByID) }),
			col("answeredAt", "Answered", "When somebody answered.", func(_ *names, c row) sheet.Cell { return moment(c.AnsweredAt) }),
			col("endedAt", "Ended", "When it ended.", func(_ *names, c row) sheet.Cell { return moment(c.EndedAt) }),
			col("ringSeconds", "Ring seconds", "How long it rang.", func(_ *names, c row) sheet.Cell { return whole(c.RingSeconds) }),
			col("talkSeconds", "Talk seconds", "How long people talked.", func(_ *names, c row) sheet.Cell { return whole(c.TalkSeconds) }),
			col("durationSeconds", "Duration seconds", "How long it took in all.", func(_ *names, c row) sheet.Cell { return whole(c.DurationSeconds) }),
			col("endReason", "End reason", "What ended it.", func(_ *names, c row) sheet.Cell { return words(c.EndReason) }),
			col("record", "Record", "The record's title.", func(n *names, c row) sheet.Cell { return n.of(c.RecordID) }),
			col("outcome", "Outcome", "What came of it.", func(_ *names, c row) sheet.Cell { return words(c.Outcome) }),
			col("notes", "Notes", "What somebody wrote down.", func(_ *names, c row) sheet.Cell { return words(c.Notes) }),
			col("isRecorded", "Recorded", "Whether it was recorded.", func(_ *names, c row) sheet.Cell { return sheet.Bool(c.IsRecorded) }),
			col("recordings", "Recordings", "The ids of its recordings, by which they are found and played (R214).", func(n *names, c row) sheet.Cell {
				ids := []string{}
				for _, r := range n.soundsOf(c).recordings {
					ids = append(ids, r.ID.String())
				}
				return sheet.Text(strings.Join(ids, " "))
			}).permitted(access.RecordingListen),
			col("voicemail", "Voicemail", "The id of the voicemail that was left (R214).", func(n *names, c row) sheet.Cell {
				if v := n.soundsOf(c).voicemail; v != nil {
					return sheet.Text(v.ID.String())
				}
				return sheet.Cell{}
			}).permitted(access.VoicemailListen),
			col("campaign", "Campaign", "The campaign's name.", func(n *names, c row) sheet.Cell { return n.of(c.CampaignID) }).asked(),
			col("businessUnit", "Business unit", "The business unit (R022).", func(_ *names, c row) sheet.Cell { return words(c.BusinessUnit) }).asked(),
			col("isIgnored", "Ignored", "Whether the caller is on the list of ignored numbers (D08).", func(_ *names, c row) sheet.Cell { return sheet.Bool(c.IsIgnored) }).asked(),
			col("isTest", "Test", "Whether it was a test call.", func(_ *names, c row) sheet.Cell { return sheet.Bool(c.IsTest) }).asked(),
			col("twilioSid", "Twilio SID", "The call's name at Twilio, for reconciling bills.", func(_ *names, c row) sheet.Cell { return words(c.TwilioSID) }).asked(),
			col("contactId", "Contact id", "The contact's id.", func(_ *names, c row) sheet.Cell { return sheet.Text(c.ContactID.String()) }).asked(),
			col("recordId", "Record id", "The record's id.", func(_ *names, c row) sheet.Cell { return sheet.Text(c.RecordID.String()) }).asked(),
		},
	}
}

// sounds are the recordings and the voicemail of a call.
type sounds struct {
	recordings []*recording.Recording
	voicemail  *voicemail.Voicemail
}

func (n *names) soundsOf(c *call.Call) sounds {
	all, _ := n.more.(map[id.ID]sounds)
	return all[c.ID]
}

// sounds reads what is there to hear of a page's calls, if it is asked for.
func (s *Service) sounds(ctx context.Context, n *names, rows []*call.Call) (err error) {
	recorded, left := slices.Contains(n.columns, "recordings"), slices.Contains(n.columns, "voicemail")
	if !recorded && !left {
		return nil
	}
	ids := make([]id.ID, len(rows))
	for i, c := range rows {
		ids[i] = c.ID
	}
	var recordings map[id.ID][]*recording.Recording
	var voicemails map[id.ID]*voicemail.Voicemail
	if recorded {
		if recordings, err = s.d.Recordings.ByCalls(ctx, n.who, ids); err != nil {
			return err
		}
	}
	if left {
		if voicemails, err = s.d.Voicemails.ByCalls(ctx, n.who, ids); err != nil {
			return err
		}
	}
	all := make(map[id.ID]sounds, len(rows))
	for _, x := range ids {
		all[x] = sounds{recordings[x], voicemails[x]}
	}
	n.more = all
	return nil
}

func (s *Service) messages() source {
	type row = *message.Message
	hidden := func(n *names, m row) bool { h, _ := n.more.(map[id.ID]bool); return h[m.ThreadID] }
	end := func(p route.Party, hide bool) sheet.Cell {
		if hide && p.E164 != nil {
			p.Display = phone.Mask(*p.E164)
		}
		return party(p)
	}
	return &list[row, message.LogFilter]{
		needs: []access.Permission{access.SMSView},
		read:  s.d.Messages.List,
		refs:  func(m row) []id.ID { return []id.ID{m.ContactID, m.RecordID, m.CampaignID, m.UserID} },
		more: func(ctx context.Context, n *names, rows []row) error {
			threads := make([]id.ID, len(rows))
			for i, m := range rows {
				threads[i] = m.ThreadID
			}
			h, err := s.d.Messages.HiddenEnds(access.With(ctx, n.who), threads)
			n.more = h
			return err
		},
		columns: []column[row]{
			col("id", "Message", "The message's id.", func(_ *names, m row) sheet.Cell { return sheet.Text(m.ID.String()) }),
			col("at", "At", "When it came in or was written.", func(_ *names, m row) sheet.Cell { return sheet.Time(m.At) }),
			col("direction", "Direction", "INBOUND or OUTBOUND.", func(_ *names, m row) sheet.Cell { return sheet.Text(string(m.Direction)) }),
			col("status", "Status", "How it stands.", func(_ *names, m row) sheet.Cell { return sheet.Text(string(m.Status)) }),
			col("from", "From", "Who wrote, as you may see them.", func(n *names, m row) sheet.Cell {
				return end(m.From(), m.Direction == message.Inbound && hidden(n, m))
			}),
			col("to", "To", "To whom, as you may see them.", func(n *names, m row) sheet.Cell {
				return end(m.To(), m.Direction == message.Outbound && hidden(n, m))
			}),
			col("contact", "Contact", "The contact's name.", func(n *names, m row) sheet.Cell { return n.of(m.ContactID) }),
			col("user", "Written by", "Who wrote it of us.", func(n *names, m row) sheet.Cell { return n.of(m.UserID) }),
			col("body", "Text", "The text; empty when it was deleted.", func(_ *names, m row) sheet.Cell { return sheet.Text(m.Body) }),
			col("fileCount", "Files", "How many files came with it.", func(_ *names, m row) sheet.Cell { return sheet.Int(int64(m.MediaCount)) }),
			col("segments", "Segments", "How many parts it was split into (R156).", func(_ *names, m row) sheet.Cell { return whole(m.NumSegments) }),
			col("sentAt", "Sent", "When the carrier took it.", func(_ *names, m row) sheet.Cell { return moment(m.SentAt) }),
			col("deliveredAt", "Delivered", "When the handset confirmed it.", func(_ *names, m row) sheet.Cell { return moment(m.DeliveredAt) }),
			col("errorCode", "Error", "Twilio's code of what went wrong.", func(_ *names, m row) sheet.Cell { return whole(m.ErrorCode) }),
			col("errorReason", "Reason", "What went wrong (R160).", func(_ *names, m row) sheet.Cell { return words(m.ErrorReason) }),
			col("record", "Record", "The record's title.", func(n *names, m row) sheet.Cell { return n.of(m.RecordID) }),
			col("campaign", "Campaign", "The campaign's name.", func(n *names, m row) sheet.Cell { return n.of(m.CampaignID) }).asked(),
			col("cost", "Cost", "What Twilio charged.", func(_ *names, m row) sheet.Cell { return micros(m.PriceMicros) }).asked().permitted(access.CostView),
			col("currency", "Currency", "Of the cost.", func(_ *names, m row) sheet.Cell { return words(m.PriceCurrency) }).asked().permitted(access.CostView),
			col("twilioSid", "Twilio SID", "The message's name at Twilio, for reconciling bills.", func(_ *names, m row) sheet.Cell { return words(m.TwilioSID) }).asked(),
			col("threadId", "Thread", "The thread's id.", func(_ *names, m row) sheet.Cell { return sheet.Text(m.ThreadID.String()) }).asked(),
		},
	}
}

func (s *Service) recordings() source {
	type row = *recording.Recording
	ends := func(n *names, r row) *call.Call { c, _ := n.more.(map[id.ID]*call.Call); return c[r.CallID] }
	return &list[row, recording.Filter]{
		needs: []access.Permission{access.RecordingListen},
		read:  s.d.Recordings.List,
		refs:  func(r row) []id.ID { return []id.ID{r.ContactID, r.RecordID, r.BranchID, r.PhoneNumberID} },
		more: func(ctx context.Context, n *names, rows []row) error {
			calls := make([]id.ID, len(rows))
			for i, r := range rows {
				calls[i] = r.CallID
			}
			seen, err := s.d.Calls.Visible(ctx, n.who, calls)
			if err != nil {
				return err
			}
			n.more = seen
			var people []id.ID
			for _, c := range seen {
				people = append(people, c.UserID, c.AnsweredByID)
			}
			return n.alsoLoad(ctx, people)
		},
		columns: []column[row]{
			col("id", "Recording", "The recording's id.", func(_ *names, r row) sheet.Cell { return sheet.Text(r.ID.String()) }),
			col("callId", "Call", "The call's id.", func(_ *names, r row) sheet.Cell { return sheet.Text(r.CallID.String()) }),
			col("startedAt", "Started", "When it began.", func(_ *names, r row) sheet.Cell { return sheet.Time(r.StartedAt) }),
			col("durationSeconds", "Duration seconds", "How long it is.", func(_ *names, r row) sheet.Cell { return whole(r.DurationSeconds) }),
			col("direction", "Direction", "Of the call.", func(_ *names, r row) sheet.Cell { return sheet.Text(string(r.Direction)) }),
			col("from", "From", "Who called, as you may see them.", func(n *names, r row) sheet.Cell {
				if c := ends(n, r); c != nil {
					return party(c.From())
				}
				return sheet.Cell{}
			}),
			col("to", "To", "Who was called, as you may see them.", func(n *names, r row) sheet.Cell {
				if c := ends(n, r); c != nil {
					return party(c.To())
				}
				return sheet.Cell{}
			}),
			col("contact", "Contact", "The contact's name.", func(n *names, r row) sheet.Cell { return n.of(r.ContactID) }),
			col("phoneNumber", "Number", "The number of ours.", func(n *names, r row) sheet.Cell { return n.of(r.PhoneNumberID) }),
			col("branch", "Branch", "The branch's name.", func(n *names, r row) sheet.Cell { return n.of(r.BranchID) }),
			col("user", "Person", "Who answered or started the call.", func(n *names, r row) sheet.Cell {
				c := ends(n, r)
				switch {
				case c == nil:
					return sheet.Cell{}
				case !c.AnsweredByID.IsZero() && c.Direction == call.Inbound:
					return n.of(c.AnsweredByID)
				}
				return n.of(c.UserID)
			}),
			col("channels", "Channels", "1 or 2.", func(_ *names, r row) sheet.Cell { return sheet.Int(int64(r.Channels)) }),
			col("status", "Status", "How it stands.", func(_ *names, r row) sheet.Cell { return sheet.Text(string(r.Status)) }),
			col("mediaState", "Audio", "Whether our copy is here.", func(_ *names, r row) sheet.Cell { return sheet.Text(string(r.MediaState)) }),
			col("sizeBytes", "Bytes", "How large the audio is.", func(_ *names, r row) sheet.Cell {
				if r.SizeBytes == nil {
					return sheet.Cell{}
				}
				return sheet.Int(*r.SizeBytes)
			}),
			col("isHeld", "Held", "Whether a legal hold keeps it.", func(_ *names, r row) sheet.Cell { return sheet.Bool(r.IsHeld) }),
			col("record", "Record", "The record's title.", func(n *names, r row) sheet.Cell { return n.of(r.RecordID) }),
			col("deletedAt", "Deleted", "When it was deleted.", func(_ *names, r row) sheet.Cell { return moment(r.DeletedAt) }).asked(),
			col("deleteReason", "Why deleted", "Why it was deleted.", func(_ *names, r row) sheet.Cell { return words(r.DeleteReason) }).asked(),
			col("twilioSid", "Twilio SID", "The recording's name at Twilio.", func(_ *names, r row) sheet.Cell { return sheet.Text(r.TwilioSID) }).asked(),
		},
	}
}

func (s *Service) voicemails() source {
	type row = *voicemail.Voicemail
	return &list[row, voicemail.Filter]{
		needs: []access.Permission{access.VoicemailListen},
		read:  s.d.Voicemails.List,
		refs: func(v row) []id.ID {
			return []id.ID{v.ContactID, v.RecordID, v.BranchID, v.PhoneNumberID, v.OwnerID, v.HeardByID}
		},
		columns: []column[row]{
			col("id", "Voicemail", "The voicemail's id.", func(_ *names, v row) sheet.Cell { return sheet.Text(v.ID.String()) }),
			col("receivedAt", "Received", "When it was left.", func(_ *names, v row) sheet.Cell { return sheet.Time(v.ReceivedAt) }),
			col("from", "From", "Who left it, as you may see them.", func(_ *names, v row) sheet.Cell { return party(v.From()) }),
			col("contact", "Contact", "The contact's name.", func(n *names, v row) sheet.Cell { return n.of(v.ContactID) }),
			col("phoneNumber", "Number", "The number of ours.", func(n *names, v row) sheet.Cell { return n.of(v.PhoneNumberID) }),
			col("branch", "Branch", "The branch's name.", func(n *names, v row) sheet.Cell { return n.of(v.BranchID) }),
			col("durationSeconds", "Duration seconds", "How long it is.", func(_ *names, v row) sheet.Cell { return whole(v.DurationSeconds) }),
			col("owner", "Owner", "Whose task it is.", func(n *names, v row) sheet.Cell { return n.of(v.OwnerID) }),
			col("heardAt", "Heard", "When somebody first heard it.", func(_ *names, v row) sheet.Cell { return moment(v.HeardAt) }),
			col("heardBy", "Heard by", "Who did.", func(n *names, v row) sheet.Cell { return n.of(v.HeardByID) }),
			col("record", "Record", "The record's title.", func(n *names, v row) sheet.Cell { return n.of(v.RecordID) }),
			col("isHeld", "Held", "Whether a legal hold keeps it.", func(_ *names, v row) sheet.Cell { return sheet.Bool(v.IsHeld) }),
			col("callId", "Call", "The call's id.", func(_ *names, v row) sheet.Cell { return sheet.Text(v.CallID.String()) }).asked(),
		},
	}
}

func (s *Service) followUps() source {
	type row = *followup.FollowUp
	return &list[row, followup.Filter]{
		needs: []access.Permission{access.FollowUpView},
		read: func(ctx context.Context, who access.Actor, f followup.Filter, p db.Page) (db.Window[row], error) {
			return s.d.FollowUps.List(ctx, who, f, followup.Newest, p)
		},
		refs: func(f row) []id.ID {
			return []id.ID{f.ContactID, f.RecordID, f.BranchID, f.PhoneNumberID, f.OwnerID, f.ClosedByID}
		},
		columns: []column[row]{
			col("id", "Follow-up", "The follow-up's id.", func(_ *names, f row) sheet.Cell { return sheet.Text(f.ID.String()) }),
			col("kind", "Kind", "A missed call or a voicemail.", func(_ *names, f row) sheet.Cell { return sheet.Text(string(f.Kind)) }),
			col("status", "Status", "RESOLVED, PENDING or NO_ACTION_REQUIRED.", func(_ *names, f row) sheet.Cell { return sheet.Text(string(f.Status)) }),
			col("from", "From", "Who was missed, as you may see them.", func(_ *names, f row) sheet.Cell { return party(f.From()) }),
			col("contact", "Contact", "The contact's name.", func(n *names, f row) sheet.Cell { return n.of(f.ContactID) }),
			col("branch", "Branch", "The branch's name.", func(n *names, f row) sheet.Cell { return n.of(f.BranchID) }),
			col("phoneNumber", "Number", "The number of ours.", func(n *names, f row) sheet.Cell { return n.of(f.PhoneNumberID) }),
			col("owner", "Owner", "Who works on it.", func(n *names, f row) sheet.Cell { return n.of(f.OwnerID) }),
			col("attemptCount", "Attempts", "How often they tried.", func(_ *names, f row) sheet.Cell { return sheet.Int(int64(f.AttemptCount)) }),
			col("firstAttemptAt", "First attempt", "When they first tried.", func(_ *names, f row) sheet.Cell { return sheet.Time(f.FirstAttemptAt) }),
			col("lastAttemptAt", "Last attempt", "When they last tried.", func(_ *names, f row) sheet.Cell { return sheet.Time(f.LastAttemptAt) }),
			col("dueAt", "Due", "When somebody should have reached them.", func(_ *names, f row) sheet.Cell { return moment(f.DueAt) }),
			col("isOverdue", "Overdue", "Whether that is past.", func(_ *names, f row) sheet.Cell { return sheet.Bool(f.IsOverdue) }),
			col("outcome", "Outcome", "What came of it.", func(_ *names, f row) sheet.Cell { return words(f.Outcome) }),
			col("closedAt", "Closed", "When it was closed.", func(_ *names, f row) sheet.Cell { return moment(f.ClosedAt) }),
			col("closedBy", "Closed by", "Who closed it.", func(n *names, f row) sheet.Cell { return n.of(f.ClosedByID) }),
			col("isClosedAutomatically", "Closed by itself", "Whether a call closed it.", func(_ *names, f row) sheet.Cell { return sheet.Bool(f.IsClosedAutomatically) }),
			col("record", "Record", "The record's title.", func(n *names, f row) sheet.Cell { return n.of(f.RecordID) }),
		},
	}
}
