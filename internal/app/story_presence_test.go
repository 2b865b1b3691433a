package app_test

import (
	"fmt"
	"testing"
	"time"

	"switchboard/internal/demo"
)

// R100: presence and the picker follow the calls; nobody learns of calls that are not theirs.
func TestPresenceAndTransferTargetsFollowTheCalls(t *testing.T) {
	o := newOutbound(t)
	bob := o.User("bob", "FIELDWORKER", "")
	bobs := o.Device(bob, "Desk")
	cec := o.User("cec", "OFFICE", "", o.branch)
	o.Device(cec, "Desk")
	o.User("dan", "OFFICE", "", o.branch)
	presence := func(who *demo.Client) (said []string) {
		var out struct {
			Presence struct {
				Nodes []struct {
					User         ref
					State        string
					ReadyDevices int
					Call         *ref
				}
			}
		}
		o.Must(who.Do(t.Context(), `{ presence { nodes { user { id name } state readyDevices call { id } } } }`, nil, &out))
		for _, p := range out.Presence.Nodes {
			if p.User.ID == o.ann.ID || p.User.Name == "bob" || p.User.Name == "cec" || p.User.Name == "dan" {
				said = append(said, fmt.Sprintf("%s %s %t", p.User.Name, p.State, p.Call != nil))
			}
		}
		return said
	}
	if got := fmt.Sprint(presence(o.ann.Client)); got != "[ann FREE false bob FREE false cec FREE false dan AWAY false]" {
		t.Errorf("before the call: %s", got)
	}
	sid := o.connect(o.token(o.ann, o.desk), map[string]string{"userId": bob.ID})
	if got := fmt.Sprint(presence(o.ann.Client)); got != "[ann ON_CALL true bob RINGING true cec FREE false dan AWAY false]" {
		t.Errorf("while it rings: %s", got)
	}
	o.answer(bobs)
	if got := fmt.Sprint(presence(cec.Client)); got != "[ann ON_CALL false bob ON_CALL false cec FREE false dan AWAY false]" {
		t.Errorf("somebody else sees: %s", got)
	}
	var out struct {
		TransferTargets struct {
			Nodes []struct {
				Presence *struct {
					User  ref
					State string
				}
				Branch    *ref
				FreeUsers int
			}
		}
	}
	o.Must(o.ann.Client.Do(t.Context(), `query($c: ID!) { transferTargets(callId: $c, search: "") { nodes { presence { user { id name } state } branch { id name } freeUsers } } }`,
		demo.Vars{"c": o.call(sid).ID}, &out))
	n := out.TransferTargets.Nodes
	if len(n) != 2 || n[0].Presence == nil || n[0].Presence.User.Name != "cec" || n[0].Presence.State != "FREE" || n[1].Branch == nil || n[1].Branch.ID != o.branch || n[1].FreeUsers != 1 {
		t.Errorf("the targets are %s", asJSON(n))
	}
	o.hangUp(sid)
	if got := fmt.Sprint(presence(o.ann.Client)); got != "[ann FREE false bob FREE false cec FREE false dan AWAY false]" {
		t.Errorf("after the call: %s", got)
	}
	o.clean()
}

func TestADevicesWarningsStandAtItsLeg(t *testing.T) { // R275
	o := newOutbound(t)
	sid := o.connect(o.token(o.ann, o.desk), map[string]string{"To": callee})
	o.answer(callee)
	o.Pass(10 * time.Second)
	c := o.call(sid)
	const report = `mutation($i: CallQualityReportInput!) { callQualityReport(input: $i) { accepted userErrors { code field message } } }`
	input := demo.Vars{"callId": c.ID, "deviceId": o.desk, "warnings": []demo.Vars{
		{"name": "high-jitter", "value": 31.5, "at": c.StartedAt.Add(3 * time.Second)}, {"name": "high-jitter", "at": c.StartedAt.Add(8 * time.Second), "isCleared": true}}}
	for i, want := range []int{2, 0} {
		var out struct{ CallQualityReport struct{ Accepted int } }
		o.Must(o.ann.Client.Do(t.Context(), report, demo.Vars{"i": input}, &out))
		if out.CallQualityReport.Accepted != want {
			t.Errorf("report %d: %d were new, want %d", i, out.CallQualityReport.Accepted, want)
		}
	}
	if code := o.try(o.Admin, report, demo.Vars{"i": input}, nil); code != "NOT_FOUND" {
		t.Errorf("somebody else's device: %s", code)
	}
	var out struct {
		Call struct {
			Legs []struct {
				Kind            string
				QualityWarnings []struct {
					Name      string
					Value     *float64
					ClearedAt *time.Time
				}
			}
		}
	}
	o.Do(`query($c: ID!) { call(id: $c) { legs { kind qualityWarnings { name value at clearedAt } } } }`, demo.Vars{"c": c.ID}, &out)
	for _, l := range out.Call.Legs {
		if w := l.QualityWarnings; l.Kind == "DEVICE" != (len(w) == 1) || len(w) == 1 && (w[0].Name != "high-jitter" || w[0].ClearedAt == nil) {
			t.Errorf("the leg %s has %s", l.Kind, asJSON(w))
		}
	}
	o.hangUp(sid)
	o.clean()
}
