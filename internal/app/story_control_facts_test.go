package app_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"

	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/id"
)

// proved ends a story: the emulator complained of nothing, the facts in any order
// are the same call, its rows are what they give, and none of its ends was taken
// back on the way.
func (o *office) proved() {
	o.t.Helper()
	o.clean()
	facts := o.factsOf(o.id)
	want := call.Fold(facts)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 4))
	for range 100 {
		mixed := slices.Clone(facts)
		r.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		if got := call.Fold(append(mixed, mixed[r.IntN(len(mixed))])); !reflect.DeepEqual(want, got) {
			o.t.Fatalf("seed %d: the facts in another order give another call:\n%s\n%s", seed, asJSON(got.Call), asJSON(want.Call))
		}
	}
	c := o.now()
	if c.Status != string(want.Call.Status) || c.IsOnHold != want.Call.IsOnHold || len(c.Legs) != len(want.Legs) {
		o.t.Errorf("a rebuild would change the rows:\n%s\n%s", asJSON(c), asJSON(want.Call))
	}
	for _, l := range want.Legs {
		for _, x := range c.Legs {
			if x.ID == l.ID.String() && (x.Status != string(l.Status) || x.IsOnHold != l.IsOnHold || x.IsMuted != l.IsMuted || x.Purpose != string(l.Purpose)) {
				o.t.Errorf("a rebuild would change a leg:\n%s\n%s", asJSON(x), asJSON(l))
			}
		}
	}
	// What we write ourselves is there when it happens; what Twilio tells comes when it comes.
	var ours, told []call.Fact
	for _, f := range facts {
		if f.Data.Status == "in-progress" { // nothing is ordered before it is known who answered
			ours = append(ours, f)
			continue
		}
		switch f.Kind {
		case call.FactLegStatus, call.FactCallStatus, call.FactRecordingStatus:
			told = append(told, f)
		case call.FactRoom:
			if strings.HasPrefix(f.Key, "room/") {
				told = append(told, f)
				continue
			}
			ours = append(ours, f)
		default:
			ours = append(ours, f)
		}
	}
	for range 20 {
		r.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
		was := call.Status("")
		for n := range told {
			s := call.Fold(append(slices.Clone(ours), told[:n+1]...))
			if was.Ended() && s.Call.EndedAt == nil {
				o.t.Fatalf("seed %d: an ended call lives again with %s", seed, told[n].Key)
			}
			was = s.Call.Status
		}
	}
}

// factsOf reads the facts of a call.
func (o *office) factsOf(call_ string) (facts []call.Fact) {
	o.t.Helper()
	org, err := id.Parse(o.OrganizationID)
	o.Must(err)
	which, err := id.Parse(call_)
	o.Must(err)
	err = o.App.DB.InTx(db.WithTenant(o.t.Context(), org), func(ctx context.Context, tx *db.Tx) error {
		rows, err := tx.Pgx().Query(ctx, `SELECT key, kind, at, data FROM call_fact WHERE organization_id = $1 AND call_id = $2 ORDER BY created_at, key`, org, which)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var f call.Fact
			var data []byte
			if err := rows.Scan(&f.Key, (*string)(&f.Kind), &f.At, &data); err != nil {
				return err
			}
			if err := json.Unmarshal(data, &f.Data); err != nil {
				return err
			}
			f.At = f.At.UTC()
			facts = append(facts, f)
		}
		return rows.Err()
	})
	o.Must(err)
	return facts
}
