package app_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/graph"
	"switchboard/internal/db"
	"switchboard/internal/demo"
	"switchboard/internal/id"
	"switchboard/internal/testkit/stage"
)

// unaudited are acts that are asked for here where there is nothing to change, so that
// there is nothing to write down; their stories change something.
var unaudited = map[string]string{
	"contactImportCancel": "the import is over", "retentionRunCancel": "the run is over", "maskedPairCreate": "there is such a pair",
	"phoneNumberSetDefault": "the only number is the default one", "transcriptCreate": "there is such a transcript",
}

// changing makes arguments into ones that change something.
var changing = map[string]func(o *owned, vars demo.Vars){
	"bulkMessageCancel": func(o *owned, v demo.Vars) { v["id"] = o.waiting() },
	"bulkMessagePause":  func(o *owned, v demo.Vars) { v["id"] = o.waiting() },
	"bulkMessageResume": func(o *owned, v demo.Vars) {
		v["id"] = o.waiting()
		o.Do(`mutation($b: ID!) { bulkMessagePause(id: $b) { userErrors { code field message } } }`, demo.Vars{"b": v["id"]}, nil)
	},
	"campaignMembersAdd": func(o *owned, v demo.Vars) {
		v["contactIds"] = []string{o.contact("LEAD", "Acts one", "+12025550141", nil)}
	},
	"contactMerge": func(o *owned, v demo.Vars) {
		v["id"], v["from"] = o.contact("LEAD", "Acts two", "+12025550142", nil), []string{o.contact("LEAD", "Acts four", "+12025550146", nil)}
	},
	"deviceRegister":        func(o *owned, v demo.Vars) { delete(v["input"].(map[string]any), "id") },
	"ignoredNumberAdd":      func(o *owned, v demo.Vars) { v["input"] = demo.Vars{"rules": []string{"+12025550143"}} },
	"messageTemplateUpdate": func(o *owned, v demo.Vars) { v["input"] = demo.Vars{"name": "Acts again"} },
	"notificationDefaultsSet": func(o *owned, v demo.Vars) {
		v["input"] = demo.Vars{"roleId": o.ids[id.Role], "preferences": []demo.Vars{{"kind": "MISSED_CALL", "channels": []string{"IN_APP"}}}}
	},
	"notificationPreferencesSet": func(o *owned, v demo.Vars) {
		v["input"] = demo.Vars{"userId": o.ids[id.User], "preferences": []demo.Vars{{"kind": "MISSED_CALL", "channels": []string{"IN_APP"}}}}
	},
	"passwordChange": func(o *owned, v demo.Vars) {
		v["input"] = demo.Vars{"currentPassword": stage.Password, "newPassword": "another horse battery"}
	},
	"phoneNumberTranscriptionSet": func(o *owned, v demo.Vars) { v["mode"] = "CALLS" },
	"retentionRuleSet": func(o *owned, v demo.Vars) {
		v["input"] = demo.Vars{"kind": "RECORDINGS", "keepDays": 3650, "isOn": true, "confirmation": o.preview("RECORDINGS", 3650).Confirmation}
	},
	"transcriptionSettingsUpdate": func(o *owned, v demo.Vars) { v["input"] = demo.Vars{"language": "en-AU"} },
	"voicemailsAssign": func(o *owned, v demo.Vars) {
		var me struct{ Viewer struct{ User ref } }
		o.Do(`{ viewer { user { id } } }`, nil, &me)
		v["userId"] = me.Viewer.User.ID
	},
	"webhookReplay":          func(o *owned, v demo.Vars) { v["after"] = o.cursor() },
	"followUpSettingsUpdate": func(o *owned, v demo.Vars) { v["input"] = demo.Vars{"escalateToRoleId": o.Role("ADMIN")} },
	"legalHoldPlace": func(o *owned, v demo.Vars) {
		v["input"].(map[string]any)["subjectId"] = o.contact("LEAD", "Acts three", "+12025550145", nil)
	},
	"recordingsDelete":    func(o *owned, v demo.Vars) { v["ids"] = []string{o.archive(o.Admin, nil)[0].ID} }, // the furnished one is a voicemail's
	"contactImportCreate": func(o *owned, v demo.Vars) { v["input"].(map[string]any)["uploadId"] = o.csv() },
	"recordImportCreate":  func(o *owned, v demo.Vars) { v["input"].(map[string]any)["uploadId"] = o.csv() },
	"branchDelete":        func(o *owned, v demo.Vars) { v["id"] = o.Branch("Acts to go") },
	"teamDelete": func(o *owned, v demo.Vars) {
		v["id"] = o.made("teamCreate", "TeamCreateInput", "team", demo.Vars{"name": "Acts to go", "userIds": []string{}})
	},
}

// waiting is a bulk message for later, which can be stopped still.
func (o *owned) waiting() string {
	o.t.Helper()
	return o.made("bulkMessageCreate", "BulkMessageCreateInput", "bulkMessage", demo.Vars{"name": "Acts later", "body": "Hello", "sendAt": o.Clock.Now().Add(time.Hour),
		"audience": demo.Vars{"recipients": []demo.Vars{{"to": samples["to"]}}}})
}

// csv is a file to import.
func (o *owned) csv() string {
	o.t.Helper()
	return o.posted("?for=import&name=more.csv", "text/csv", []byte("name,phone\nActs more,+12025550144\n"))
}

// Every mutation that says which entry it makes makes it: each that can be asked for
// with what an organization with one of everything has is asked for.
func TestEveryMutationLeavesTheEntryThatItNames(t *testing.T) {
	s := newStory(t)
	o := furnish(&story{Stage: s.Another("Acts"), t: t}, "Acts", "+12025550110")
	a := asking{schema: graph.Schema()}
	all := roots(a.schema)
	tried := map[string][]trial{}
	for _, x := range trials(t) {
		tried[x.field] = append(tried[x.field], x)
	}
	names := slices.SortedFunc(maps.Keys(mutations), func(x, y string) int {
		if n := endsSomething(trial{field: x}) - endsSomething(trial{field: y}); n != 0 {
			return n
		}
		return strings.Compare(x, y)
	})
	// What keeps others from being done, or ends the account, the session or the person
	// who acts, comes last.
	last := []string{"messageTemplateArchive", "transcriptsDelete", "legalHoldPlace", "roleUpdate", "userDisable", "userEnable", "phoneNumberDisconnect", "twilioConnectionDisconnect", "passwordChange", "sessionEnd"}
	names = append(slices.DeleteFunc(names, func(x string) bool { return slices.Contains(last, x) }), last...)
	org, err := id.Parse(o.OrganizationID)
	s.Must(err)
	entries := func(act string) (n int) {
		t.Helper()
		o.Must(o.App.DB.InWorkerTx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			return tx.Pgx().QueryRow(ctx, `SELECT count(*) FROM audit_entry WHERE organization_id = $1 AND action = $2`, org, act).Scan(&n)
		}))
		return n
	}
	ran := 0
	for _, name := range names {
		act := mutations[name]
		if strings.HasPrefix(act, "- ") {
			continue
		}
		field := "Mutation." + name
		query := a.operation(field, all[field])
		before, why := entries(act), "it has no arguments that could be made up"
		done := false
		ask := func(vars demo.Vars) {
			if change := changing[name]; change != nil {
				change(o, vars)
			}
			answer := o.answered(o.Admin, query, vars)
			if done = done || strings.HasPrefix(answer, "200") && strings.Contains(answer, `"userErrors":[]`); !done {
				why = answer
			}
		}
		if len(tried[field]) == 0 {
			ask(a.arguments(all[field]))
		}
		for _, x := range tried[field] {
			if o.ids[x.kind] == "" {
				continue
			}
			if ask(x.build(o, o.ids[x.kind])); done && entries(act) > before {
				break
			}
		}
		switch {
		case !done:
			t.Logf("%s was not done: %.300s", name, why)
		case entries(act) > before:
			ran++
		default:
			if o.settled(); entries(act) > before {
				ran++
			} else if unaudited[name] == "" {
				t.Errorf("%s was done, and the log has no new %s", name, act)
			}
		}
	}
	if t.Logf("%d acts have their entries", ran); ran < 100 {
		t.Errorf("only %d acts could be done", ran)
	}
}
