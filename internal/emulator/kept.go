package emulator

import (
	"maps"
	"slices"
)

// sipSnapshot and pushSnapshot are what of SIP and of push outlives the emulator.
// Registrations do not: phones and apps register again.
type sipSnapshot struct {
	Domains []sipDomainSnapshot `json:"domains,omitempty"`
	Lists   []sipListSnapshot   `json:"credentialLists,omitempty"`
	ACLs    []sipListSnapshot   `json:"ipLists,omitempty"`
}

type sipDomainSnapshot struct {
	SID           string            `json:"sid"`
	Name          string            `json:"name"`
	Fields        map[string]string `json:"fields"`
	Calls         []string          `json:"calls"`
	ACLs          []string          `json:"acls"`
	Registrations []string          `json:"registrations"`
}

type sipListSnapshot struct {
	SID     string             `json:"sid"`
	Name    string             `json:"name"`
	Entries []sipEntrySnapshot `json:"entries"`
}

type sipEntrySnapshot struct {
	SID      string `json:"sid"`
	Username string `json:"username,omitempty"`
	Secret   string `json:"secret,omitempty"`
	Name     string `json:"name,omitempty"`
	IP       string `json:"ip,omitempty"`
	Bits     int    `json:"bits,omitempty"`
}

type pushSnapshot struct {
	SID     string `json:"sid"`
	Name    string `json:"name"`
	Type    string `json:"type"`
	Sandbox bool   `json:"sandbox,omitempty"`
}

func (s *sipAccount) snapshot() (out sipSnapshot) {
	lists := func(all []*sipList) (list []sipListSnapshot) {
		for _, l := range all {
			x := sipListSnapshot{SID: l.sid, Name: l.name}
			for _, n := range l.entries {
				x.Entries = append(x.Entries, sipEntrySnapshot{n.sid, n.username, n.secret, n.name, n.ip, n.bits})
			}
			list = append(list, x)
		}
		return list
	}
	mapped := func(all []*sipMapping) (list []string) {
		for _, m := range all {
			list = append(list, m.list.sid)
		}
		return list
	}
	out.Lists, out.ACLs = lists(s.lists), lists(s.acls)
	for _, d := range s.domains {
		out.Domains = append(out.Domains, sipDomainSnapshot{d.sid, d.name, maps.Clone(d.fields), mapped(d.calls), mapped(d.acls), mapped(d.registrations)})
	}
	return out
}

func (a *account) pushSnapshots() (list []pushSnapshot) {
	for _, p := range a.pushes {
		list = append(list, pushSnapshot{p.sid, p.name, p.typ, p.sandbox})
	}
	return list
}

// restoreBeside makes SIP and push credentials of a snapshot. The lock is held.
func (e *Emulator) restoreBeside(a *account, s sipSnapshot, pushes []pushSnapshot) {
	lists := func(all []sipListSnapshot) (list []*sipList) {
		for _, x := range all {
			l := &sipList{account: a, sid: x.SID, name: x.Name, created: e.at, updated: e.at}
			for _, n := range x.Entries {
				l.entries = append(l.entries, &sipEntry{sid: n.SID, username: n.Username, secret: n.Secret, name: n.Name, ip: n.IP, bits: n.Bits, created: e.at, updated: e.at})
			}
			list = append(list, l)
		}
		return list
	}
	a.sip.lists, a.sip.acls = lists(s.Lists), lists(s.ACLs)
	mapped := func(sids []string, from []*sipList) (list []*sipMapping) {
		for _, sid := range sids {
			if i := slices.IndexFunc(from, func(l *sipList) bool { return l.sid == sid }); i >= 0 {
				list = append(list, &sipMapping{from[i], e.at})
			}
		}
		return list
	}
	for _, x := range s.Domains {
		d := &sipDomain{account: a, sid: x.SID, name: x.Name, fields: map[string]string{}, calls: mapped(x.Calls, a.sip.lists), acls: mapped(x.ACLs, a.sip.acls),
			registrations: mapped(x.Registrations, a.sip.lists), created: e.at, updated: e.at}
		maps.Copy(d.fields, x.Fields)
		a.sip.domains = append(a.sip.domains, d)
	}
	for _, p := range pushes {
		a.pushes = append(a.pushes, &pushCredential{account: a, sid: p.SID, name: p.Name, typ: p.Type, sandbox: p.Sandbox, created: e.at, updated: e.at})
	}
}
