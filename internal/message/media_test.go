package message_test

import (
	"bytes"
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/emulator"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/twilio"
)

var png = append([]byte("\x89PNG\r\n\x1a\n"), bytes.Repeat([]byte{0, 1, 2, 3}, 100)...)

// files sends a text with files from outside and returns them as they are kept.
func (s *stage) files(list ...emulator.Media) (*message.Message, []*message.Media) {
	s.Helper()
	_, err := s.twilio.SendText(mobile, office, "look", list...)
	s.must(err)
	s.must(s.twilio.WaitIdle(s.ctx))
	s.drain()
	m, err := s.svc.Get(s.ctx, s.admin, s.threads(s.admin, message.Filter{})[0].LastMessageID)
	s.must(err)
	return m, s.media(m)
}

func (s *stage) media(m *message.Message) []*message.Media {
	s.Helper()
	got, err := s.svc.MediaByMessages(access.With(s.ctx, s.admin), []id.ID{m.ID})
	s.must(err)
	return got[m.ID]
}

func TestFilesAreCopiedAndTypedByContent(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	cases := []struct {
		why, declared string
		data          []byte
		state         message.MediaState
		want          string
	}{
		{"a picture", "image/png", png, message.MediaStored, "image/png"},
		{"the content counts, not the name", "image/jpeg", png, message.MediaStored, "image/png"},
		{"a card", "text/vcard", []byte("BEGIN:VCARD\nEND:VCARD"), message.MediaStored, "text/vcard"},
		{"a picture that browsers do not show", "image/heic", []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"), message.MediaStored, "image/heic"},
		{"a page that is called a picture", "image/png", []byte("<html><script>alert(1)</script>"), message.MediaRefused, "image/png"},
		{"a drawing that runs scripts", "image/svg+xml", []byte(`<?xml version="1.0"?><svg onload="x()"/>`), message.MediaRefused, "image/svg+xml"},
		{"a page that says so is refused too", "text/html", []byte("<html><script>alert(1)</script>"), message.MediaRefused, "text/html"},
		{"nothing in it", "image/png", nil, message.MediaRefused, "image/png"},
	}
	var list []emulator.Media
	for _, c := range cases {
		list = append(list, emulator.Media{ContentType: c.declared, Data: c.data})
	}
	m, got := s.files(list...)
	if len(got) != len(cases) {
		t.Fatalf("%d files", len(got))
	}
	for i, c := range cases {
		x := got[i]
		if x.State != c.state || x.ContentType != c.want || x.Position != i {
			t.Errorf("%s: %s %s at %d", c.why, x.State, x.ContentType, x.Position)
		}
		r, info, err := s.svc.OpenMedia(s.ctx, s.admin, x.ID)
		if c.state != message.MediaStored {
			s.wants(err, errs.Conflict, "")
			continue
		}
		s.must(err)
		data, err := io.ReadAll(r)
		s.must(err)
		s.must(r.Close())
		if !bytes.Equal(data, c.data) || info.ContentType != c.want || *x.SizeBytes != int64(len(c.data)) {
			t.Errorf("%s: %d bytes of %s", c.why, len(data), info.ContentType)
		}
	}
	// One event for the message and one for each file.
	if n := s.events(m.ID); n != 1+len(cases) {
		t.Errorf("%d events", n)
	}
}

func TestAFileThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	_, got := s.files(emulator.Media{ContentType: "image/png", Data: slices.Concat(png, make([]byte, 16<<20))})
	if got[0].State != message.MediaRefused || got[0].BlobKey != nil {
		t.Errorf("it is %s", got[0].State)
	}
}

func TestAFileIsFetchedAgainUntilItComes(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.twilio.FailNext(emulator.Fault{Method: "GET", Path: "/Media/", Fate: emulator.Fate500, Times: 3}) // as often as the client tries
	_, err := s.twilio.SendText(mobile, office, "look", emulator.Media{ContentType: "image/png", Data: png})
	s.must(err)
	s.must(s.twilio.WaitIdle(s.ctx))
	s.waitUntil(`SELECT count(*) AS n FROM message_media WHERE state = 'STORED'`, 1)
}

// waitUntil looks until a count is as wanted: River retries on the real clock.
func (s *stage) waitUntil(sql string, want int) {
	s.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.count(sql) != want {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			s.Fatal(s.ctx.Err())
		}
	}
}

func TestAFileThatIsNotAtTwilioIsNotFetched(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	for name, c := range map[string]struct {
		url  string
		want message.MediaState
	}{
		"elsewhere": {"https://example.com/secret.png", message.MediaRefused},
		"inside":    {"http://127.0.0.1:1/metadata", message.MediaRefused},
		"a file":    {"file:///etc/passwd", message.MediaRefused},
		"gone":      {"https://api.twilio.com/2010-04-01/Accounts/" + accountSID + "/Messages/MM00000000000000000000000000000000/Media/ME00000000000000000000000000000000", message.MediaFailed},
	} {
		t.Run(name, func(t *testing.T) {
			f := text(mobile, office, name)
			f.Media = []twilio.MediaRef{{URL: c.url, ContentType: "image/png"}}
			var m *message.Message
			s.must(s.in(s.org, func(ctx context.Context, tx *db.Tx) (err error) {
				m, err = s.svc.Receive(ctx, tx, s.connection, f)
				return err
			}))
			s.drain()
			if got := s.media(m); got[0].State != c.want {
				t.Errorf("it is %s", got[0].State)
			}
		})
	}
}
