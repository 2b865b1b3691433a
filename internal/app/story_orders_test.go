package app_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/db"
	"switchboard/internal/demo"
	"switchboard/internal/emulator"
	"switchboard/internal/id"
)

// take is one performance of a call. Twilio's status callbacks are held back and
// come, some of them twice, in an order of chance between and after the acts;
// TwiML requests come when they are due.
type take struct {
	*group
	chance *rand.Rand // nil: everything comes in its order
	sent   []int      // callbacks that came already
	sid    string
}

// beat lets some of the callbacks that wait come now.
func (p *take) beat() {
	p.t.Helper()
	p.idle()
	if p.chance == nil {
		return
	}
	var now []int
	for _, d := range p.Emulator.Held() {
		if p.chance.IntN(4) == 0 {
			now = append(now, d.ID)
		}
	}
	p.release(now)
}

func (p *take) release(now []int) {
	p.t.Helper()
	fresh := slices.Clone(now)
	for _, d := range append(slices.Clone(p.sent), fresh...) {
		if p.chance.IntN(5) == 0 {
			now = append(now, d) // the same once more
		}
	}
	p.chance.Shuffle(len(now), func(i, j int) { now[i], now[j] = now[j], now[i] })
	p.Emulator.Release(now...)
	p.sent = append(p.sent, fresh...)
	p.idle()
}

// finish lets all that is left come, and what follows from it.
func (p *take) finish() {
	p.t.Helper()
	for {
		p.idle()
		var now []int
		for _, d := range p.Emulator.Held() {
			now = append(now, d.ID)
		}
		if len(now) > 0 {
			p.release(now)
		}
		p.Must(p.App.Jobs.Drain(p.t.Context()))
		p.idle()
		if len(p.Emulator.Held()) == 0 {
			return
		}
	}
}

func (p *take) pass(seconds int) {
	p.t.Helper()
	p.Pass(secs(seconds))
	p.beat()
}

// T11: for each of these calls 20 orders of its callbacks leave the same rows.
func TestCallbacksInAnyOrderAndNumberLeaveTheSameRows(t *testing.T) {
	acts := map[string]func(p *take){
		"answered, recorded with two channels": func(p *take) {
			p.sid = p.dial(customer, officeNumber)
			p.beat()
			p.pass(3)
			leg := p.answer(p.bobs)
			p.beat()
			p.Must(p.Emulator.Speak(leg, secs(8)))
			p.pass(9)
			p.hangUp(p.sid)
		},
		"the desk hangs up": func(p *take) {
			p.sid = p.dial(customer, officeNumber)
			p.pass(2)
			leg := p.answer(p.web)
			p.pass(5)
			p.hangUp(leg)
			p.pass(2)
		},
		"nobody, then a voicemail": func(p *take) {
			p.sid = p.dial(customer, officeNumber)
			p.pass(4)
			p.decline(p.web)
			p.pass(11)
			p.beat()
			p.decline(manager)
			p.beat()
			p.speakAndHangUp(p.sid, secs(5))
		},
		"a voicemail without a word": func(p *take) {
			p.sid = p.dial(customer, officeNumber)
			p.pass(16)
			p.decline(manager)
			for range 20 {
				if c, _ := p.Emulator.Call(p.sid); c.Verb == "Record" {
					break
				}
				p.pass(1)
			}
			p.hangUp(p.sid)
		},
		"the caller gives up": func(p *take) {
			p.sid = p.dial(customer, officeNumber)
			p.pass(4)
			p.decline(p.cecs)
			p.pass(3)
			p.hangUp(p.sid)
		},
		"forwarded and answered there": func(p *take) {
			p.sid = p.dial(customer, officeNumber)
			for _, d := range []string{p.web, p.ios, p.bobs, p.cecs} {
				p.decline(d)
				p.beat()
			}
			p.pass(2)
			leg := p.answer(manager)
			p.pass(1)
			p.press(leg, "1") // R052
			p.pass(6)
			p.hangUp(p.sid)
		},
		"started, answered by both": func(p *take) {
			p.startTo(callee)
			p.answer(p.web)
			p.beat()
			p.pass(3)
			leg := p.answer(callee)
			p.beat()
			p.Must(p.Emulator.Speak(leg, secs(5)))
			p.pass(6)
			p.hangUp(leg)
			p.pass(3)
		},
		"started, and the callee is busy": func(p *take) {
			p.startTo("+12025550189")
			p.answer(p.web)
			p.pass(8)
		},
		"refused": func(p *take) { p.sid = p.dial(customer, "+12025550101") },
	}
	seed := rand.Uint64()
	for _, name := range slices.Sorted(maps.Keys(acts)) {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t, demo.Vars{
				"routing":   demo.Vars{"ringTimeoutSeconds": 15, "forwardingNumbers": []string{manager}},
				"voicemail": demo.Vars{"isEnabled": true}, "recording": demo.Vars{"incoming": "FROM_ANSWER_DUAL", "outgoing": "FROM_ANSWER"},
			})
			off := g.Number("+12025550101", nil)
			g.set(off, demo.Vars{"isEnabled": false})
			g.Emulator.Behave("+12025550189", emulator.PhoneBehaviour{Do: emulator.IsBusy})
			var want string
			for order := range 21 { // the first is the natural one
				p := &take{group: g}
				if order > 0 {
					p.chance = rand.New(rand.NewPCG(seed, uint64(order)))
					g.Emulator.Hold(true)
				}
				acts[name](p)
				p.finish()
				g.Emulator.Hold(false)
				if p.chance != nil && len(p.sent) == 0 && name != "refused" {
					t.Fatal("no callback was held back: nothing is proved")
				}
				got := p.rows()
				if want == "" {
					want = got
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("seed %d, order %d (-in order +in this one):\n%s", seed, order, diff)
				}
				g.Clock.Advance(30 * time.Second)
				if order%8 == 7 { // a token lives for a quarter of an hour
					g.Admin, g.ann.Client = g.SignIn("admin"), g.SignIn("ann")
				}
			}
			if !strings.Contains(want, `"ENDED"`) || strings.Contains(want, `"due_at": "+`) {
				t.Errorf("the call is not over:\n%s", want)
			}
		})
	}
}

// startTo starts a call as ann from her browser.
func (p *take) startTo(to string) {
	p.t.Helper()
	var out struct{ CallStart struct{ Call ref } }
	p.Must(p.ann.Client.Do(p.t.Context(), startMutation, demo.Vars{"i": demo.Vars{"to": to, "deviceId": p.web}}, &out))
	p.Must(p.App.Jobs.Drain(p.t.Context()))
	p.beat()
	p.sid = p.callByID(out.CallStart.Call.ID).TwilioSid
}

var (
	moments = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+(\+00:00|Z)`)
	sids    = regexp.MustCompile(`\b(CA|RE)[0-9a-f]{32}\b`)
	uuids   = regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`)
	texts   = regexp.MustCompile(`\b(call|leg|rec|vm)_[0-9a-z]{26}\b`)
)

// rows are all rows of the call as text: each id and SID of its own by when it is met
// first, each moment by how long after the start it was. Left out are the rows' own ids,
// created_at and updated_at, and the key under which the audio is stored.
func (p *take) rows() string {
	p.t.Helper()
	call, err := id.Parse(p.call(p.sid).ID)
	p.Must(err)
	var out []string
	var zero time.Time
	p.Must(p.App.DB.InWorkerTx(p.t.Context(), func(ctx context.Context, tx *db.Tx) error {
		if err := tx.Pgx().QueryRow(ctx, `SELECT started_at FROM call WHERE id = $1`, call).Scan(&zero); err != nil {
			return err
		}
		for _, q := range []string{
			`SELECT (to_jsonb(x) - '{id,created_at,updated_at}'::text[])::text FROM call x WHERE id = $1`,
			`SELECT (to_jsonb(x) - '{created_at,updated_at,billed_minutes,estimated_micros,estimated_currency,price_micros,price_currency,price_asks,price_asked_at}'::text[])::text FROM call_leg x WHERE call_id = $1 ORDER BY step, to_address`,
			`SELECT (to_jsonb(x) - '{id,created_at,updated_at,blob_key}'::text[])::text FROM recording x WHERE call_id = $1 ORDER BY started_at, channels`,
			`SELECT (to_jsonb(x) - '{id,recording_id,created_at,updated_at}'::text[])::text FROM voicemail x WHERE call_id = $1`,
		} {
			rows, err := tx.Pgx().Query(ctx, q, call)
			if err != nil {
				return err
			}
			for rows.Next() {
				var text string
				if err := rows.Scan(&text); err != nil {
					return err
				}
				out = append(out, strings.ReplaceAll(text, `, "`, ",\n\""))
			}
			if rows.Close(); rows.Err() != nil {
				return rows.Err()
			}
		}
		return nil
	}))
	text := strings.Join(out, "\n\n")
	text = moments.ReplaceAllStringFunc(text, func(m string) string {
		at, err := time.Parse(time.RFC3339Nano, m)
		p.Must(err)
		return "+" + at.Sub(zero).String()
	})
	seen := map[string]string{}
	named := func(m string) string {
		if seen[m] == "" {
			seen[m] = fmt.Sprintf("<%d>", len(seen)+1)
		}
		return seen[m]
	}
	for _, form := range []*regexp.Regexp{sids, uuids, texts} {
		text = form.ReplaceAllStringFunc(text, named)
	}
	return text
}
