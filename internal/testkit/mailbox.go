package testkit

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Mailbox is a small SMTP server on this machine that keeps what it is given.
type Mailbox struct {
	Addr string
	// Roots know its certificate.
	Roots *x509.CertPool
	// NoTLS and Refuse, what it says to a recipient instead of 250, are set before it is used.
	NoTLS  bool
	Refuse string

	at   net.Listener
	cert tls.Certificate
	wg   sync.WaitGroup
	mu   sync.Mutex // guards the rest
	got  Received
}

// Received is what a Mailbox was given.
type Received struct {
	Mails, To, Users []string
	InTheClear       bool // something came without TLS
}

// NewMailbox starts one that ends with the test.
func NewMailbox(t testing.TB, change func(*Mailbox)) *Mailbox {
	t.Helper()
	m := &Mailbox{Roots: x509.NewCertPool()}
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
	m.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	m.Roots.AddCert(cert)
	if change != nil {
		change(m)
	}
	if m.at, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	m.Addr = m.at.Addr().String()
	m.wg.Go(func() {
		for {
			c, err := m.at.Accept()
			if err != nil {
				return
			}
			m.wg.Go(func() { m.serve(c) })
		}
	})
	t.Cleanup(m.Close)
	return m
}

// Close ends it.
func (m *Mailbox) Close() {
	_ = m.at.Close()
	m.wg.Wait()
}

// Received is what it was given so far.
func (m *Mailbox) Received() Received {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.got
}

func (m *Mailbox) serve(c net.Conn) {
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
			if !secure && !m.NoTLS {
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
			m.note(secure, func() { m.got.Users = append(m.got.Users, strings.ReplaceAll(string(raw), "\x00", "|")) })
			say("235 welcome")
		case strings.HasPrefix(word, "RCPT"):
			if m.Refuse != "" {
				say(m.Refuse)
				continue
			}
			m.note(true, func() { m.got.To = append(m.got.To, line) })
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
			m.note(secure, func() { m.got.Mails = append(m.got.Mails, b.String()) })
			say("250 kept")
		case word == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (m *Mailbox) note(secure bool, fn func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got.InTheClear = m.got.InTheClear || !secure
	fn()
}
