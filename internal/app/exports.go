package app

import (
	"context"
	"io"
	"net/http"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/export"
	"switchboard/internal/id"
	"switchboard/internal/media"
	"switchboard/internal/tenant"
)

// exports makes what writes lists to files. It comes after every list.
func (a *App) exports() {
	a.Exports = export.New(export.Deps{
		DB: a.DB, Blobs: a.Blobs, Authority: a.Sessions.Behalf, Keys: a.keyNames,
		Zone: func(ctx context.Context) (string, error) {
			o, err := tenant.Read(ctx, a.DB.App())
			if err != nil {
				return "", err
			}
			return o.TimeZone, nil
		},
		Users: a.Users, Numbers: a.Numbers, Contacts: a.Contacts, Calls: a.Calls, Messages: a.Messages, Recordings: a.Recordings,
		Voicemails: a.Voicemails, Transcripts: a.Transcripts, FollowUps: a.FollowUps, Logger: a.Log,
	})
	a.Exports.Register(a.Jobs)
}

// keyNames are the names of API keys.
func (a *App) keyNames(ctx context.Context, ids []id.ID) (map[id.ID]string, error) {
	rows, err := a.Sessions.KeysByIDs(ctx, ids)
	out := make(map[id.ID]string, len(rows))
	for _, k := range rows {
		out[k.ID] = k.Name
	}
	return out, err
}

// openExport opens the file of an export.
func (a *App) openExport(ctx context.Context, who access.Actor, x id.ID, _ media.Part) (io.ReadSeekCloser, media.File, error) {
	body, info, err := a.Exports.Open(ctx, who, x)
	return body, media.File{ContentType: info.ContentType, Name: info.Name, IsSaved: true}, err
}

// auditLog reads the audit log of the context's tenant.
func (a *App) auditLog(ctx context.Context, f audit.Filter, p db.Page) (db.Window[*audit.Entry], error) {
	return audit.Search(ctx, a.DB.App(), f, p)
}

func (a *App) auditEntries(ctx context.Context, ids []id.ID) ([]*audit.Entry, error) {
	return audit.ByIDs(ctx, a.DB.App(), ids)
}

// seenAgain is how long one entry of the audit log covers what somebody sees again and again.
const seenAgain = 5 * time.Minute

// accessed writes that the actor of the context saw what is private. The server
// itself, which shows events to webhooks, is no reader.
func (a *App) accessed(ctx context.Context, action string, subjects []id.ID) error {
	who := access.From(ctx)
	if who.System || who.ID().IsZero() {
		return nil
	}
	return a.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		return audit.Accessed(ctx, tx, who.ID(), action, subjects, seenAgain)
	})
}

// attributed tells the audit log where requests come from.
func (a *App) attributed(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(audit.WithClient(r.Context(), a.clientIP(r), r.UserAgent())))
	})
}
