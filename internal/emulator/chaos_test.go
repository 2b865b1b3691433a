package emulator_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/emulator"
)

// story is a call with many callbacks under chaos; it returns the order in which the
// server saw them.
func story(t *testing.T, c emulator.Chaos) []string {
	s := newStage(t, emulator.Options{Chaos: c})
	s.answer("/voice", ringThree)
	s.answer("/dial", `<Response/>`)
	s.must(s.e.RegisterClient(accountSID, "u1"))
	s.must(s.e.RegisterClient(accountSID, "u2"))
	s.call(mobile, office)
	s.advance(2 * time.Second)
	child := s.pickUp("client:u1")
	s.advance(3 * time.Second)
	s.must(s.e.HangUp(child))
	s.advance(2 * time.Minute)
	var got []string
	for _, p := range s.sent("") {
		got = append(got, p.Path+" "+p.Form.Get("t")+" "+p.Form.Get("CallStatus")+" "+p.Form.Get("SequenceNumber"))
	}
	return got
}

func TestChaosIsReproducible(t *testing.T) {
	t.Parallel()
	c := emulator.Chaos{Seed: 42, Reorder: 0.7, Duplicate: 0.5, Delay: 0.2}
	calm := story(t, emulator.Chaos{})
	first, again := story(t, c), story(t, c)
	if d := cmp.Diff(first, again); d != "" {
		t.Errorf("the same seed gave another order: %s", d)
	}
	if slices.Equal(first, calm) {
		t.Error("chaos changed nothing")
	}
	if len(first) <= len(calm) {
		t.Errorf("no duplicates: %d webhooks, calm %d", len(first), len(calm))
	}
	set := func(list []string) []string {
		list = slices.Clone(list)
		slices.Sort(list)
		return slices.Compact(list)
	}
	if d := cmp.Diff(set(calm), set(first)); d != "" {
		t.Errorf("chaos lost or invented callbacks (seed %d): %s", c.Seed, d)
	}
	c.Seed = 43
	if slices.Equal(first, story(t, c)) {
		t.Error("another seed gave the same order")
	}
}

func TestRESTFaultsAreReproducible(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) (got []string) {
		s := newStage(t, emulator.Options{Chaos: emulator.Chaos{Seed: seed, TooMany: 0.1, ServerError: 0.1, HTML: 0.1, Reset: 0.1}})
		for range 60 {
			_, err := s.tw.Api.ListCall(nil)
			var rest *client.TwilioRestError
			var dial *url.Error
			switch {
			case err == nil:
				got = append(got, "ok")
			case errors.As(err, &rest):
				got = append(got, fmt.Sprint(rest.Status, rest.Code))
			case errors.As(err, &dial):
				got = append(got, "reset")
			default:
				got = append(got, "html")
			}
		}
		return got
	}
	first := run(7)
	if d := cmp.Diff(first, run(7)); d != "" {
		t.Errorf("the same seed gave other faults: %s", d)
	}
	for _, want := range []string{"ok", "429 20429", "500 20500", "html", "reset"} {
		if !slices.Contains(first, want) {
			t.Errorf("no %s among %v", want, first)
		}
	}
	burst := slices.Index(first, "429 20429")
	if d := cmp.Diff([]string{"429 20429", "429 20429", "429 20429"}, first[burst:burst+3]); d != "" {
		t.Errorf("429 comes in bursts: %s", d)
	}
}

func TestTooManyRequestsSaysWhenToRetry(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.e.FailNext(emulator.Fault{Path: "/Calls", Fate: emulator.Fate429})
	status, head, _ := s.raw("GET", "/2010-04-01/Accounts/"+accountSID+"/Calls.json", accountSID, authToken, nil)
	if status != 429 || head.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q", status, head.Get("Retry-After"))
	}
	if _, err := s.tw.Api.ListCall(nil); err != nil {
		t.Errorf("once only: %v", err)
	}
}

// twilio.md 10.1: a dropped answer after the effect tests protection against doubling.
func TestAcceptedButLost(t *testing.T) {
	t.Parallel()
	for _, fate := range []string{emulator.LostReset, emulator.Lost500} {
		t.Run(fate, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			s.e.FailNext(emulator.Fault{Method: "POST", Path: "/Messages", Fate: fate})
			if _, err := s.text(mobile, "hello", nil); err == nil {
				t.Error("the answer was not lost")
			}
			s.advance(3 * time.Second)
			if list := s.e.Messages(); len(list) != 1 || list[0].Status != "delivered" {
				t.Errorf("messages %+v", list)
			}
			if got := s.last("/delivery").Get("MessageStatus"); got != "delivered" {
				t.Errorf("callback %s", got)
			}
		})
	}
	t.Run("hang", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, emulator.Options{MaxConcurrent: 1})
		s.e.FailNext(emulator.Fault{Method: "POST", Path: "/Calls", Fate: emulator.LostHang})
		gaveUp := make(chan error, 1)
		form := url.Values{"To": {mobile}, "From": {office}, "Twiml": {"<Response/>"}}
		hung, stop := http.NewRequestWithContext(s.ctx, "POST", s.rest.URL+"/2010-04-01/Accounts/"+accountSID+"/Calls.json", strings.NewReader(form.Encode()))
		s.must(stop)
		hung.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		hung.SetBasicAuth(accountSID, authToken)
		ctx, cancel := context.WithCancel(s.ctx)
		go func() {
			res, err := http.DefaultClient.Do(hung.WithContext(ctx))
			if err == nil {
				res.Body.Close()
			}
			gaveUp <- err
		}()
		s.must(s.e.WaitFor(s.ctx, func() bool { return len(s.e.Ringing(mobile)) == 1 }))
		if _, err := s.tw.Api.ListCall(nil); code(err) != 20429 {
			t.Errorf("a second request at once: %v", err)
		}
		cancel()
		if err := <-gaveUp; err == nil {
			t.Error("the request was answered")
		}
	})
}

func TestRefusalByAppointment(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.e.FailNext(emulator.Fault{Path: "/Messages", Fate: emulator.FateRefuse, Code: 21614, Times: 2})
	for _, want := range []int{21614, 21614, 0} {
		if _, err := s.text(mobile, "hello", nil); code(err) != want {
			t.Errorf("%v, want %d", err, want)
		}
	}
}

func TestCallbackBeforeTheRESTAnswer(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{Chaos: emulator.Chaos{CallbackFirst: true}})
	c, err := s.tw.Api.CreateCall((&api.CreateCallParams{}).SetFrom(office).SetTo(mobile).SetTwiml("<Response/>").SetStatusCallback(s.hooks.URL + "/progress").
		SetStatusCallbackEvent([]string{"initiated", "ringing"}))
	s.must(err)
	if d := cmp.Diff([]string{"initiated", "ringing"}, s.values("/progress", "CallStatus")); d != "" {
		t.Errorf("when the answer came the server had heard: %s", d)
	}
	if s.last("/progress").Get("CallSid") != *c.Sid {
		t.Error("another call")
	}
}

func TestReadsMayTrailTheCallbacks(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{Chaos: emulator.Chaos{ReadLag: 2 * time.Second}})
	s.answer("/voice", `<Response><Reject reason="busy"/></Response>`)
	s.advance(time.Minute)
	sid := s.call(mobile, office)
	for _, want := range []string{"queued", "busy"} {
		c, err := s.tw.Api.FetchCall(sid, nil)
		s.must(err)
		if *c.Status != want {
			t.Errorf("status %s, want %s", *c.Status, want)
		}
		s.advance(3 * time.Second)
	}
}
