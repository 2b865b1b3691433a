package message

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/blob"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/twilio"
)

const (
	// maxMedia is the largest file that is copied, in bytes: what Twilio sends is smaller.
	maxMedia = 16 << 20
	// MaxUpload is the largest file to send, in bytes (twilio: messaging/api/message-resource).
	MaxUpload = 5 << 20
	// MaxFiles is how many files a message has at most (twilio error 21623).
	MaxFiles = 10
	// maxWaiting is how many uploads of one organization wait for a message at most.
	maxWaiting   = 2000
	maxMediaName = 200
	// unusedFor is how long an upload waits for its message.
	unusedFor = 7 * 24 * time.Hour
)

var errNoUpload = errs.New(errs.NotFound, "there is no such upload; send the file to POST /media?for=message first")

// carried accepts what a message carries, by its content (R144).
func carried(head []byte) (string, error) {
	kind, ok := SniffMedia(head)
	if !ok {
		return "", errs.New(errs.Invalid, "messages do not carry this kind of file; send a picture, a sound, a film, a PDF or a contact card")
	}
	return kind, nil
}

// Upload keeps a file that a message will carry. It needs SMS_SEND. Codes:
// errs.Required, errs.Invalid for content that no message carries, errs.LimitReached.
func (s *Service) Upload(ctx context.Context, who access.Actor, name string, body io.Reader) (_ *Media, err error) {
	defer errs.Wrap(&err, "message.Upload")
	if err := who.Require(access.SMSSend); err != nil {
		return nil, err
	}
	name = strings.TrimSpace(name)
	if utf8.RuneCountInString(name) > maxMediaName || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return nil, errs.New(errs.Invalid, "the name has more than %d characters, or some that no name has", maxMediaName)
	}
	org := who.OrganizationID
	ctx = access.With(ctx, who)
	info, err := s.blob.Put(ctx, org, body, MaxUpload, carried)
	if err != nil {
		return nil, err
	}
	m := &Media{
		OrganizationID: org, ID: id.New(id.Media), ContentType: info.ContentType, State: MediaStored, BlobKey: &info.Key, SizeBytes: &info.Size,
		UploadedByID: who.UserID,
	}
	if who.UserID.IsZero() {
		m.UploadKeyID = who.APIKeyID
	}
	if name != "" {
		m.Name = &name
	}
	m.look(ctx, s.blob)
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		n, err := db.Exec(ctx, tx, `
INSERT INTO message_media (organization_id, id, position, content_type, state, blob_key, size_bytes, name, uploaded_by, width, height,
  thumbnail_key, thumbnail_bytes, created_at, uploaded_by_key)
SELECT $1, $2, 0, $3, 'STORED', $4, $5, $6, $7, $8, $9, $10, $11, $12, $14
WHERE (SELECT count(*) FROM message_media WHERE organization_id = $1 AND message_id IS NULL) < $13`,
			m.OrganizationID, m.ID, m.ContentType, m.BlobKey, m.SizeBytes, m.Name, m.UploadedByID, m.Width, m.Height,
			m.ThumbnailKey, m.ThumbnailBytes, tx.Now, maxWaiting, m.UploadKeyID)
		if err == nil && n == 0 {
			err = errs.New(errs.LimitReached, "%d uploads wait for a message already; send or wait until they are removed", maxWaiting)
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(err, s.forget(context.WithoutCancel(ctx), org, m.BlobKey, m.ThumbnailKey))
	}
	return m, nil
}

// forget deletes files that nothing names.
func (s *Service) forget(ctx context.Context, org id.ID, keys ...*string) (err error) {
	for _, key := range keys {
		if key != nil {
			err = errors.Join(err, s.blob.Delete(ctx, org, *key))
		}
	}
	return err
}

// uploads are the files that a person means to send, in their order: their own
// uploads, or those of the key that they use.
func uploads(ctx context.Context, h bun.IDB, who access.Actor, ids []id.ID) ([]*Media, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	if len(ids) > MaxFiles {
		return nil, errs.New(errs.LimitReached, "a message has at most %d files; leave some out", MaxFiles).At("input", "mediaIds")
	}
	var rows []*Media
	if err := db.Select(ctx, h, &rows, `
SELECT mm.* FROM message_media mm
WHERE mm.organization_id = $1 AND mm.id = ANY ($2::uuid[]) AND mm.message_id IS NULL AND mm.state = 'STORED'
  AND ($3 OR coalesce(mm.uploaded_by, mm.uploaded_by_key) = $4)`, who.OrganizationID, ids, who.System, actorOf(who)); err != nil {
		return nil, err
	}
	out := make([]*Media, len(ids))
	for i, x := range ids {
		at := slices.IndexFunc(rows, func(m *Media) bool { return m.ID == x })
		if at < 0 || slices.Contains(ids[:i], x) {
			return nil, errs.New(errs.NotFound, "%s", errNoUpload.Message).At("input", "mediaIds", strconv.Itoa(i))
		}
		out[i] = rows[at]
	}
	return out, nil
}

// facts are what is asked of files before they are sent (R144).
func facts(files []*Media) []MediaFacts {
	out := make([]MediaFacts, len(files))
	for i, f := range files {
		out[i] = MediaFacts{Name: f.called(), ContentType: f.ContentType}
		if f.SizeBytes != nil {
			out[i].SizeBytes = *f.SizeBytes
		}
	}
	return out
}

// uploader is the user or the key that sent it.
func (m *Media) uploader() id.ID {
	if m.UploadedByID.IsZero() {
		return m.UploadKeyID
	}
	return m.UploadedByID
}

func (m *Media) called() string {
	if m.Name != nil {
		return *m.Name
	}
	return m.ContentType
}

// attach gives messages their files: a row for each file and message, all over
// the same stored content. The upload stays until it is swept.
func attach(ctx context.Context, tx *db.Tx, org id.ID, messages []id.ID, files []*Media) error {
	n := len(messages) * len(files)
	if n == 0 {
		return nil
	}
	ids, of, from, at := make([]id.ID, 0, n), make([]id.ID, 0, n), make([]id.ID, 0, n), make([]int, 0, n)
	for _, m := range messages {
		for i, f := range files {
			ids, of, from, at = append(ids, id.New(id.Media)), append(of, m), append(from, f.ID), append(at, i)
		}
	}
	_, err := db.Exec(ctx, tx, `
INSERT INTO message_media (organization_id, id, message_id, position, content_type, state, blob_key, size_bytes, name, uploaded_by, width, height,
  thumbnail_key, thumbnail_bytes, created_at)
SELECT $1, x.id, x.message_id, x.position, u.content_type, u.state, u.blob_key, u.size_bytes, u.name, u.uploaded_by, u.width, u.height,
  u.thumbnail_key, u.thumbnail_bytes, $6
FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::int[]) AS x (id, message_id, upload_id, position)
JOIN message_media u ON u.organization_id = $1 AND u.id = x.upload_id`, org, ids, of, from, at, tx.Now)
	return err
}

// filesOf are the files of a message that we send, in their order.
func filesOf(ctx context.Context, h bun.IDB, m *Message) (rows []*Media, err error) {
	if m.MediaCount == 0 {
		return nil, nil
	}
	err = db.Select(ctx, h, &rows, `
SELECT mm.* FROM message_media mm
WHERE mm.organization_id = $1 AND mm.message_id = $2 AND mm.state = 'STORED' ORDER BY mm.position`, m.OrganizationID, m.ID)
	return rows, err
}

const (
	publicPurpose = "message media"
	// publicLife is how long Twilio may fetch a file: it does so when it sends,
	// which may be ten hours after it took the message.
	publicLife = 12 * time.Hour
)

// mediaURLs are where Twilio fetches the files of a message: unguessable, and
// for a while only.
func (s *Service) mediaURLs(ctx context.Context, m *Message, now time.Time) ([]string, error) {
	files, err := filesOf(ctx, s.db.App(), m)
	if err != nil {
		return nil, err
	}
	return s.links(files, now)
}

func (s *Service) links(files []*Media, now time.Time) ([]string, error) {
	var out []string
	until := strconv.FormatInt(now.Add(publicLife).Unix(), 36)
	for _, f := range files {
		mac, err := s.keys.Sign(publicPurpose, publicClaim(f.OrganizationID, f.ID, until))
		if err != nil {
			return nil, err
		}
		out = append(out, twilio.PublicURL(s.base, "/twilio/media/"+f.ID.String(), url.Values{
			"o": {f.OrganizationID.String()}, "s": {until + "." + base64.RawURLEncoding.EncodeToString(mac)},
		}))
	}
	return out, nil
}

// linkMany gives the messages of a batch the addresses of their files, by one statement.
func (s *Service) linkMany(ctx context.Context, list []*bulkMessage) error {
	ids, byID := make([]id.ID, len(list)), make(map[id.ID]*bulkMessage, len(list))
	for i, m := range list {
		ids[i], byID[m.ID] = m.ID, m
	}
	var rows []*Media
	if err := db.Select(ctx, s.db.App(), &rows, `
SELECT mm.* FROM message_media mm
WHERE mm.organization_id = $1 AND mm.message_id = ANY ($2::uuid[]) AND mm.state = 'STORED' ORDER BY mm.message_id, mm.position`,
		list[0].OrganizationID, ids); err != nil {
		return err
	}
	for _, f := range rows {
		m := byID[f.MessageID]
		urls, err := s.links([]*Media{f}, m.At)
		if err != nil {
			return err
		}
		m.urls = append(m.urls, urls...)
	}
	return nil
}

// filesByIDs are those of the uploads that are still there, in the order of their ids given.
func filesByIDs(ctx context.Context, h bun.IDB, org id.ID, ids []id.ID) ([]*Media, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var rows []*Media
	err := db.Select(ctx, h, &rows, `
SELECT mm.* FROM unnest($2::uuid[]) WITH ORDINALITY AS x (id, n)
JOIN message_media mm ON mm.organization_id = $1 AND mm.id = x.id AND mm.state = 'STORED'
ORDER BY x.n`, org, ids)
	return rows, err
}

func publicClaim(org, media id.ID, until string) []byte {
	return []byte(org.String() + " " + media.String() + " " + until)
}

// OpenPublic opens a file by an address that Twilio was given. Code:
// errs.NotFound for everything that is wrong.
func (s *Service) OpenPublic(ctx context.Context, media id.ID, query url.Values, now time.Time) (_ io.ReadSeekCloser, info blob.Info, err error) {
	defer errs.Wrap(&err, "message.OpenPublic(%s)", media)
	org, err := id.Parse(query.Get("o"))
	expiry, mac64, _ := strings.Cut(query.Get("s"), ".")
	until, untilErr := strconv.ParseInt(expiry, 36, 64)
	mac, macErr := base64.RawURLEncoding.DecodeString(mac64)
	if err != nil || org.Kind() != id.Organization || untilErr != nil || macErr != nil || now.Unix() >= until ||
		s.keys.Verify(publicPurpose, publicClaim(org, media, expiry), mac) != nil {
		return nil, info, errNoFile
	}
	ctx = db.WithTenant(ctx, org)
	row, err := mediaByID(ctx, s.db.App(), org, media)
	if err != nil {
		return nil, info, err
	}
	return s.open(ctx, row, row.BlobKey, row.ContentType)
}

// OpenMedia opens our copy of a picture or file, for those who see its message;
// an upload for whoever sent it. Codes: errs.NotFound, errs.Conflict when there is
// no copy (yet).
func (s *Service) OpenMedia(ctx context.Context, who access.Actor, media id.ID) (_ io.ReadSeekCloser, info blob.Info, err error) {
	defer errs.Wrap(&err, "message.OpenMedia(%s)", media)
	row, err := s.media(ctx, who, media)
	if err != nil {
		return nil, info, err
	}
	return s.open(db.WithTenant(ctx, row.OrganizationID), row, row.BlobKey, row.ContentType)
}

// OpenThumbnail opens the small picture of an image, for the same people. Codes:
// errs.NotFound, also when there is none.
func (s *Service) OpenThumbnail(ctx context.Context, who access.Actor, media id.ID) (_ io.ReadSeekCloser, info blob.Info, err error) {
	defer errs.Wrap(&err, "message.OpenThumbnail(%s)", media)
	row, err := s.media(ctx, who, media)
	if err != nil {
		return nil, info, err
	}
	if row.ThumbnailKey == nil {
		return nil, info, errNoFile
	}
	return s.open(db.WithTenant(ctx, row.OrganizationID), row, row.ThumbnailKey, thumbnailType)
}

// media is a file that the actor may see.
func (s *Service) media(ctx context.Context, who access.Actor, media id.ID) (*Media, error) {
	ctx = access.With(ctx, who)
	row, err := mediaByID(ctx, s.db.App(), who.OrganizationID, media)
	if err != nil {
		return nil, err
	}
	if row.MessageID.IsZero() {
		if by := row.uploader(); by.IsZero() || by != actorOf(who) || !who.Can(access.SMSSend) {
			return nil, errNoFile
		}
		return row, nil
	}
	if _, err := s.Get(ctx, who, row.MessageID); errs.IsCode(err, errs.NotFound) {
		return nil, errNoFile
	} else if err != nil {
		return nil, err
	}
	return row, nil
}

func (s *Service) open(ctx context.Context, row *Media, key *string, contentType string) (io.ReadSeekCloser, blob.Info, error) {
	switch {
	case row.State == MediaPending:
		return nil, blob.Info{}, errs.New(errs.Conflict, "the file is not here yet; try again in a moment")
	case row.State == MediaDeleted:
		return nil, blob.Info{}, errs.New(errs.NotFound, "the file was deleted")
	case row.State != MediaStored || key == nil:
		return nil, blob.Info{}, errs.New(errs.Conflict, "the file was not taken over from Twilio; ask for it to be sent again")
	}
	f, info, err := s.blob.Open(ctx, row.OrganizationID, *key)
	info.ContentType = contentType // as it was found when it was stored
	return f, info, err
}

// mediaArgs has one file of a message copied from Twilio.
type mediaArgs struct {
	Organization id.ID `json:"organization"`
	Connection   id.ID `json:"connection"`
	Media        id.ID `json:"media"`
}

// Kind names the job.
func (mediaArgs) Kind() string { return "message.media" }

// Tenant is whose job it is.
func (a mediaArgs) Tenant() id.ID { return a.Organization }

// Timeout is enough for the largest file.
func (mediaArgs) Timeout() time.Duration { return 2 * time.Minute }

// InsertOpts gives Twilio about an hour to come back.
func (mediaArgs) InsertOpts() job.Options { return job.Options{Queue: job.Media, MaxAttempts: 10} }

// fetchMedia copies one file of a message, checked by its content (R143, R144).
func (s *Service) fetchMedia(ctx context.Context, a mediaArgs) (err error) {
	defer errs.Wrap(&err, "message.fetchMedia(%s)", a.Media)
	row, err := mediaByID(ctx, s.db.App(), a.Organization, a.Media)
	if errs.IsCode(err, errs.NotFound) || err == nil && (row.State != MediaPending || row.TwilioURL == nil) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := s.copyMedia(ctx, a, row)
	keep := func(ctx context.Context, state MediaState, problem string) (bool, error) {
		row.State = state
		if problem != "" {
			row.Problem = &problem
		}
		return s.keepMedia(ctx, row)
	}
	switch {
	case err == nil:
		row.BlobKey, row.ContentType, row.SizeBytes = &info.Key, info.ContentType, &info.Size
		row.look(ctx, s.blob)
		if kept, err := keep(ctx, MediaStored, ""); err != nil || !kept {
			return errors.Join(err, s.forget(context.WithoutCancel(ctx), a.Organization, row.BlobKey, row.ThumbnailKey))
		}
		return nil
	case twilio.NotFound(err):
		_, err = keep(ctx, MediaFailed, "Twilio has the file no more; ask for it to be sent again")
	case errs.IsCode(err, errs.Invalid), errs.IsCode(err, errs.LimitReached), errs.IsCode(err, errs.Required):
		e, _ := errs.As(err)
		_, err = keep(ctx, MediaRefused, e.Message)
	case job.AttemptFrom(ctx).Last:
		_, failed := keep(context.WithoutCancel(ctx), MediaFailed, "Twilio did not give the file; ask for it to be sent again")
		err = errors.Join(err, failed)
	}
	return err
}

func (s *Service) copyMedia(ctx context.Context, a mediaArgs, row *Media) (blob.Info, error) {
	client, err := s.numbers.Client(ctx, a.Connection)
	if err != nil {
		return blob.Info{}, fmt.Errorf("no client: %w", uncoded(err))
	}
	file, err := client.FetchMedia(ctx, *row.TwilioURL, maxMedia)
	if err != nil {
		return blob.Info{}, err
	}
	defer func() { _ = file.Close() }()
	return s.blob.Put(ctx, a.Organization, io.Reader(file), maxMedia, trueTo(row.ContentType))
}

// uncoded hides the code of an error that is not about the file.
func uncoded(err error) error { return errors.New(err.Error()) }

// trueTo accepts what a message carries, if it is what it says it is.
func trueTo(declared string) blob.Type {
	return func(head []byte) (string, error) {
		found, err := carried(head)
		if err == nil && !SameKind(declared, found) {
			err = errs.New(errs.Invalid, "the file says that it is %s and is %s; it was not kept", declared, found)
		}
		return found, err
	}
}

// keepMedia keeps what became of a file, once, and tells those who see the
// message unless its number is disabled (D26).
func (s *Service) keepMedia(ctx context.Context, row *Media) (kept bool, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var m *Message
		if m, kept, err = setMedia(ctx, tx, row); err != nil || !kept {
			return err
		}
		t, err := lockThread(ctx, tx, m)
		if err != nil {
			return err
		}
		n, err := s.numbers.Sender(ctx, tx, t.PhoneNumberID)
		if errs.IsCode(err, errs.NotFound) || err == nil && !n.IsEnabled {
			return nil
		}
		if err != nil {
			return err
		}
		return s.tell(ctx, tx, m.ID, UpdatedEvent, id.ID{})
	})
	return kept, err
}

func mediaByID(ctx context.Context, h bun.IDB, org, media id.ID) (*Media, error) {
	var row Media
	err := db.Select(ctx, h, &row, `SELECT mm.* FROM message_media mm WHERE mm.organization_id = $1 AND mm.id = $2`, org, media)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoFile
	}
	return &row, err
}

// setMedia keeps what became of a file that was waited for, and gives its
// message; kept is false when it was settled before.
func setMedia(ctx context.Context, tx *db.Tx, f *Media) (m *Message, kept bool, err error) {
	m = &Message{}
	err = db.Select(ctx, tx, m, `
WITH done AS (
  UPDATE message_media SET state = $3, blob_key = $4, size_bytes = $5, content_type = $6, width = $7, height = $8,
    thumbnail_key = $9, thumbnail_bytes = $10, problem = $11
  WHERE organization_id = $1 AND id = $2 AND state = 'PENDING'
  RETURNING message_id)
SELECT m.* FROM message m JOIN done ON m.id = done.message_id WHERE m.organization_id = $1`,
		f.OrganizationID, f.ID, f.State, f.BlobKey, f.SizeBytes, f.ContentType, f.Width, f.Height, f.ThumbnailKey, f.ThumbnailBytes, f.Problem)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	return m, err == nil, err
}

// sweepUploads removes uploads that no message took, and their content when no
// message has it.
func (s *Service) sweepUploads(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "message.sweepUploads")
	const batch = 200
	for found := batch; found == batch; {
		var gone []struct {
			OrganizationID id.ID   `bun:"organization_id"`
			BlobKey        *string `bun:"blob_key"`
			ThumbnailKey   *string `bun:"thumbnail_key"`
			Shared         bool    `bun:"shared"`
		}
		err := s.db.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			return db.Select(ctx, tx, &gone, `
DELETE FROM message_media mm
WHERE (mm.organization_id, mm.id) IN (
  SELECT x.organization_id, x.id FROM message_media x
  WHERE x.message_id IS NULL AND x.created_at < $1
    AND NOT EXISTS (SELECT FROM bulk_message b WHERE b.organization_id = x.organization_id AND x.id = ANY (b.media) AND b.ended_at IS NULL)
  LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING mm.organization_id, mm.blob_key, mm.thumbnail_key,
  EXISTS (SELECT FROM message_media o WHERE o.organization_id = mm.organization_id AND o.blob_key = mm.blob_key AND o.id <> mm.id) AS shared`,
				now.Add(-unusedFor), batch)
		})
		if err != nil {
			return err
		}
		found = len(gone)
		for _, g := range gone {
			if !g.Shared {
				if err := s.forget(ctx, g.OrganizationID, g.BlobKey, g.ThumbnailKey); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
