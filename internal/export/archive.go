package export

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"strconv"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/blob"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/recording"
	"switchboard/internal/sheet"
)

// entry is a recording in the manifest (R283).
type entry struct {
	File            string         `json:"file,omitempty"` // empty: the audio is not in the archive
	Missing         string         `json:"missing,omitempty"`
	RecordingID     id.ID          `json:"recordingId"`
	CallID          id.ID          `json:"callId"`
	StartedAt       time.Time      `json:"startedAt"`
	DurationSeconds *int           `json:"durationSeconds"`
	Direction       call.Direction `json:"direction"`
	From            string         `json:"from"`
	To              string         `json:"to"`
	Contact         string         `json:"contact"`
	PhoneNumber     string         `json:"phoneNumber"`
	Branch          string         `json:"branch"`
	Channels        int            `json:"channels"`
	SizeBytes       int64          `json:"sizeBytes"`
	SHA256          string         `json:"sha256,omitempty"`
	IsHeld          bool           `json:"isHeld"`
	Status          string         `json:"status"`
	MediaState      string         `json:"mediaState"`
	Ledger          []deed         `json:"ledger"`
}

// deed is what happened to a recording, how often and when last.
type deed struct {
	Kind  string    `json:"kind"`
	Count int       `json:"count"`
	Last  time.Time `json:"last"`
}

var manifestHeads = []string{"file", "missing", "recordingId", "callId", "startedAt", "durationSeconds", "direction", "from", "to", "contact", "phoneNumber",
	"branch", "channels", "sizeBytes", "sha256", "isHeld", "status", "mediaState", "ledger"}

func (e *entry) cells() []sheet.Cell {
	ledger := ""
	for i, d := range e.Ledger {
		if i > 0 {
			ledger += " · "
		}
		ledger += d.Kind
		if d.Count > 1 {
			ledger += " " + strconv.Itoa(d.Count) + "x"
		}
		ledger += " " + d.Last.UTC().Format(time.RFC3339)
	}
	return []sheet.Cell{sheet.Text(e.File), sheet.Text(e.Missing), sheet.Text(e.RecordingID.String()), sheet.Text(e.CallID.String()), sheet.Time(e.StartedAt),
		whole(e.DurationSeconds), sheet.Text(string(e.Direction)), sheet.Text(e.From), sheet.Text(e.To), sheet.Text(e.Contact), sheet.Text(e.PhoneNumber),
		sheet.Text(e.Branch), sheet.Int(int64(e.Channels)), sheet.Int(e.SizeBytes), sheet.Text(e.SHA256), sheet.Bool(e.IsHeld), sheet.Text(e.Status),
		sheet.Text(e.MediaState), sheet.Text(ledger)}
}

// manifest gathers what the archive ends with: a file of a ZIP is written in one
// go, so meanwhile it is kept compressed, some sixty bytes for a recording.
type manifest struct {
	csv, json   bytes.Buffer
	zcsv, zjson *flate.Writer
	table       *sheet.CSV
	rows        int
}

func newManifest(e *Export, zone *time.Location) (*manifest, error) {
	m := &manifest{}
	m.zcsv, _ = flate.NewWriter(&m.csv, flate.DefaultCompression) // the level is known
	m.zjson, _ = flate.NewWriter(&m.json, flate.DefaultCompression)
	m.table = sheet.NewCSV(m.zcsv, sheet.CSVOptions{ByteOrderMark: e.WithByteOrderMark, Location: zone})
	heads := make([]sheet.Cell, len(manifestHeads))
	for i, h := range manifestHeads {
		heads[i] = sheet.Text(h)
	}
	if err := m.table.Row(heads); err != nil {
		return nil, err
	}
	_, err := io.WriteString(m.zjson, "[\n")
	return m, err
}

func (m *manifest) add(e *entry) error {
	if err := m.table.Row(e.cells()); err != nil {
		return err
	}
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if m.rows++; m.rows > 1 {
		b = append([]byte(",\n"), b...)
	}
	_, err = m.zjson.Write(b)
	return err
}

// end writes the manifest into the archive.
func (m *manifest) end(z *zip.Writer, now time.Time) error {
	if err := m.table.Close(); err != nil {
		return err
	}
	if _, err := io.WriteString(m.zjson, "\n]\n"); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		w    *flate.Writer
		kept *bytes.Buffer
	}{{"manifest.csv", m.zcsv, &m.csv}, {"manifest.json", m.zjson, &m.json}} {
		if err := part.w.Close(); err != nil {
			return err
		}
		f, err := z.CreateHeader(&zip.FileHeader{Name: part.name, Method: zip.Deflate, Modified: now})
		if err != nil {
			return err
		}
		if _, err := io.Copy(f, flate.NewReader(part.kept)); err != nil {
			return err
		}
	}
	return nil
}

// archive writes the audio of recordings and a manifest (R283). Each recording is
// written to its ledger as exported.
func (s *Service) archive(ctx context.Context, e *Export, w *blob.Writer, p *progress) error {
	zone, err := time.LoadLocation(e.TimeZone)
	if err != nil {
		return errs.New(errs.Invalid, "the server does not know the time zone %s; choose another", e.TimeZone)
	}
	f, err := decode[recording.Filter](e.Filter)
	if err != nil {
		return err
	}
	z := zip.NewWriter(w)
	m, err := newManifest(e, zone)
	if err != nil {
		return err
	}
	src := s.recordings().(*list[*recording.Recording, recording.Filter])
	n := &names{s: s, kept: map[id.ID]string{}}
	for after, first := "", true; first || after != ""; first = false {
		rctx, who, err := s.authority(ctx, e)
		if err != nil {
			return err
		}
		n.who = who
		page, err := s.d.Recordings.List(rctx, who, f, db.Page{First: db.MaxFirst, After: after})
		if err != nil {
			return err
		}
		if len(page.Nodes) > 0 {
			var refs []id.ID
			for _, r := range page.Nodes {
				refs = append(refs, src.refs(r)...)
			}
			if err := n.load(rctx, refs); err != nil {
				return err
			}
			if err := src.more(rctx, n, page.Nodes); err != nil {
				return err
			}
		}
		ledger, err := s.ledgers(rctx, who, page.Nodes)
		if err != nil {
			return err
		}
		for _, r := range page.Nodes {
			if e.RowCount >= maxAudio {
				return errs.New(errs.LimitReached, "an archive holds %d recordings at most; narrow it down", maxAudio)
			}
			x := describe(n, r, ledger[r.ID])
			if err := s.audio(rctx, who, e, z, r, x, p); err != nil {
				return err
			}
			if err := m.add(x); err != nil {
				return err
			}
			e.RowCount++
			if err := p.copied(ctx); err != nil {
				return err
			}
		}
		if err := p.went(ctx); err != nil {
			return err
		}
		if after = ""; page.HasNext {
			after = page.EndCursor()
		}
	}
	if err := m.end(z, s.d.DB.Clock().Now()); err != nil {
		return err
	}
	return z.Close()
}

func describe(n *names, r *recording.Recording, ledger []deed) *entry {
	x := &entry{RecordingID: r.ID, CallID: r.CallID, StartedAt: r.StartedAt.UTC(), DurationSeconds: r.DurationSeconds, Direction: r.Direction,
		Contact: n.text(r.ContactID), PhoneNumber: n.text(r.PhoneNumberID), Branch: n.text(r.BranchID), Channels: r.Channels, IsHeld: r.IsHeld,
		Status: string(r.Status), MediaState: string(r.MediaState), Ledger: ledger}
	seen, _ := n.more.(map[id.ID]*call.Call)
	if c := seen[r.CallID]; c != nil {
		x.From, x.To = c.From().Display, c.To().Display
	}
	return x
}

// audio copies the audio of one recording. One whose audio is not here, or that was
// deleted meanwhile, is in the manifest only.
func (s *Service) audio(ctx context.Context, who access.Actor, e *Export, z *zip.Writer, r *recording.Recording, x *entry, p *progress) error {
	if r.MediaState != recording.MediaStored {
		x.Missing = "the audio is not here: " + string(r.MediaState)
		return nil
	}
	f, info, err := s.d.Recordings.OpenForExport(ctx, who, r.ID, e.ID.String())
	switch {
	case errs.IsCode(err, errs.NotFound), errs.IsCode(err, errs.Conflict):
		x.Missing = "the audio was deleted meanwhile"
		return nil
	case err != nil:
		return err
	}
	defer f.Close()
	// Audio hardly gets smaller, so it is stored as it is.
	w, err := z.CreateHeader(&zip.FileHeader{Name: "audio/" + r.StartedAt.UTC().Format("2006-01/") + info.Name, Method: zip.Store, Modified: r.StartedAt})
	if err != nil {
		return err
	}
	sum := sha256.New()
	buffer := make([]byte, 64<<10)
	for {
		k, err := f.Read(buffer)
		sum.Write(buffer[:k])
		if _, err := w.Write(buffer[:k]); err != nil {
			return err
		}
		x.SizeBytes += int64(k)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := p.copied(ctx); err != nil {
			return err
		}
	}
	x.File, x.SHA256 = "audio/"+r.StartedAt.UTC().Format("2006-01/")+info.Name, hex.EncodeToString(sum.Sum(nil))
	return nil
}

// ledgers sums up the ledgers of recordings, in one statement; each is empty for
// whom recordings show no ledger.
func (s *Service) ledgers(ctx context.Context, who access.Actor, rows []*recording.Recording) (map[id.ID][]deed, error) {
	out := map[id.ID][]deed{}
	if len(rows) == 0 {
		return out, nil
	}
	ids := make([]id.ID, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
		out[r.ID] = []deed{}
	}
	if !recording.MayReadLedger(who) {
		return out, nil
	}
	var found []struct {
		ID    id.ID     `bun:"recording_id,type:uuid"`
		Kind  string    `bun:"kind"`
		Count int       `bun:"count"`
		Last  time.Time `bun:"last"`
	}
	err := db.Select(ctx, s.d.DB.App(), &found, `SELECT l.recording_id, l.kind, count(*) AS count, max(l.at) AS last FROM recording_ledger l
		WHERE l.organization_id = $1 AND l.recording_id = ANY ($2::uuid[]) GROUP BY l.recording_id, l.kind ORDER BY l.recording_id, min(l.at), l.kind`, who.OrganizationID, ids)
	for _, x := range found {
		out[x.ID] = append(out[x.ID], deed{x.Kind, x.Count, x.Last.UTC()})
	}
	return out, err
}
