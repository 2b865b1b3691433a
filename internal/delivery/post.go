package delivery

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"switchboard/internal/blob"
	"switchboard/internal/id"
)

// body is what is posted.
type body struct {
	ID             id.ID           `json:"id"`
	Kind           string          `json:"kind"`
	At             time.Time       `json:"at"`
	Cursor         *string         `json:"cursor"` // null for a test
	OrganizationID id.ID           `json:"organizationId"`
	ActorID        *id.ID          `json:"actorId"`
	Subject        subject         `json:"subject"`
	Facts          map[string]any  `json:"facts"`
	Data           json.RawMessage `json:"data"`
}

type subject struct {
	Type string `json:"type"`
	ID   id.ID  `json:"id"`
}

// answer is what came of a post.
type answer struct {
	status     int // 0: none came
	problem    string
	text       string
	retryAfter time.Duration
	took       time.Duration
}

func (a answer) ok() bool { return a.status >= 200 && a.status < 300 }

// post sends one delivery and reads the beginning of the answer.
func (s *Service) post(ctx context.Context, to target, d *Delivery, content []byte) (a answer) {
	clk := s.d.DB.Clock()
	now := clk.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, bytes.NewReader(content))
	if err != nil {
		return answer{problem: "the web address cannot be used"}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Switchboard-Webhooks/1")
	req.Header.Set("Switchboard-Event-Id", d.EventID.String())
	req.Header.Set("Switchboard-Delivery-Id", d.ID.String())
	req.Header.Set("Switchboard-Signature", sign(now, content, to.secrets))
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{problem: explain(err), took: clk.Now().Sub(now)}
	}
	defer func() { _ = resp.Body.Close() }()
	// What is read to its end leaves the connection to the next post.
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	a = answer{status: resp.StatusCode, retryAfter: retryAfter(resp.Header, now), text: shown(text), took: clk.Now().Sub(now)}
	switch {
	case a.ok() && err != nil && ctx.Err() != nil:
		// We are stopping: whether it was taken is not known, so it is sent again.
		return answer{problem: "no whole answer came"}
	case a.ok():
	case a.status >= 300 && a.status < 400:
		a.problem = fmt.Sprintf("it answered %d: redirects are not followed; enter the address it leads to", a.status)
	case a.status == http.StatusGone:
		a.problem = "it answered 410: it wants no more posts"
	default:
		a.problem = fmt.Sprintf("it answered %d; an answer from 200 to 299 is needed", a.status)
	}
	return a
}

// shown is the beginning of an answer as text.
func shown(b []byte) string {
	if len(b) > keptAnswer {
		b = b[:keptAnswer]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(string(b), ""), "\x00", "")
}

// explain says in plain words why no answer came. The error itself holds the
// address, and names where it leads.
func explain(err error) string {
	var (
		dns  *net.DNSError
		cert *tls.CertificateVerificationError
		rec  tls.RecordHeaderError
		name x509.HostnameError
		ne   net.Error
	)
	switch {
	case errors.Is(err, blob.ErrInside):
		return "the web address is not on the public internet"
	case errors.As(err, &dns) && dns.IsNotFound:
		return "there is no server of this name"
	case errors.As(err, &cert), errors.As(err, &name):
		return "its certificate is not valid for this address"
	case errors.As(err, &rec):
		return "it does not speak https"
	case errors.As(err, &ne) && ne.Timeout():
		return fmt.Sprintf("it did not answer within %d seconds", int(postFor.Seconds()))
	case errors.As(err, &dns):
		return "the name of the server could not be looked up"
	}
	return "it could not be reached"
}
