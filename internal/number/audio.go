package number

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"io"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/blob"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/twilio"
)

// MaxAudio is the largest prompt or greeting, in bytes.
const MaxAudio = 10 << 20

// Audio is a prompt or greeting kept by us (R045, R126).
type Audio struct {
	bun.BaseModel `bun:"table:audio,alias:audio"`

	OrganizationID id.ID     `bun:"organization_id,pk,type:uuid"`
	ID             id.ID     `bun:"id,pk,type:uuid"`
	Name           string    `bun:"name"`
	ContentType    string    `bun:"content_type"`
	SizeBytes      int       `bun:"size_bytes"`
	BlobKey        string    `bun:"blob_key"`
	PublicToken    string    `bun:"public_token"`
	CreatedByID    id.ID     `bun:"created_by,type:uuid,nullzero"`
	CreatedAt      time.Time `bun:"created_at"`
}

const audioColumns = `a.organization_id, a.id, a.name, a.content_type, a.size_bytes, a.blob_key, a.public_token, a.created_by, a.created_at`

var errNoAudio = errs.New(errs.NotFound, "there is no such audio, or you may not hear it")

// Save keeps an MP3 or WAV, told by its content. Codes: errs.Forbidden,
// errs.Required, errs.Invalid, errs.LimitReached.
func (s *Service) Save(ctx context.Context, who access.Actor, name string, r io.Reader) (*Audio, error) {
	if err := who.Require(access.NumberManage); err != nil {
		return nil, err
	}
	if name = strings.TrimSpace(name); name == "" {
		name = "audio"
	}
	name, err := checkText(name, maxName, "name")
	if err != nil {
		return nil, err
	}
	org := who.OrganizationID
	ctx = db.WithTenant(ctx, org)
	info, err := s.blobs.Put(ctx, org, r, MaxAudio, blob.Audio)
	if err != nil {
		return nil, err
	}
	a := &Audio{
		OrganizationID: org, ID: id.New(AudioID), Name: name, ContentType: info.ContentType, SizeBytes: int(info.Size),
		BlobKey: info.Key, PublicToken: rand.Text(), CreatedByID: who.UserID,
	}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		a.CreatedAt = tx.Now
		if _, err := tx.NewInsert().Model(a).Exec(ctx); err != nil {
			return err
		}
		return told(ctx, tx, who, "", "audio.create", a.ID, map[string]any{"contentType": a.ContentType, "sizeBytes": a.SizeBytes})
	})
	if err != nil {
		s.discard(ctx, a)
		return nil, err
	}
	return a, nil
}

// SaveFromURL fetches an audio from the public internet once and keeps it. Codes:
// those of Save; errs.Invalid for an address that cannot be fetched.
func (s *Service) SaveFromURL(ctx context.Context, who access.Actor, address string) (*Audio, error) {
	if err := who.Require(access.NumberManage); err != nil {
		return nil, err
	}
	body, err := s.fetcher.Fetch(ctx, address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	name := "audio"
	if u, err := url.Parse(address); err == nil {
		if base := path.Base(u.Path); base != "." && base != "/" && len(base) <= maxName {
			name = base
		}
	}
	return s.Save(ctx, who, name, body)
}

// fetchAudio replaces the addresses in a change by the ids of what they gave;
// undo deletes that again when nothing came of the change.
func (s *Service) fetchAudio(ctx context.Context, who access.Actor, in *Update) (undo func(), err error) {
	var made []*Audio
	undo = func() {
		for _, a := range made {
			s.forgetAudio(context.WithoutCancel(ctx), a)
		}
	}
	for _, f := range []struct {
		address *patch.Field[string]
		audio   *patch.Field[id.ID]
		field   []string
	}{
		{&in.Prompts.WelcomeAudioURL, &in.Prompts.WelcomeAudioID, []string{"prompts", "welcomeAudioUrl"}},
		{&in.Prompts.FarewellAudioURL, &in.Prompts.FarewellAudioID, []string{"prompts", "farewellAudioUrl"}},
		{&in.Voicemail.GreetingAudioURL, &in.Voicemail.GreetingAudioID, []string{"voicemail", "greetingAudioUrl"}},
	} {
		if !f.address.Has() {
			continue
		}
		a, err := s.SaveFromURL(ctx, who, f.address.Value)
		if err != nil {
			undo()
			return nil, at(err, f.field...)
		}
		made = append(made, a)
		*f.audio, *f.address = patch.To(a.ID), patch.Field[string]{}
	}
	return undo, nil
}

// forgetAudio takes an audio back that nothing came to refer to.
func (s *Service) forgetAudio(ctx context.Context, a *Audio) {
	_, err := db.Exec(ctx, s.db.App(), `DELETE FROM audio WHERE organization_id = $1 AND id = $2`, a.OrganizationID, a.ID)
	if err != nil {
		s.logger.WarnContext(ctx, "an audio that nobody uses stays", quiet(err))
		return
	}
	s.discard(ctx, a)
}

func (s *Service) discard(ctx context.Context, a *Audio) {
	if err := s.blobs.Delete(context.WithoutCancel(ctx), a.OrganizationID, a.BlobKey); err != nil {
		s.logger.WarnContext(ctx, "a file that nobody uses stays", quiet(err))
	}
}

// AudioByIDs are audio of the context's tenant by id, in one statement.
func (s *Service) AudioByIDs(ctx context.Context, ids []id.ID) (map[id.ID]*Audio, error) {
	var rows []*Audio
	err := db.Select(ctx, s.db.App(), &rows, `SELECT `+audioColumns+` FROM audio a WHERE a.organization_id = $1 AND a.id = ANY ($2::uuid[])`,
		db.TenantFrom(ctx), ids)
	out := make(map[id.ID]*Audio, len(rows))
	for _, a := range rows {
		out[a.ID] = a
	}
	return out, err
}

// Audio is one audio of the actor's organization, else errs.NotFound.
func (s *Service) Audio(ctx context.Context, who access.Actor, audio id.ID) (*Audio, error) {
	if !who.Known() {
		return nil, errNoAudio
	}
	return s.audioByID(db.WithTenant(ctx, who.OrganizationID), who.OrganizationID, audio)
}

func (s *Service) audioByID(ctx context.Context, org, audio id.ID) (*Audio, error) {
	a := &Audio{}
	err := db.Select(ctx, s.db.App(), a, `SELECT `+audioColumns+` FROM audio a WHERE a.organization_id = $1 AND a.id = $2`, org, audio)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoAudio
	}
	return a, err
}

// OpenAudio opens an audio for a person of its organization: prompts are what
// every caller hears. Code: errs.NotFound.
func (s *Service) OpenAudio(ctx context.Context, who access.Actor, audio id.ID) (io.ReadSeekCloser, blob.Info, error) {
	a, err := s.Audio(ctx, who, audio)
	if err != nil {
		return nil, blob.Info{}, err
	}
	return s.blobs.Open(ctx, a.OrganizationID, a.BlobKey)
}

const (
	playPurpose = "play-url"
	// playLife is how long an address that Twilio was given works at least: longer
	// than any call. It changes once an hour only, so that Twilio's cache serves.
	playLife = 24 * time.Hour
)

// PlayURL is where Twilio plays the audio from.
func (s *Service) PlayURL(a *Audio, now time.Time) (string, error) {
	until := now.Truncate(time.Hour).Add(playLife + time.Hour).Unix()
	mac, err := s.keys.Sign(playPurpose, playClaim(a.PublicToken, until))
	if err != nil {
		return "", err
	}
	sig := strconv.FormatInt(until, 36) + "." + base64.RawURLEncoding.EncodeToString(mac)
	return twilio.PublicURL(s.base, "/twilio/media/"+a.PublicToken, url.Values{"s": {sig}}), nil
}

// PlayURLs are the addresses of some audio of the context's tenant, by id, in one statement.
func (s *Service) PlayURLs(ctx context.Context, q bun.IDB, now time.Time, ids ...id.ID) (map[id.ID]string, error) {
	var rows []*Audio
	err := db.Select(ctx, q, &rows, `SELECT `+audioColumns+` FROM audio a WHERE a.organization_id = $1 AND a.id = ANY ($2::uuid[])`,
		db.TenantFrom(ctx), ids)
	if err != nil {
		return nil, err
	}
	out := make(map[id.ID]string, len(rows))
	for _, a := range rows {
		if out[a.ID], err = s.PlayURL(a, now); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func playClaim(token string, until int64) []byte {
	return []byte(token + " " + strconv.FormatInt(until, 10))
}

// OpenPublic opens the audio of an address that PlayURL made, sig being its
// parameter s. Code: errs.NotFound for everything that is wrong.
func (s *Service) OpenPublic(ctx context.Context, token, sig string, now time.Time) (io.ReadSeekCloser, blob.Info, error) {
	expiry, mac64, _ := strings.Cut(sig, ".")
	until, err := strconv.ParseInt(expiry, 36, 64)
	mac, macErr := base64.RawURLEncoding.DecodeString(mac64)
	if err != nil || macErr != nil || len(token) > 64 || now.Unix() >= until || s.keys.Verify(playPurpose, playClaim(token, until), mac) != nil {
		return nil, blob.Info{}, errNoAudio
	}
	var where struct {
		OrganizationID id.ID `bun:"organization_id"`
		AudioID        id.ID `bun:"audio_id"`
	}
	err = db.Select(ctx, s.db.App(), &where, `SELECT organization_id, audio_id FROM find_audio($1)`, token)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, blob.Info{}, errNoAudio
	}
	if err != nil {
		return nil, blob.Info{}, err
	}
	ctx = db.WithTenant(ctx, where.OrganizationID)
	a, err := s.audioByID(ctx, where.OrganizationID, where.AudioID)
	if err != nil {
		return nil, blob.Info{}, err
	}
	return s.blobs.Open(ctx, a.OrganizationID, a.BlobKey)
}
