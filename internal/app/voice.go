package app

import (
	"context"
	"io"

	"switchboard/internal/access"
	"switchboard/internal/blob"
	"switchboard/internal/call"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/recording"
	"switchboard/internal/voicemail"
)

// voice makes calls and what follows from them. Recordings and voicemails are
// projections: they are written in the transaction that changes the call.
func (a *App) voice() {
	a.Calls = call.New(call.Deps{
		DB: a.DB, Clock: a.Clock, Logger: a.Log, Client: a.Numbers.Credentials, Hooks: a.hooks, Audio: a.playURL,
	})
	a.Recordings = recording.New(recording.Deps{DB: a.DB, Clock: a.Clock, Blobs: a.Blobs, Logger: a.Log, Client: a.Numbers.Credentials})
	a.Voicemails = voicemail.New(a.DB)
	a.Calls.Project(a.Recordings)
	a.Calls.Project(a.Voicemails)
	a.Calls.Register(a.Jobs)
	a.Recordings.Register(a.Jobs)
}

// playURL is where Twilio plays an audio file from, by the random part of its address.
func (a *App) playURL(token string) string {
	u, err := a.Numbers.PlayURL(&number.Audio{PublicToken: token}, a.Clock.Now())
	if err != nil {
		a.Log.Error("an audio's address cannot be signed", "error", err)
		return ""
	}
	return u
}

func (a *App) hooks(ctx context.Context, connection id.ID) (call.Hooks, error) {
	return a.Numbers.Hooks(ctx, connection)
}

func (a *App) openRecording(ctx context.Context, who access.Actor, x id.ID) (io.ReadSeekCloser, blob.Info, error) {
	body, info, err := a.Recordings.Open(ctx, who, x)
	return body, blob.Info{ContentType: info.ContentType, Size: info.Size}, err
}
