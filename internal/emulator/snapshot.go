package emulator

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// snapshot is what outlives the emulator: accounts and what is configured in them. Calls,
// messages and recordings do not.
type snapshot struct {
	Version  int               `json:"version"`
	Accounts []accountSnapshot `json:"accounts"`
}

type accountSnapshot struct {
	SID       string              `json:"sid"`
	Token     string              `json:"token"`
	Secondary string              `json:"secondary,omitempty"`
	Type      string              `json:"type"`
	Status    string              `json:"status"`
	Name      string              `json:"name"`
	Parent    string              `json:"parent,omitempty"`
	Created   time.Time           `json:"created"`
	Numbers   []NumberSpec        `json:"numbers"`
	Keys      []keySnapshot       `json:"keys"`
	Apps      []map[string]string `json:"applications"`
	CallerIDs []map[string]string `json:"callerIds"`
	Services  []ServiceSpec       `json:"services"`
	OptOuts   map[string]bool     `json:"optOuts"`
	SIP       sipSnapshot         `json:"sip,omitzero"`
	Push      []pushSnapshot      `json:"push,omitempty"`

	Alpha      []string          `json:"alpha,omitempty"`
	GeoOff     []string          `json:"geoOff,omitempty"`
	VoiceOff   []string          `json:"voiceOff,omitempty"`
	Brand      string            `json:"brand,omitempty"`
	TollFree   map[string]string `json:"tollFree,omitempty"` // status of verification by number
	NoKeywords bool              `json:"noKeywords,omitempty"`
	MediaAuth  bool              `json:"mediaAuth,omitempty"`
}

type keySnapshot struct {
	SID        string `json:"sid"`
	Secret     string `json:"secret"`
	Name       string `json:"name"`
	Restricted bool   `json:"restricted,omitempty"`
}

// Snapshot writes down the accounts with their numbers, keys, applications, services and
// opt-outs, secrets included, so that a later emulator can Restore them.
func (e *Emulator) Snapshot() ([]byte, error) {
	s := snapshot{Version: 1}
	e.read(func() {
		for _, a := range e.accounts {
			x := accountSnapshot{SID: a.sid, Token: a.token, Secondary: a.secondary, Type: a.typ, Status: a.status, Name: a.name, Created: a.created,
				Alpha: slices.Sorted(maps.Keys(a.alpha)), GeoOff: offList(a.geoOff), VoiceOff: offList(a.voiceOff), NoKeywords: a.noOptOuts, MediaAuth: a.mediaAuth, TollFree: map[string]string{},
				OptOuts: maps.Clone(a.optOuts), SIP: a.sip.snapshot(), Push: a.pushSnapshots()}
			if a.parent != nil {
				x.Parent = a.parent.sid
			}
			for _, n := range a.numbers {
				x.Numbers = append(x.Numbers, n.spec)
				if n.verification != nil {
					x.TollFree[n.spec.E164] = n.verification.status
				}
			}
			if a.brand != nil {
				x.Brand = a.brand.status
			}
			for _, k := range a.keys {
				x.Keys = append(x.Keys, keySnapshot{k.sid, k.secret, k.name, k.restricted})
			}
			for _, p := range a.apps {
				f := maps.Clone(p.fields)
				f["Sid"] = p.sid
				x.Apps = append(x.Apps, f)
			}
			for _, c := range a.callerIDs {
				x.CallerIDs = append(x.CallerIDs, map[string]string{"e164": c.e164, "name": c.name})
			}
			for _, v := range a.services {
				spec := ServiceSpec{SID: v.sid, Name: v.name, Fields: maps.Clone(v.fields), AdvancedOptOut: v.advancedOptOut, OptOut: v.optOut}
				for _, s := range v.alpha {
					spec.Alpha = append(spec.Alpha, s.name)
				}
				if v.campaign != nil {
					spec.Campaign = v.campaign.status
				}
				for _, n := range v.numbers {
					spec.Numbers = append(spec.Numbers, n.spec.E164)
				}
				x.Services = append(x.Services, spec)
			}
			s.Accounts = append(s.Accounts, x)
		}
	})
	return json.Marshal(s)
}

// offList are the countries that are switched off.
func offList(countries map[string]bool) (list []string) {
	for iso, off := range countries {
		if off {
			list = append(list, iso)
		}
	}
	slices.Sort(list)
	return list
}

// Restore makes the accounts of a Snapshot. The emulator must not have them yet.
func (e *Emulator) Restore(b []byte) error {
	var s snapshot
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("emulator: not a snapshot: %w", err)
	}
	if s.Version != 1 {
		return fmt.Errorf("emulator: snapshot version %d is unknown", s.Version)
	}
	for _, x := range s.Accounts {
		if err := e.restore(x); err != nil {
			return err
		}
	}
	return nil
}

func (e *Emulator) restore(x accountSnapshot) error {
	if err := e.AddSubaccount(x.Parent, x.SID, x.Token, x.Type); err != nil {
		return err
	}
	e.do(func() {
		a := e.account(x.SID)
		a.secondary, a.status, a.name, a.created = x.Secondary, x.Status, x.Name, x.Created
		maps.Copy(a.optOuts, x.OptOuts)
		a.noOptOuts, a.mediaAuth = x.NoKeywords, x.MediaAuth
		for _, name := range x.Alpha {
			a.alpha[name] = true
		}
		for _, iso := range x.GeoOff {
			a.geoOff[iso] = true
		}
		for _, iso := range x.VoiceOff {
			a.voiceOff[iso] = true
		}
		e.setRegistration(&a.brand, "BN", x.Brand)
		e.restoreBeside(a, x.SIP, x.Push)
		for _, k := range x.Keys {
			a.keys = append(a.keys, &key{sid: k.SID, secret: k.Secret, name: k.Name, restricted: k.Restricted, created: e.at, updated: e.at})
		}
	})
	for _, f := range x.Apps {
		if _, err := e.AddApplication(x.SID, f); err != nil {
			return err
		}
	}
	for _, n := range x.Numbers {
		if _, err := e.AddNumber(x.SID, n); err != nil {
			return err
		}
	}
	for to, status := range x.TollFree {
		if err := e.SetTollFree(to, status); err != nil {
			return err
		}
	}
	for _, c := range x.CallerIDs {
		if err := e.AddCallerID(x.SID, c["e164"], c["name"]); err != nil {
			return err
		}
	}
	for _, v := range slices.Clone(x.Services) {
		if _, err := e.AddService(x.SID, v); err != nil {
			return err
		}
	}
	return nil
}
