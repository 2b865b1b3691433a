package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"switchboard/internal/demo"
	"switchboard/internal/emulator"
	"switchboard/internal/testkit/stage"
)

// certificate is one with its key, as PEM.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	c, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return block("CERTIFICATE", c), block("PRIVATE KEY", k)
}

const pushMutation = `mutation($i: PushCredentialSetInput!) { pushCredentialSet(input: $i) { pushCredential { platform isSandbox } userErrors { code field message } } }`

// pushes are the push credentials that the account has at Twilio.
func (s *story) pushes() string {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://notify.twilio.com/v1/Credentials", nil)
	r.Header.Set("X-Original-Host", "notify.twilio.com")
	r.SetBasicAuth(s.AccountSID, stage.AuthToken)
	w := httptest.NewRecorder()
	s.Emulator.ServeHTTP(w, r)
	return w.Body.String()
}

func TestMobilesAreWokenByPushWithoutKeepingItsSecrets(t *testing.T) { // R092
	s := newStory(t)
	branch := s.Branch("Office")
	s.Number(officeNumber, demo.Vars{"branchId": branch})
	ann := s.User("ann", "OFFICE", "", branch)
	cert, key := certificate(t)
	_, foreign := certificate(t)
	ios := func(c, k string) demo.Vars {
		return demo.Vars{"i": demo.Vars{"connectionId": s.ConnectionID, "platform": "IOS", "certificate": c, "privateKey": k, "isSandbox": true}}
	}
	android := func(secret string) demo.Vars {
		return demo.Vars{"i": demo.Vars{"connectionId": s.ConnectionID, "platform": "ANDROID", "secret": secret}}
	}
	for _, x := range []struct {
		claim string
		vars  demo.Vars
		code  string
	}{
		{"no key", ios(cert, ""), "REQUIRED"},
		{"another's key", ios(cert, foreign), "INVALID"},
		{"no PEM", ios("certificate", "key"), "INVALID"},
		{"a secret that is none", android("AAAA:bbbb"), "INVALID"},
		{"for browsers", demo.Vars{"i": demo.Vars{"connectionId": s.ConnectionID, "platform": "WEB", "secret": "x"}}, "INVALID"},
		{"far too long", android(strings.Repeat("x", 40<<10)), "INVALID"},
	} {
		if code := s.try(s.Admin, pushMutation, x.vars, nil); code != x.code {
			t.Errorf("%s: %q, want %s", x.claim, code, x.code)
		}
	}
	if code := s.try(ann.Client, pushMutation, ios(cert, key), nil); code != "FORBIDDEN" {
		t.Errorf("by a clerk: %q", code)
	}
	s.Do(pushMutation, ios(cert, key), nil)
	first := s.pushes()
	s.Do(pushMutation, ios(cert, key), nil)
	if again := s.pushes(); strings.Count(again, `"CR`) != 1 || again == first {
		t.Errorf("replaced, the account has\n%s", again)
	}
	s.Do(pushMutation, android(`{"type": "service_account", "private_key": "secret"}`), nil)
	if got := s.pushes(); strings.Count(got, `"CR`) != 2 || strings.Contains(got, "PRIVATE KEY") {
		t.Errorf("with both the account has\n%s", got)
	}
	var out struct {
		TwilioConnections struct {
			Nodes []struct {
				PushCredentials []struct {
					Platform  string
					IsSandbox bool
				}
			}
		}
	}
	s.Do(`{ twilioConnections { nodes { pushCredentials { platform isSandbox } } } }`, nil, &out)
	if p := out.TwilioConnections.Nodes[0].PushCredentials; len(p) != 2 || p[0].Platform != "ANDROID" || p[1].Platform != "IOS" || !p[1].IsSandbox {
		t.Errorf("the connection shows %+v", p)
	}
	// An app that is closed rings: its token names what wakes it.
	var device struct {
		DeviceRegister struct {
			Device     struct{ ID string }
			VoiceToken struct{ Token string }
		}
	}
	s.Must(ann.Client.Do(t.Context(), `mutation { deviceRegister(input: {name: "iPhone", platform: IOS}) { device { id } voiceToken { token } userErrors { code field message } } }`, nil, &device))
	_, err := s.Emulator.RegisterDevice(emulator.Device{Token: device.DeviceRegister.VoiceToken.Token, Platform: "ios", PushToken: "apns-1"})
	s.Must(err)
	s.Emulator.CloseApp(s.AccountSID, device.DeviceRegister.Device.ID)
	s.dial(customer, officeNumber)
	s.wantRinging(device.DeviceRegister.Device.ID)
	s.Do(`mutation($c: ID!) { twilioConnectionDisconnect(id: $c) { userErrors { code field message } } }`, demo.Vars{"c": s.ConnectionID}, nil)
	if got := s.pushes(); strings.Contains(got, `"CR`) {
		t.Errorf("disconnected, the account still has\n%s", got)
	}
}
