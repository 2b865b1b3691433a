package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wneessen/go-mail"
)

const (
	mailFor     = 30 * time.Second
	maxSubject  = 200 // characters
	maxMailBody = 32 << 10
)

// Mailer sends plain text by one SMTP server.
type Mailer struct {
	host    string
	options []mail.Option
	tls     *tls.Config
	direct  bool // TLS from the start
	from    *netmail.Address
}

// NewMailer makes one for smtp://user:password@host:587, which begins with STARTTLS
// and sends nothing without it, or smtps://host:465, which is TLS from the start.
// smtp://host:25?tls=none sends in the clear: for a server on this machine or in a
// private network, never with a password.
func NewMailer(address, from string) (*Mailer, error) {
	return newMailer(address, from, nil)
}

func newMailer(address, from string, roots *x509.CertPool) (*Mailer, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Opaque != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return nil, errors.New("give it as smtp://user:password@mail.example.com:587 or smtps://…:465")
	}
	m := &Mailer{host: u.Hostname()}
	if m.from, err = netmail.ParseAddress(from); err != nil || hasControl(from) {
		return nil, errors.New("the sender is not an e-mail address; give it as Switchboard <phone@example.com>")
	}
	port := 0
	switch u.Scheme {
	case "smtp":
		port = 587
	case "smtps":
		port = 465
		m.direct = true
		m.options = append(m.options, mail.WithSSL())
	default:
		return nil, errors.New("it must begin with smtp:// or smtps://")
	}
	if u.Port() != "" {
		if port, err = strconv.Atoi(u.Port()); err != nil || port < 1 || port > 65535 {
			return nil, errors.New("its port is not one")
		}
	}
	policy := mail.TLSMandatory
	switch v := u.Query().Get("tls"); v {
	case "":
	case "none":
		if u.Scheme == "smtps" || u.User != nil {
			return nil, errors.New("tls=none is for smtp:// without a user: a password is never sent in the clear")
		}
		policy = mail.NoTLS
	default:
		return nil, fmt.Errorf("tls=%s is unknown; leave it out, or give none", v)
	}
	m.tls = &tls.Config{ServerName: m.host, MinVersion: tls.VersionTLS12, RootCAs: roots}
	m.options = append(m.options, mail.WithPort(port), mail.WithTLSPolicy(policy), mail.WithTimeout(mailFor), mail.WithTLSConfig(m.tls))
	if u.User != nil {
		password, _ := u.User.Password()
		m.options = append(m.options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(u.User.Username()), mail.WithPassword(password))
	}
	return m, nil
}

// From is the sender's address.
func (m *Mailer) From() string { return m.from.Address }

// Mail is one e-mail of plain text.
type Mail struct {
	To, Subject, Body string
	At                time.Time
	// Key names the mail: the same key gives the same Message-ID, by which
	// mailboxes know a repetition.
	Key string
}

// Send hands a mail to the server. The error is a *Problem.
func (m *Mailer) Send(ctx context.Context, x Mail) error {
	to, err := netmail.ParseAddress(x.To)
	if err != nil || hasControl(x.To) {
		return &Problem{Reason: "the recipient's address is not one", Final: true}
	}
	if len(x.Body) > maxMailBody || !utf8.ValidString(x.Body) {
		return &Problem{Reason: fmt.Sprintf("the text has more than %d bytes, or is no text", maxMailBody), Final: true}
	}
	msg := mail.NewMsg()
	if err := errors.Join(msg.FromFormat(m.from.Name, m.from.Address), msg.To(to.Address)); err != nil {
		return &Problem{Reason: "the recipient's address is not one", Final: true}
	}
	_, domain, _ := strings.Cut(m.from.Address, "@")
	msg.Subject(oneLine(x.Subject))
	msg.SetDateWithValue(x.At)
	msg.SetMessageIDWithValue(oneLine(x.Key) + "@" + domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers
	msg.SetBodyString(mail.TypeTextPlain, x.Body)
	// The client leaves connections open on which TLS or the password failed.
	var conn net.Conn
	dial := func(ctx context.Context, network, address string) (c net.Conn, err error) {
		if m.direct {
			c, err = (&tls.Dialer{Config: m.tls}).DialContext(ctx, network, address)
		} else {
			c, err = (&net.Dialer{}).DialContext(ctx, network, address)
		}
		conn = c
		return c, err
	}
	defer func() {
		if conn != nil {
			_ = conn.Close()
		}
	}()
	client, err := mail.NewClient(m.host, append(slices.Clone(m.options), mail.WithDialContextFunc(dial))...)
	if err != nil {
		return &Problem{Reason: "the mail server's settings are not usable", Final: true}
	}
	ctx, cancel := context.WithTimeout(ctx, mailFor)
	defer cancel()
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return mailProblem(err)
	}
	return nil
}

func mailProblem(err error) *Problem {
	p := &Problem{Reason: "the mail server could not be reached"}
	var sent *mail.SendError
	var cert *tls.CertificateVerificationError
	var ne net.Error
	switch {
	case errors.As(err, &sent):
		p.Reason, p.Final = "the mail server refused it", !sent.IsTemp()
		if c := sent.ErrorCode(); c > 0 {
			p.Reason, p.Final = fmt.Sprintf("the mail server answered %d", c), c >= 500
		}
		if sent.Reason == mail.ErrNoUnencoded || sent.Reason == mail.ErrConnCheck {
			p.Final = false
		}
	case errors.As(err, &cert):
		p.Reason = "the mail server's certificate is not valid for its name"
	case errors.As(err, &ne) && ne.Timeout():
		p.Reason = "the mail server did not answer in time"
	case strings.Contains(err.Error(), "STARTTLS"):
		p.Reason = "the mail server offers no TLS"
	case strings.Contains(err.Error(), "auth"):
		p.Reason = "the mail server refused our password"
	}
	return p
}

// oneLine makes a header's value: one line, not too long.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool { return r == ' ' || isControl(r) }), " ")
	if r := []rune(s); len(r) > maxSubject {
		s = string(r[:maxSubject-1]) + "…"
	}
	return s
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 }

func hasControl(s string) bool { return strings.ContainsFunc(s, isControl) }
