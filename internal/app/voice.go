package app

import (
	"context"
	"io"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/id"
	"switchboard/internal/media"
	"switchboard/internal/number"
	"switchboard/internal/recording"
	"switchboard/internal/voicemail"
)

// voice makes calls and what follows from them. Recordings and voicemails are
// projections: they are written in the transaction that changes the call.
func (a *App) voice() {
	a.Calls = call.New(call.Deps{
		DB: a.DB, Clock: a.Clock, Logger: a.Log, Client: a.Numbers.Credentials, Hooks: a.hooks, Audio: a.playURL, MaySpend: a.mayCall,
	})
	a.Recordings = recording.New(recording.Deps{DB: a.DB, Clock: a.Clock, Blobs: a.Blobs, Logger: a.Log, Client: a.Numbers.Credentials})
	a.Voicemails = voicemail.New(a.DB, a.Recordings, a.Calls)
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

// openRecording opens a recording, or one side of it.
func (a *App) openRecording(ctx context.Context, who access.Actor, x id.ID, part media.Part) (io.ReadSeekCloser, media.File, error) {
	body, info, err := a.Recordings.Open(ctx, who, x, recording.Playing{Side: recording.Side(part.Channel), Download: part.Download})
	return body, media.File{ContentType: info.ContentType, Name: info.Name}, err
}
