package notify_test

import (
	"io"
	"mime"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"switchboard/internal/notify"
	"switchboard/internal/testkit"
)

// box is where a mailbox is.
func box(m *testkit.Mailbox, user, query string) string { return "smtp://" + user + m.Addr + query }

var letter = notify.Mail{To: "ann@example.com", Subject: "Missed call from Jörg", Body: "Missed call from Jörg.\n.\nA line.\n", At: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), Key: "notif_01h455vb4pex5vsknk084sn02q"}

func TestAMailIsPlainTextOverTLS(t *testing.T) {
	t.Parallel()
	server := testkit.NewMailbox(t, nil)
	m, err := notify.NewMailerWith(box(server, "me:se%20cret@", ""), "Switchboard <phone@example.com>", server.Roots)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := m.Send(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	got := server.Received()
	if got.InTheClear || len(got.Mails) != 2 || got.Users[0] != "|me|se cret" || !strings.Contains(got.To[0], "<ann@example.com>") {
		t.Fatalf("in the clear %v, %d mails, users %q, to %q", got.InTheClear, len(got.Mails), got.Users, got.To)
	}
	x, err := netmail.ReadMessage(strings.NewReader(got.Mails[0]))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(x.Header.Get("Subject"))
	body, err2 := io.ReadAll(quotedprintable.NewReader(x.Body))
	if err != nil || err2 != nil || subject != letter.Subject || !strings.Contains(string(body), "Missed call from Jörg.\r\n") {
		t.Errorf("subject %q, body %q", subject, body)
	}
	if kind := x.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/plain") {
		t.Errorf("it is %s", kind)
	}
	y, err := netmail.ReadMessage(strings.NewReader(got.Mails[1]))
	if err != nil || x.Header.Get("Message-Id") == "" || x.Header.Get("Message-Id") != y.Header.Get("Message-Id") {
		t.Errorf("the repetition has another id: %q and %q (%v)", x.Header.Get("Message-Id"), y.Header.Get("Message-Id"), err)
	}
	if from := x.Header.Get("From"); from != `"Switchboard" <phone@example.com>` {
		t.Errorf("it is from %s", from)
	}
}

func TestNothingIsSentInTheClearUnasked(t *testing.T) {
	t.Parallel()
	server := testkit.NewMailbox(t, func(m *testkit.Mailbox) { m.NoTLS = true })
	m, err := notify.NewMailerWith(box(server, "", ""), "phone@example.com", server.Roots)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Send(t.Context(), letter); err == nil {
		t.Error("a server without TLS got the mail")
	}
	stranger := testkit.NewMailbox(t, nil) // its certificate is nobody's
	if m, err = notify.NewMailerWith(box(stranger, "", ""), "phone@example.com", server.Roots); err != nil {
		t.Fatal(err)
	}
	if err := m.Send(t.Context(), letter); err == nil {
		t.Error("a stranger's server got the mail")
	}
	if m, err = notify.NewMailerWith(box(server, "", "?tls=none"), "phone@example.com", nil); err != nil {
		t.Fatal(err)
	}
	if err := m.Send(t.Context(), letter); err != nil || len(server.Received().Mails) != 1 {
		t.Errorf("asked for, it goes in the clear: %v, %d mails", err, len(server.Received().Mails))
	}
	for _, bad := range []string{"smtp://me:secret@host?tls=none", "smtps://host?tls=none", "smtp://host?tls=maybe", "http://host", "smtp://", "smtp://host:99999", "smtp://host/path"} {
		if _, err := notify.NewMailer(bad, "phone@example.com"); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	for _, bad := range []string{"", "nobody", "a@b\r\nBcc: c@d"} {
		if _, err := notify.NewMailer("smtps://host", bad); err == nil {
			t.Errorf("from %q is taken", bad)
		}
	}
}

func TestNoHeaderCanBeSmuggledIn(t *testing.T) {
	t.Parallel()
	server := testkit.NewMailbox(t, nil)
	m, err := notify.NewMailerWith(box(server, "", ""), "phone@example.com", server.Roots)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*notify.Mail){
		"subject": func(x *notify.Mail) { x.Subject = "Hello\r\nBcc: eve@example.com\r\n\r\nBody" },
		"unicode": func(x *notify.Mail) { x.Subject = "Hello\u2028Bcc: eve@example.com\u0085X: y" },
		"key":     func(x *notify.Mail) { x.Key = "x>\r\nBcc: eve@example.com" },
		"body":    func(x *notify.Mail) { x.Body = "text\r\n.\r\nMAIL FROM:<eve@example.com>\r\n" },
	} {
		x := letter
		change(&x)
		if err := m.Send(t.Context(), x); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	got := server.Received()
	for _, raw := range got.Mails {
		x, err := netmail.ReadMessage(strings.NewReader(raw))
		if err != nil || x.Header.Get("Bcc") != "" || x.Header.Get("X") != "" {
			t.Errorf("a header came through (%v):\n%s", err, raw)
		}
	}
	if len(got.Mails) != 4 || len(got.To) != 4 {
		t.Errorf("%d mails to %q", len(got.Mails), got.To)
	}
	for _, to := range []string{"ann@example.com\r\nBcc: eve@example.com", "ann@example.com, eve@example.com", "", "nobody"} {
		x := letter
		x.To = to
		if p := notify.ProblemOf(m.Send(t.Context(), x)); !p.Final {
			t.Errorf("to %q: %+v", to, p)
		}
	}
}

func TestAMailServersAnswerSaysWhetherToTryAgain(t *testing.T) {
	t.Parallel()
	for answer, final := range map[string]bool{"550 5.1.1 no such user": true, "451 4.3.0 later": false} {
		server := testkit.NewMailbox(t, func(m *testkit.Mailbox) { m.Refuse = answer })
		m, err := notify.NewMailerWith(box(server, "", ""), "phone@example.com", server.Roots)
		if err != nil {
			t.Fatal(err)
		}
		if p := notify.ProblemOf(m.Send(t.Context(), letter)); p.Final != final || strings.Contains(p.Reason, "ann@") {
			t.Errorf("%s: %+v", answer, p)
		}
	}
	away := testkit.NewMailbox(t, nil)
	m, err := notify.NewMailerWith(box(away, "", ""), "phone@example.com", away.Roots)
	if err != nil {
		t.Fatal(err)
	}
	away.Close()
	if p := notify.ProblemOf(m.Send(t.Context(), letter)); p.Final {
		t.Errorf("a server that is away: %+v", p)
	}
}
