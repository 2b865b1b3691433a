package transcript

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"switchboard/internal/blob"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/speech"
	"switchboard/internal/twilio"
)

// The addresses that an HTTP provider is given: both work as long as it has time.
const (
	audioPurpose  = "speech-audio"
	resultPurpose = "speech-result"
	linkLife      = patience
)

// links are where the provider fetches the audio and tells the result.
func (s *Service) links(t *Transcript) (audio, result string) {
	if s.Base == nil || t.AskedAt == nil {
		return "", ""
	}
	// The same at every attempt: the provider may compare what it was told.
	until := t.AskedAt.Add(linkLife).Unix()
	make1 := func(purpose, last string) string {
		sig, err := s.sign(purpose, t.OrganizationID, t.ID, until)
		if err != nil {
			return ""
		}
		return twilio.PublicURL(s.Base, "/speech/"+t.OrganizationID.String()+"/"+t.ID.String()+"/"+last, url.Values{"s": {sig}})
	}
	return make1(audioPurpose, "audio"), make1(resultPurpose, "result")
}

func claimOf(org, transcript id.ID, until int64) []byte {
	return []byte(org.String() + " " + transcript.String() + " " + strconv.FormatInt(until, 10))
}

func (s *Service) sign(purpose string, org, transcript id.ID, until int64) (string, error) {
	mac, err := s.Keys.Sign(purpose, claimOf(org, transcript, until))
	if err != nil {
		return "", err
	}
	return strconv.FormatInt(until, 36) + "." + base64.RawURLEncoding.EncodeToString(mac), nil
}

func (s *Service) signed(purpose string, org, transcript id.ID, sig string) bool {
	expiry, mac64, _ := strings.Cut(sig, ".")
	until, err := strconv.ParseInt(expiry, 36, 64)
	mac, macErr := base64.RawURLEncoding.DecodeString(mac64)
	return err == nil && macErr == nil && len(sig) < 200 && s.Clock.Now().Unix() < until && s.Keys.Verify(purpose, claimOf(org, transcript, until), mac) == nil
}

// OpenAudio opens the audio for the provider that works on it. Code: errs.NotFound
// for everything that is wrong, and once the work is over.
func (s *Service) OpenAudio(ctx context.Context, org, transcript id.ID, sig string) (_ io.ReadSeekCloser, _ blob.Info, err error) {
	defer errs.Wrap(&err, "transcript.OpenAudio")
	if !s.signed(audioPurpose, org, transcript, sig) {
		return nil, blob.Info{}, errAbsent()
	}
	ctx = db.WithTenant(ctx, org)
	var keys []struct {
		Key string `bun:"blob_key"`
	}
	if err := db.Select(ctx, s.DB.App(), &keys, `SELECT r.blob_key FROM transcript t JOIN recording r ON r.organization_id = t.organization_id AND r.id = t.recording_id
		WHERE t.organization_id = $1 AND t.id = $2 AND t.status = 'RUNNING' AND t.provider = 'HTTP' AND r.blob_key IS NOT NULL AND r.status <> 'DELETED'`, org, transcript); err != nil {
		return nil, blob.Info{}, err
	}
	if len(keys) == 0 {
		return nil, blob.Info{}, errAbsent()
	}
	return s.Blobs.Open(ctx, org, keys[0].Key)
}

// Take takes the result that an HTTP provider posts, once: a second one, and one for
// what is deleted, changes nothing. Codes: errs.NotFound for a wrong address,
// errs.Invalid for a body that is no result.
func (s *Service) Take(ctx context.Context, org, transcript id.ID, sig string, body io.Reader) (err error) {
	defer errs.Wrap(&err, "transcript.Take")
	if !s.signed(resultPurpose, org, transcript, sig) {
		return errAbsent()
	}
	ctx = db.WithTenant(ctx, org)
	var rows []*Transcript
	if err := db.Select(ctx, s.DB.App(), &rows, `SELECT `+columns+` FROM transcript WHERE organization_id = $1 AND id = $2`, org, transcript); err != nil {
		return err
	}
	if len(rows) == 0 {
		return errAbsent()
	}
	t := rows[0]
	if t.Status != Running || t.Provider != HTTP {
		return nil
	}
	h, err := hearing(ctx, s.DB.App(), t.RecordingID)
	if err != nil {
		return err
	}
	speakers := []string{""}
	if h != nil {
		speakers = h.speakers()
	}
	r, failed := speech.ReadResult(body, speakers)
	var e *speech.Error
	if failed != nil && (!errors.As(failed, &e) || e.Kind != speech.Refused) {
		why := "the body is no result"
		if e != nil {
			why = e.Why
		}
		return errs.New(errs.Invalid, "%s", why)
	}
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		// Whoever works on it finds that it was taken over.
		mine := tx.Now.Add(time.Hour).Truncate(time.Microsecond)
		n, err := db.Exec(ctx, tx, `UPDATE transcript SET leased_until = $3 WHERE organization_id = $1 AND id = $2 AND status = 'RUNNING'`, org, transcript, mine)
		if err != nil || n == 0 {
			return err
		}
		t.LeasedUntil = &mine
		if failed != nil {
			return s.failIn(ctx, tx, t, &failure{FailureCode(e.Kind), e.Why})
		}
		return s.finish(ctx, tx, t, nil, r)
	})
}
