package emulator_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/emulator"
)

// furnished is an emulator with one of everything that is kept.
func furnished(t *testing.T) *emulator.Emulator {
	t.Helper()
	e := emulator.New(emulator.Options{Seed: 7})
	t.Cleanup(e.Stop)
	for _, err := range []error{
		e.AddAccount(accountSID, authToken, emulator.Trial),
		e.AddSubaccount(accountSID, "ACbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", authToken, emulator.Full),
		e.SetAccountStatus("ACbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "suspended"),
		e.AddKey(accountSID, "SKaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "key-secret", "demo"),
		e.AddCallerID(accountSID, mobile, "Ann's mobile"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.AddNumber(accountSID, emulator.NumberSpec{E164: office, FriendlyName: "Office", NoMMS: true, VoiceURL: "https://example.com/voice", SMSURL: "https://example.com/sms"}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.AddApplication(accountSID, map[string]string{"FriendlyName": "Ours", "VoiceUrl": "https://example.com/app"}); err != nil {
		t.Fatal(err)
	}
	service := emulator.ServiceSpec{Name: "Texts", Numbers: []string{office}, Alpha: []string{"Acme"}, AdvancedOptOut: true, OptOut: emulator.OptOut{Stop: []string{"ARRET"}},
		Campaign: emulator.CampaignInProgress}
	if _, err := e.AddService(accountSID, service); err != nil {
		t.Fatal(err)
	}
	if _, err := e.AddNumber(accountSID, emulator.NumberSpec{E164: tollFree}); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{e.SetTollFree(tollFree, emulator.TollFreePending), e.SetBrand(accountSID, "IN_REVIEW"), e.AllowAlpha(accountSID, "Our Name"),
		e.SetGeoPermission(accountSID, "FJ", false), e.SetKeywords(accountSID, false), e.SetMediaAuth(accountSID, true), e.SetOptedOut(office, mobile, true)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func saved(t *testing.T, e *emulator.Emulator) string {
	t.Helper()
	var b bytes.Buffer
	if err := e.Save(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestALoadedEmulatorIsTheSavedOne(t *testing.T) {
	t.Parallel()
	e := furnished(t)
	state := saved(t, e)
	for what, want := range map[string]string{
		"account": accountSID, "auth token": authToken, "type": `"Trial"`, "status": `"suspended"`, "number": office, "capabilities": `"noMms":true`,
		"webhook": "https://example.com/voice", "key secret": "key-secret", "application": "https://example.com/app", "caller ID": mobile,
		"words": "ARRET", "campaign": `"IN_PROGRESS"`, "verification": `"PENDING_REVIEW"`, "brand": `"IN_REVIEW"`, "name": "Our Name", "country": `"geoOff":["FJ"]`,
		"keywords": `"noKeywords":true`, "files": `"mediaAuth":true`, "opt-out": "|" + mobile + `":true`,
	} {
		if !strings.Contains(state, want) {
			t.Errorf("the saved state lacks the %s %q", what, want)
		}
	}
	again := emulator.New(emulator.Options{Seed: 8})
	t.Cleanup(again.Stop)
	if err := again.Load(strings.NewReader(state)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(state, saved(t, again)); diff != "" {
		t.Errorf("saved, loaded and saved again differs (-first +second):\n%s", diff)
	}
	if err := again.Load(strings.NewReader(state)); err == nil {
		t.Error("loading accounts that exist already succeeded")
	}
}

func TestABrokenStateIsRefused(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]string{"empty": "", "cut off": `{"version":1,"accounts":[{"sid":"AC`, "of another version": `{"version":99}`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := emulator.New(emulator.Options{})
			t.Cleanup(e.Stop)
			if err := e.Load(strings.NewReader(state)); err == nil {
				t.Error("it was loaded")
			}
		})
	}
}

func TestAFileKeepsTheEmulatorAsItIs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deeper", "emulator.json")
	e := furnished(t)
	stop, err := emulator.KeepIn(e, path)
	if err != nil {
		t.Fatal(err)
	}
	err = e.UpdateNumber(office, func(n *emulator.NumberSpec) { n.VoiceURL = "https://example.com/changed" })
	if err != nil {
		t.Fatal(err)
	}
	// A change is written without a stop: a killed process loses nothing older than a moment.
	tick, limit := time.NewTicker(5*time.Millisecond), time.After(10*time.Second)
	defer tick.Stop()
	for {
		b, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(b), "https://example.com/changed") {
			break
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("the change was never written: %v", err)
		}
	}
	if err := e.SetAccountStatus(accountSID, "closed"); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Errorf("a second stop: %v", err)
	}
	want := saved(t, e)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Errorf("the file after stop (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has secrets and mode %v, %v; want 0600", info.Mode(), err)
	}
	if rest, err := fs.Glob(os.DirFS(filepath.Dir(path)), "*"); err != nil || len(rest) != 1 {
		t.Errorf("the folder has %v, %v; want the one file", rest, err)
	}

	again := emulator.New(emulator.Options{})
	t.Cleanup(again.Stop)
	stopAgain, err := emulator.KeepIn(again, path)
	if err != nil {
		t.Fatal(err)
	}
	defer stopAgain()
	if diff := cmp.Diff(want, saved(t, again)); diff != "" {
		t.Errorf("the emulator of the next start (-want +got):\n%s", diff)
	}
}

func TestAStateThatCannotBeReadStopsTheStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "emulator.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := emulator.New(emulator.Options{})
	t.Cleanup(e.Stop)
	if _, err := emulator.KeepIn(e, path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("KeepIn of a broken file: %v; want an error that names the file", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "{" {
		t.Errorf("the broken file was overwritten with %q", b)
	}
}
