package notify

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"
)

// mailbox is a small SMTP server.
type mailbox struct {
	at     net.Listener
	cert   tls.Certificate
	roots  *x509.CertPool
	noTLS  bool
	refuse string // what it says to a recipient instead of 250

	wg    sync.WaitGroup
	mu    sync.Mutex // guards the rest
	mails []string
	to    []string
	users []string
	clear bool // a mail or password came without TLS
}

func newMailbox(t *testing.T, change func(*mailbox)) *mailbox {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	m := &mailbox{cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots: x509.NewCertPool()}
	m.roots.AddCert(cert)
	if change != nil {
		change(m)
	}
	if m.at, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	m.wg.Go(func() {
		for {
			c, err := m.at.Accept()
			if err != nil {
				return
			}
			m.wg.Go(func() { m.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = m.at.Close()
		m.wg.Wait()
	})
	return m
}

func (m *mailbox) serve(c net.Conn) {
	defer func() { c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	in, secure := bufio.NewReader(c), false
	say := func(s string) { fmt.Fprintf(c, "%s\r\n", s) }
	say("220 mail.test ready")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		switch word := strings.ToUpper(line); {
		case strings.HasPrefix(word, "EHLO"):
			say("250-mail.test")
			if !secure && !m.noTLS {
				say("250-STARTTLS")
			}
			say("250-AUTH PLAIN")
			say("250 8BITMIME")
		case word == "STARTTLS":
			say("220 go on")
			t := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{m.cert}})
			if t.Handshake() != nil {
				return
			}
			c, in, secure = t, bufio.NewReader(t), true
		case strings.HasPrefix(word, "AUTH PLAIN"):
			raw, _ := base64.StdEncoding.DecodeString(line[len("AUTH PLAIN "):])
			m.note(secure, func() { m.users = append(m.users, strings.ReplaceAll(string(raw), "\x00", "|")) })
			say("235 welcome")
		case strings.HasPrefix(word, "RCPT"):
			if m.refuse != "" {
				say(m.refuse)
				continue
			}
			m.note(true, func() { m.to = append(m.to, line) })
			say("250 ok")
		case word == "DATA":
			say("354 go on")
			var b strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				b.WriteString(line)
			}
			m.note(secure, func() { m.mails = append(m.mails, b.String()) })
			say("250 kept")
		case word == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (m *mailbox) note(secure bool, fn func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear = m.clear || !secure
	fn()
}

func (m *mailbox) url(user, query string) string {
	return "smtp://" + user + m.at.Addr().String() + query
}

var letter = Mail{To: "ann@example.com", Subject: "Missed call from Jörg", Body: "Missed call from Jörg.\n.\nA line.\n", At: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), Key: "notif_01h455vb4pex5vsknk084sn02q"}

func TestAMailIsPlainTextOverTLS(t *testing.T) {
	t.Parallel()
	box := newMailbox(t, nil)
	m, err := newMailer(box.url("me:se%20cret@", ""), "Switchboard <phone@example.com>", box.roots)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := m.Send(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	box.mu.Lock()
	defer box.mu.Unlock()
	if box.clear || len(box.mails) != 2 || box.users[0] != "|me|se cret" || !strings.Contains(box.to[0], "<ann@example.com>") {
		t.Fatalf("in the clear %v, %d mails, users %q, to %q", box.clear, len(box.mails), box.users, box.to)
	}
	x, err := netmail.ReadMessage(strings.NewReader(box.mails[0]))
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
	y, err := netmail.ReadMessage(strings.NewReader(box.mails[1]))
	if err != nil || x.Header.Get("Message-Id") == "" || x.Header.Get("Message-Id") != y.Header.Get("Message-Id") {
		t.Errorf("the repetition has another id: %q and %q (%v)", x.Header.Get("Message-Id"), y.Header.Get("Message-Id"), err)
	}
	if from := x.Header.Get("From"); from != `"Switchboard" <phone@example.com>` {
		t.Errorf("it is from %s", from)
	}
}

func TestNothingIsSentInTheClearUnasked(t *testing.T) {
	t.Parallel()
	box := newMailbox(t, func(m *mailbox) { m.noTLS = true })
	m, err := newMailer(box.url("", ""), "phone@example.com", box.roots)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Send(t.Context(), letter); err == nil {
		t.Error("a server without TLS got the mail")
	}
	stranger := newMailbox(t, nil) // its certificate is nobody's
	if m, err = newMailer(stranger.url("", ""), "phone@example.com", box.roots); err != nil {
		t.Fatal(err)
	}
	if err := m.Send(t.Context(), letter); err == nil {
		t.Error("a stranger's server got the mail")
	}
	if m, err = newMailer(box.url("", "?tls=none"), "phone@example.com", nil); err != nil {
		t.Fatal(err)
	}
	if err := m.Send(t.Context(), letter); err != nil || len(box.mails) != 1 {
		t.Errorf("asked for, it goes in the clear: %v, %d mails", err, len(box.mails))
	}
	for _, bad := range []string{"smtp://me:secret@host?tls=none", "smtps://host?tls=none", "smtp://host?tls=maybe", "http://host", "smtp://", "smtp://host:99999", "smtp://host/path"} {
		if _, err := NewMailer(bad, "phone@example.com"); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	for _, bad := range []string{"", "nobody", "a@b\r\nBcc: c@d"} {
		if _, err := NewMailer("smtps://host", bad); err == nil {
			t.Errorf("from %q is taken", bad)
		}
	}
}

func TestNoHeaderCanBeSmuggledIn(t *testing.T) {
	t.Parallel()
	box := newMailbox(t, nil)
	m, err := newMailer(box.url("", ""), "phone@example.com", box.roots)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Mail){
		"subject": func(x *Mail) { x.Subject = "Hello\r\nBcc: eve@example.com\r\n\r\nBody" },
		"unicode": func(x *Mail) { x.Subject = "Hello\u2028Bcc: eve@example.com\u0085X: y" },
		"key":     func(x *Mail) { x.Key = "x>\r\nBcc: eve@example.com" },
		"body":    func(x *Mail) { x.Body = "text\r\n.\r\nMAIL FROM:<eve@example.com>\r\n" },
	} {
		x := letter
		change(&x)
		if err := m.Send(t.Context(), x); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	box.mu.Lock()
	defer box.mu.Unlock()
	for _, raw := range box.mails {
		x, err := netmail.ReadMessage(strings.NewReader(raw))
		if err != nil || x.Header.Get("Bcc") != "" || x.Header.Get("X") != "" {
			t.Errorf("a header came through (%v):\n%s", err, raw)
		}
	}
	if len(box.mails) != 4 || len(box.to) != 4 {
		t.Errorf("%d mails to %q", len(box.mails), box.to)
	}
	for _, to := range []string{"ann@example.com\r\nBcc: eve@example.com", "ann@example.com, eve@example.com", "", "nobody"} {
		x := letter
		x.To = to
		if p := ProblemOf(m.Send(t.Context(), x)); !p.Final {
			t.Errorf("to %q: %+v", to, p)
		}
	}
}

func TestAMailServersAnswerSaysWhetherToTryAgain(t *testing.T) {
	t.Parallel()
	for answer, final := range map[string]bool{"550 5.1.1 no such user": true, "451 4.3.0 later": false} {
		box := newMailbox(t, func(m *mailbox) { m.refuse = answer })
		m, err := newMailer(box.url("", ""), "phone@example.com", box.roots)
		if err != nil {
			t.Fatal(err)
		}
		if p := ProblemOf(m.Send(t.Context(), letter)); p.Final != final || strings.Contains(p.Reason, "ann@") {
			t.Errorf("%s: %+v", answer, p)
		}
	}
	away := newMailbox(t, nil)
	m, err := newMailer(away.url("", ""), "phone@example.com", away.roots)
	if err != nil {
		t.Fatal(err)
	}
	_ = away.at.Close()
	if p := ProblemOf(m.Send(t.Context(), letter)); p.Final {
		t.Errorf("a server that is away: %+v", p)
	}
}
