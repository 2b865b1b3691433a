package twilio_test

import (
	"net/http"
	"testing"
	"time"
)

// What went wrong long ago is found behind what went wrong since.
func TestAlertsOfAnEarlierTimeAreFound(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	wrong := func() { // the emulator complains of what it does not know
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.rest+"/2010-04-01/Accounts/"+ac+"/Transcriptions.json", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(ac, token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	then := w.clock.Now()
	wrong()
	w.clock.Advance(time.Hour)
	for range 120 {
		wrong()
	}
	old, err := w.c.Alerts(t.Context(), then.Add(-time.Minute), then.Add(time.Minute))
	if err != nil || len(old) != 1 || !old[0].At.Equal(then) {
		t.Errorf("of then there is %+v, %v", old, err)
	}
	now, err := w.c.Alerts(t.Context(), then.Add(time.Minute), time.Time{})
	if err != nil || len(now) != 100 || now[0].At.Equal(then) {
		t.Errorf("of now there are %d, %v", len(now), err)
	}
}
