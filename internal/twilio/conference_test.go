package twilio_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/errs"
	"switchboard/internal/twilio"
)

const cf = "CF0123456789abcdef0123456789abcdef"

func TestPartiesOfARoomAreChangedByName(t *testing.T) {
	t.Parallel()
	var path, method string
	var form url.Values
	_, c := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		path, method, form = strings.TrimPrefix(r.URL.Path, root), r.Method, r.PostForm
		switch {
		case strings.HasSuffix(path, "/Participants.json"):
			answer(w, 200, map[string]any{"participants": []map[string]any{{"call_sid": ca, "label": "leg_1", "status": "connected", "hold": true, "coaching": true, "call_sid_to_coach": ca}}})
		case path == "/Conferences.json":
			answer(w, 200, map[string]any{"conferences": []map[string]any{{"sid": cf, "friendly_name": "call_1", "status": "in-progress"}}})
		default:
			answer(w, 200, map[string]any{"sid": cf, "call_sid": ca, "hold": true, "muted": false})
		}
	})
	yes, no, coach := true, false, ca
	for why, x := range map[string]struct {
		u    twilio.ParticipantUpdate
		want string
	}{
		"held with music":  {twilio.ParticipantUpdate{Hold: &yes, HoldURL: "https://us/hold"}, "Hold=true&HoldMethod=POST&HoldUrl=https%3A%2F%2Fus%2Fhold"},
		"held without":     {twilio.ParticipantUpdate{Hold: &yes}, "Hold=true"},
		"resumed":          {twilio.ParticipantUpdate{Hold: &no, HoldURL: "https://us/hold"}, "Hold=false"},
		"muted":            {twilio.ParticipantUpdate{Muted: &yes}, "Muted=true"},
		"coaching":         {twilio.ParticipantUpdate{Coach: &coach}, "CallSidToCoach=" + ca + "&Coaching=true"},
		"coaching no more": {twilio.ParticipantUpdate{Coach: new(string)}, "Coaching=false"},
	} {
		p, err := c.UpdateParticipant(t.Context(), cf, ca, x.u)
		if err != nil || p.CallSID != ca || !p.Hold || path != "/Conferences/"+cf+"/Participants/"+ca+".json" || form.Encode() != x.want {
			t.Errorf("%s: %v %s %s", why, err, path, form.Encode())
		}
	}
	if _, err := c.UpdateParticipant(t.Context(), cf, ca, twilio.ParticipantUpdate{}); !errs.IsCode(err, errs.Invalid) {
		t.Error("a change of nothing was sent")
	}
	if _, err := c.UpdateParticipant(t.Context(), "../x", ca, twilio.ParticipantUpdate{Muted: &yes}); !errs.IsCode(err, errs.Invalid) {
		t.Error("a path was taken for a SID")
	}
	rooms, err := c.ListConferences(t.Context(), "call_1", "in-progress")
	if diff := cmp.Diff([]twilio.Conference{{SID: cf, Name: "call_1", Status: "in-progress"}}, rooms); err != nil || diff != "" {
		t.Error(err, diff)
	}
	list, err := c.ListParticipants(t.Context(), cf)
	if diff := cmp.Diff([]twilio.Participant{{CallSID: ca, Label: "leg_1", Status: "connected", Hold: true, Coach: true, CoachedCallSID: ca}}, list); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if err := c.RemoveParticipant(t.Context(), cf, ca); err != nil || method != http.MethodDelete {
		t.Error(method, err)
	}
	if err := c.EndConference(t.Context(), cf); err != nil || form.Encode() != "Status=completed" || path != "/Conferences/"+cf+".json" {
		t.Error(path, form, err)
	}
	if x, err := c.FetchConference(t.Context(), cf); err != nil || x.SID != cf {
		t.Error(x, err)
	}
	if _, err := c.SkipRecording(t.Context(), ca, "RE0123456789abcdef0123456789abcdef"); err != nil || form.Encode() != "PauseBehavior=skip&Status=paused" {
		t.Error(form, err)
	}
}
