package app

import (
	"context"
	"net/url"
	"strings"

	"switchboard/internal/id"
	"switchboard/internal/media"
	"switchboard/internal/transcript"
)

// transcripts makes transcripts and has them listen for recordings.
func (a *App) transcripts(base *url.URL, o Options) {
	c := a.Config
	a.Transcripts = transcript.New(transcript.Deps{
		DB: a.DB, Clock: a.Clock, Logger: a.Log, Keys: a.Keys, Blobs: a.Blobs, Base: base, Client: a.Numbers.Credentials, Hook: a.transcriptHook,
		Recordings: a.Recordings, Contacts: a.Contacts,
		Installation: transcript.Installation{
			Provider: transcript.ProviderName(c.TranscriptionProvider), HTTPURL: c.TranscriptionURL, HTTPSecret: c.TranscriptionSecret,
			GoogleKey: c.GoogleSpeechKey, GoogleAccount: c.GoogleSpeechAccount, GoogleURL: strings.TrimSuffix(c.GoogleSpeechURL, "/"), MayReachInside: o.FetchLoopback,
		},
	})
	a.closers = append(a.closers, a.Transcripts.Close)
	a.Transcripts.Register(a.Jobs, a.Events)
}

// transcriptHook is where an account posts that a transcript is there. Overrides of
// how Twilio connects are voice's and messaging's: they are left out.
func (a *App) transcriptHook(ctx context.Context, connection id.ID) (string, error) {
	h, err := a.Numbers.Hooks(ctx, connection)
	if err != nil {
		return "", err
	}
	hook, _, _ := strings.Cut(h.Callback("transcript", nil), "#")
	return hook, nil
}

// speech is where providers of transcripts come to.
func (a *App) speech() *media.Speech {
	return media.NewSpeech(media.SpeechOptions{Audio: a.Transcripts.OpenAudio, Result: a.Transcripts.Take, Logger: a.Log})
}
