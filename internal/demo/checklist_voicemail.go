package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"switchboard/internal/emulator"
)

// leaveVoicemail is step 3.
func (k *checklist) leaveVoicemail(ctx context.Context) error {
	var settings struct {
		PhoneNumber struct {
			Voicemail struct {
				GreetingText  string
				Owner         *struct{ ID, Name string }
				NotifiedUsers []struct{ ID, Name, Email string }
			}
		}
	}
	err := k.admin.Do(ctx, `query($id: ID!) { phoneNumber(id: $id) { voicemail { greetingText owner { id name } notifiedUsers { id name email } } } }`,
		Vars{"id": k.numbers[SydneyNumber]}, &settings)
	if err != nil {
		return err
	}
	vm := settings.PhoneNumber.Voicemail
	restore, err := k.hurry(ctx)
	if err != nil {
		return err
	}
	defer restore()
	after, err := k.admin.Cursor(ctx)
	if err != nil {
		return err
	}
	told := map[string]*Stream{}
	for _, u := range vm.NotifiedUsers {
		c := k.clients[u.Email]
		if c == nil {
			continue
		}
		s, err := c.Watch(ctx, `subscription($after: Cursor) { events(after: $after, types: [VOICEMAIL_RECEIVED]) { id ... on VoicemailReceived { voicemail { id call { twilioSid } } } } }`, Vars{"after": after})
		if err != nil {
			return err
		}
		defer s.Stop()
		told[u.Name] = s
	}
	if len(told) == 0 {
		return errors.New("nobody of the demo is to be told of Sydney's voicemails")
	}
	devices, err := k.eligible(ctx)
	if err != nil {
		return err
	}
	sid, err := k.world.call(ctx, checkCaller, SydneyNumber, "client:"+devices[0].id)
	if err != nil {
		return err
	}
	k.say("%s calls, and nobody answers", checkCaller)
	if err := k.world.voicemail(ctx, sid, 3*time.Second); err != nil {
		return err
	}
	played := slices.ContainsFunc(k.o.Emulator.Deliveries(), func(d emulator.Delivery) bool {
		return d.Resource == sid && (strings.Contains(d.Answer, "<Say") && strings.Contains(d.Answer, vm.GreetingText) || vm.GreetingText == "" && strings.Contains(d.Answer, "<Play"))
	})
	if !played {
		return errors.New("the greeting was not played")
	}
	k.say("hears: %q, and speaks for 3 seconds", vm.GreetingText)
	for _, name := range slices.Sorted(maps.Keys(told)) {
		if err := hears(ctx, told[name], sid); err != nil {
			return fmt.Errorf("%s was not told: %w", name, err)
		}
		k.say("%s is told by an event", name)
	}
	return k.listen(ctx, sid, vm.Owner)
}

// hears waits for the event of a call's voicemail.
func hears(ctx context.Context, s *Stream, sid string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		var out struct {
			Events struct {
				Voicemail *struct{ Call struct{ TwilioSid string } }
			}
		}
		if err := s.Next(ctx, &out); err != nil {
			return err
		}
		if v := out.Events.Voicemail; v != nil && v.Call.TwilioSid == sid {
			return nil
		}
	}
}

// listen finds the voicemail in the list and downloads its audio.
func (k *checklist) listen(ctx context.Context, sid string, owner *struct{ ID, Name string }) error {
	type voicemail struct {
		ID              string
		DurationSeconds *int
		From            struct{ Display string }
		Call            struct{ TwilioSid, Status string }
		Owner           *struct{ ID, Name string }
		Recording       struct {
			MediaState, ContentType string
			URL                     *string
		}
	}
	const query = `{ voicemails(first: 20) { nodes { id durationSeconds from { display } call { twilioSid status } owner { id name } recording { mediaState contentType url } } } }`
	office := k.clients[officeEmail]
	var v voicemail
	err := office.Until(ctx, "the voicemail's audio is stored", func(ctx context.Context) (bool, error) {
		var out struct{ Voicemails struct{ Nodes []voicemail } }
		if err := office.Do(ctx, query, nil, &out); err != nil {
			return false, err
		}
		i := slices.IndexFunc(out.Voicemails.Nodes, func(v voicemail) bool { return v.Call.TwilioSid == sid })
		if i < 0 {
			return false, nil
		}
		v = out.Voicemails.Nodes[i]
		return v.Recording.MediaState == "STORED" && v.Recording.URL != nil && v.Call.Status == "VOICEMAIL", nil
	})
	if err != nil {
		return fmt.Errorf("%w (its state is %q, the call's %q)", err, v.Recording.MediaState, v.Call.Status)
	}
	if owner != nil && (v.Owner == nil || v.Owner.ID != owner.ID) {
		return fmt.Errorf("the voicemail does not belong to %s", owner.Name)
	}
	size, kind, err := office.download(ctx, *v.Recording.URL)
	if err != nil {
		return err
	}
	k.say("in the list: from %s, %d s; its audio is %s, %d bytes", v.From.Display, *orZero(v.DurationSeconds), kind, size)
	err = k.clients[fieldworkerEmail].Do(ctx, query, nil, nil)
	if !HasCode(err, "FORBIDDEN") {
		return fmt.Errorf("a fieldworker, whose role may not hear voicemails, got: %v", err)
	}
	k.say("a fieldworker may not hear it")
	return nil
}

func orZero(n *int) *int {
	if n == nil {
		return new(int)
	}
	return n
}

// download fetches a file that an answer named.
func (c *Client) download(ctx context.Context, ref string) (size int, kind string, err error) {
	base, err := url.Parse(c.URL)
	if err != nil {
		return 0, "", err
	}
	at, err := base.Parse(ref)
	if err != nil {
		return 0, "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return 0, "", err
	}
	res, err := c.HTTP.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	kind = res.Header.Get("Content-Type")
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "audio/") || len(b) < 100 {
		return 0, "", fmt.Errorf("the audio is not there: HTTP status %d, %q, %d bytes", res.StatusCode, kind, len(b))
	}
	return len(b), kind, err
}
