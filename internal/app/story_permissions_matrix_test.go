package app_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/graph"
	"switchboard/internal/demo"
	"switchboard/internal/id"
	"switchboard/internal/testkit/stage"
)

// plot is an organization in which somebody has one of everything, so has a colleague
// of the same branch, and so have others.
type plot struct {
	*owned
	fay    stage.Person
	van    string
	branch string
	line   string
	// things are one of each kind by how it stands to fay.
	things map[relation]map[id.Kind]string
	roles  map[string]string
	start  string // the cursor before anything
}

// The numbers that stand for a customer, by how they stand to fay.
var plotNumbers = map[relation]string{mine: "+12025550181", near: "+12025550182", far: customer}

func newPlot(t *testing.T) *plot {
	t.Helper()
	s := newStory(t)
	p := &plot{owned: &owned{story: s}, things: map[relation]map[id.Kind]string{}, roles: map[string]string{}, start: s.cursor()}
	p.owned = furnish(s, "Far", officeNumber)
	var conversations struct{ Recordings struct{ Nodes []ref } } // the other one is a voicemail's
	p.Do(`{ recordings { nodes { id } } }`, nil, &conversations)
	p.ids[id.Recording] = conversations.Recordings.Nodes[0].ID
	p.things[far] = p.ids
	p.branch = s.Branch("Near")
	p.line = s.Number("+12025550112", demo.Vars{"branchId": p.branch, "recording": demo.Vars{"incoming": "FROM_ANSWER"}, "voicemail": demo.Vars{"isEnabled": true}})
	nia := s.User("nia", "DISPATCHER", "+12025550163", p.branch)
	p.things[near] = p.plant(nia, s.Device(nia, "Desk"), near)
	s.change(nia, demo.Vars{"branchIds": []string{}}) // nothing else rings her
	p.fay = s.User("fay", "DISPATCHER", "+12025550161", p.branch)
	p.van = s.Device(p.fay, "Van")
	p.things[mine] = p.plant(p.fay, p.van, mine)
	p.things[mine][id.Device] = p.van
	return p
}

// plant gives a person one of each kind of thing that has an owner.
func (p *plot) plant(who stage.Person, device string, r relation) map[id.Kind]string {
	p.t.Helper()
	number := plotNumbers[r]
	word := "Plot " + string(r)
	out := map[id.Kind]string{}
	out[id.Contact] = p.contact("CUSTOMER", word, number, demo.Vars{"assignedUserId": who.ID, "email": secretMail, "location": secretPlace})
	out[id.Record] = p.recordOf("BOOKING", word, out[id.Contact], demo.Vars{"assignedUserId": who.ID})
	out[id.RecordEvent], _ = p.happens(p.Admin, demo.Vars{"recordId": out[id.Record], "event": "JOB_ACCEPTED"})
	sid := p.dial(number, "+12025550112")
	p.answer(device)
	p.Pass(5 * time.Second)
	p.hangUp(sid)
	p.PassSettling(20*time.Second, 5*time.Second)
	c := p.call(sid)
	if len(c.Recordings) == 0 {
		p.t.Fatalf("the call of %s was not recorded: %s", word, c)
	}
	out[id.Call], out[id.Recording] = c.ID, c.Recordings[0].ID
	before := p.followUps()
	missed := p.dial(number, "+12025550112")
	p.speakAndHangUp(missed, 5*time.Second)
	p.PassSettling(20*time.Second, 5*time.Second)
	out[id.Voicemail] = p.call(missed).Voicemail.ID
	for _, f := range p.followUps() {
		if !slices.Contains(before, f) {
			out[id.FollowUp] = f
		}
	}
	p.Do(`mutation($v: [ID!]!, $f: ID!, $u: ID) { voicemailsAssign(ids: $v, userId: $u) { userErrors { code field message } } followUpAssign(id: $f, userId: $u) { userErrors { code field message } } }`,
		demo.Vars{"v": []string{out[id.Voicemail]}, "f": out[id.FollowUp], "u": who.ID}, nil)
	p.text(number, "+12025550112", word)
	p.Settle()
	th := p.threads(p.Admin)[0]
	out[id.Thread], out[id.Message] = th.ID, th.Messages.Nodes[0].ID
	p.Do(`mutation($t: ID!, $u: ID!) { smsThreadAssign(id: $t, userId: $u) { userErrors { code field message } } }`, demo.Vars{"t": th.ID, "u": who.ID}, nil)
	p.Settle()
	return out
}

func (p *plot) followUps() (ids []string) {
	p.t.Helper()
	return (&asked{story: p.story}).followUps()
}

// become makes fay the onlooker.
func (p *plot) become(o onlooker) *demo.Client {
	p.t.Helper()
	role := o.role
	if role == "" {
		key := o.visibility + strings.Join(o.permissions, ",")
		if p.roles[key] == "" {
			p.roles[key] = p.role(fmt.Sprintf("Role %d", len(p.roles)), o.visibility, o.permissions...)
		}
		role = p.roles[key]
	}
	change := demo.Vars{"roleId": role, "isFieldworker": o.fieldworker}
	var list []demo.Vars
	for name, narrowsOn := range allOptions() {
		list = append(list, demo.Vars{"option": name, "isOn": slices.Contains(o.options, name) == narrowsOn})
	}
	change["fieldworkerOptions"] = list
	p.change(p.fay, change)
	return p.fay.Client
}

// allOptions are the options, and whether they narrow when they are on.
func allOptions() map[string]bool {
	out := map[string]bool{}
	for _, v := range graph.Schema().Types["FieldworkerOption"].EnumValues {
		out[v.Name] = v.Name == "RESTRICT_BEFORE_START"
	}
	return out
}

// onlookers are the built-in roles; one for each permission that it lacks; one with
// each option narrowed; and those who see less and less.
func (p *plot) onlookers() (list []onlooker) {
	p.t.Helper()
	var roles struct {
		Roles []struct {
			ID, BuiltIn, Visibility string
			Permissions             []string
		}
	}
	p.Do(`{ roles { id builtIn visibility permissions } }`, nil, &roles)
	for _, r := range roles.Roles {
		if r.BuiltIn != "" {
			list = append(list, onlooker{name: r.BuiltIn, role: r.ID, visibility: r.Visibility, permissions: r.Permissions})
			if r.BuiltIn != "ADMIN" {
				list = append(list, onlooker{name: r.BuiltIn + " in the field", role: r.ID, visibility: r.Visibility, permissions: r.Permissions, fieldworker: true})
			}
		}
	}
	all := everyPermission()
	for _, v := range []string{"ORGANIZATION", "BRANCH", "OWN"} {
		list = append(list, onlooker{name: "everything, " + v, visibility: v, permissions: all}, onlooker{name: "nothing, " + v, visibility: v, permissions: []string{}})
		for option := range allOptions() {
			list = append(list, onlooker{name: option + " narrowed, " + v, visibility: v, permissions: all, fieldworker: true, options: []string{option}})
		}
	}
	for _, without := range all {
		list = append(list, onlooker{name: "without " + without, visibility: "ORGANIZATION", permissions: slices.DeleteFunc(slices.Clone(all), func(x string) bool { return x == without })})
	}
	return list
}

// harvest are ids of the kinds of Node that fay's plots do not have, from whatever the
// administrator can list.
func (p *plot) harvest() {
	p.t.Helper()
	a := asking{schema: graph.Schema()}
	all := roots(a.schema)
	for _, field := range slices.Sorted(maps.Keys(all)) {
		f := all[field]
		if !strings.HasPrefix(field, "Query.") || field == "Query.node" || field == "Query.nodes" || field == "Query.can" {
			continue
		}
		vars := p.fill(a, field, p.ids)
		for _, x := range anyID.FindAllString(p.answered(p.Admin, a.operation(field, f), vars), -1) {
			if k, err := id.Parse(x); err == nil && p.ids[k.Kind()] == "" {
				p.ids[k.Kind()] = x
			}
		}
	}
}

// fill is valid arguments for a root field, with these ids where it needs one.
func (p *plot) fill(a asking, field string, ids map[id.Kind]string) demo.Vars {
	f := roots(a.schema)[field]
	vars := a.arguments(f)
	if field == "Query.search" {
		vars["text"] = "Plot" // which stands in the name of everything planted
	}
	for _, path := range a.ids(f) {
		if t := f.Arguments.ForName(path[0]).Type; len(path) == 1 && t.NonNull {
			if k, ok := kindOf(field, path); ok && ids[k] != "" {
				a.put(f, vars, path, ids[k])
			}
		}
	}
	return vars
}

// unsampled are the kinds of Node that nobody can have here, and why.
var unsampled = map[string]string{}

// Every kind of Node, by node and nodes, for every role and every option: seen exactly
// where the one table says so.
func TestEveryRoleSeesByIDWhatTheTableSays(t *testing.T) { // R233-R235, R243, R250, R251
	p := newPlot(t)
	schema := graph.Schema()
	for _, n := range schema.GetPossibleTypes(schema.Types["Node"]) {
		if _, ok := sights[n.Name]; !ok {
			t.Errorf("%s is a Node, and the table of sights has no row for it: say who sees one", n.Name)
		}
	}
	p.harvest()
	type item struct {
		node string
		id   string
		rel  relation
	}
	var items []item
	for node, s := range sights {
		if schema.Types[node] == nil {
			t.Errorf("the table of sights speaks of %s, which the contract does not know", node)
			continue
		}
		rels := []relation{far}
		if s.reach == bySight || s.reach == asBase {
			rels = []relation{mine, near, far}
		}
		found := false
		for _, r := range rels {
			if x := p.things[r][s.kind]; x != "" {
				items, found = append(items, item{node, x, r}), true
			}
		}
		if s.own && s.reach == wide && p.things[mine][s.kind] != "" {
			items = append(items, item{node, p.things[mine][s.kind], mine})
		}
		if !found && unsampled[node] == "" {
			t.Errorf("there is no sample of a %s: make one in furnish, or say in unsampled why not", node)
		}
	}
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(a.id, b.id) })
	for _, o := range p.onlookers() {
		who := p.become(o)
		got := map[string]bool{}
		for chunk := range slices.Chunk(items, 100) {
			ids := make([]string, len(chunk))
			for i, x := range chunk {
				ids[i] = x.id
			}
			var out struct{ Nodes []*ref }
			p.Must(who.Do(t.Context(), `query($ids: [ID!]!) { nodes(ids: $ids) { id } }`, demo.Vars{"ids": ids}, &out))
			for i, n := range out.Nodes {
				got[chunk[i].id] = n != nil
			}
		}
		for _, x := range items {
			if want := o.sees(sights[x.node], x.rel); got[x.id] != want {
				t.Errorf("%s: a %s %s is seen: %v, the table says %v", o.name, x.node, x.rel, got[x.id], want)
			}
		}
	}
}

// invisible are the planted things that an onlooker does not see, by id.
func (p *plot) invisible(o onlooker) map[string]string {
	out := map[string]string{}
	for node, s := range sights {
		if s.reach != bySight && s.reach != asBase || node == "MaskedPair" {
			continue
		}
		for _, r := range []relation{mine, near, far} {
			if x := p.things[r][s.kind]; x != "" && !o.sees(s, r) {
				out[x] = node + " " + string(r)
			}
		}
	}
	return out
}

// named may stand where the thing itself is not seen: whoever sees a call or a message
// reads whom and what it is about (R243). So may what the audit log speaks of: its
// reader reads what was done in the whole organization, by reference.
var named = map[id.Kind]bool{id.Contact: true, id.Record: true}

// Every root field that reads, for those who see little: nothing that they do not see
// occurs in any byte of an answer, by list, filter, edge, count, event or error.
func TestNoAnswerShowsWhatIsNotSeen(t *testing.T) {
	p := newPlot(t)
	a := asking{schema: graph.Schema(), edges: true}
	for _, o := range p.onlookers() {
		hidden := p.invisible(o)
		if strings.HasPrefix(o.name, "without ") || len(hidden) == 0 {
			continue // the table of sights has asked by id
		}
		all := roots(a.schema)
		who := p.become(o)
		scan := func(what, answer string, sent ...string) {
			t.Helper()
			for _, x := range sent {
				answer = strings.ReplaceAll(answer, x, "")
			}
			for x, of := range hidden {
				k, err := id.Parse(x)
				p.Must(err)
				if strings.Contains(strings.ReplaceAll(answer, `"subjectReference":"`+x, ""), x) && !(named[k.Kind()] && !slices.Contains([]string{"Query.contacts", "Query.records", "Query.search"}, what)) {
					t.Errorf("%s: %s shows a %s: %s", o.name, what, of, excerpt(answer, x))
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			f := all[name]
			if !strings.HasPrefix(name, "Query.") {
				continue
			}
			query := a.operation(name, f)
			// By list and by edge, with one's own ids where some are needed.
			answer := p.answered(who, query, p.fill(a, name, p.things[mine]))
			if strings.Contains(answer, "LIMIT_REACHED") {
				t.Errorf("%s asks for too much to be answered: %.300s", name, answer)
			}
			scan(name, answer)
			// By count: as many as are shown, where all fit on a page.
			if f.Arguments.ForName("first") != nil && a.schema.Types[f.Type.Name()].Fields.ForName("totalCount") != nil {
				vars := p.fill(a, name, p.things[mine])
				vars["first"] = 100
				full := p.answered(who, query, vars)
				var out struct {
					Data map[string]*struct {
						TotalCount *int
						Nodes      []json.RawMessage
					}
				}
				_, body, _ := strings.Cut(full, "{")
				if json.Unmarshal([]byte("{"+body), &out) == nil && out.Data[f.Name] != nil && out.Data[f.Name].TotalCount != nil {
					if l := out.Data[f.Name]; *l.TotalCount != len(l.Nodes) && len(l.Nodes) < 100 {
						t.Errorf("%s: %s counts %d and shows %d", o.name, name, *l.TotalCount, len(l.Nodes))
					}
				}
			}
			// By id and by filter: what others have is asked for, and is like what never was.
			for _, path := range a.ids(f) {
				k, ok := kindOf(name, path)
				if !ok {
					continue
				}
				for _, r := range []relation{near, far} {
					x := p.things[r][k]
					if x == "" || hidden[x] == "" {
						continue
					}
					ask := func(x string) string {
						vars := p.fill(a, name, p.things[mine])
						a.put(f, vars, path, x)
						return p.answered(who, query, vars)
					}
					theirs, never := ask(x), ask(id.New(k).String())
					scan(name, theirs, x)
					if strings.HasPrefix(name, "Query.") && anyID.ReplaceAllString(theirs, "ID") != anyID.ReplaceAllString(never, "ID") && !named[k] {
						t.Errorf("%s: %s.%s of a %s is answered\n%s\nof one that never was\n%s", o.name, name, strings.Join(path, "."), hidden[x], theirs, never)
					}
				}
			}
		}
		// By event, in a replay of everything.
		for _, x := range p.replay(who, p.start) {
			scan("Subscription.events", x)
		}
		for name, answers := range p.pushed(who, o) {
			for _, x := range answers {
				scan(name, x)
			}
		}
		if strings.HasPrefix(o.name, "everything") || strings.HasPrefix(o.name, "WHOLE_CUSTOMER_BASE") {
			for kind, file := range p.files(who, o) {
				scan("export of "+kind, file)
			}
		}
	}
}

// excerpt is where something stands.
func excerpt(text, x string) string {
	i := strings.Index(text, x)
	return text[max(0, i-160):min(len(text), i+len(x)+60)]
}

// replay is every event after a cursor up to now, with everything that the contract
// lets it lead to; one type after another, for a document has its limit.
func (p *plot) replay(who *demo.Client, after string) (answers []string) {
	p.t.Helper()
	a := asking{schema: graph.Schema(), edges: true}
	end := p.fence()
	for _, x := range a.schema.GetPossibleTypes(a.schema.Types["Event"]) {
		fields := ""
		for _, f := range x.Fields {
			if t := a.schema.Types[f.Type.Name()]; len(f.Arguments) == 0 && t.Kind == "OBJECT" && f.Name != "actor" {
				fields += " " + f.Name + " " + a.selection(f.Type.Name(), 1)
			}
		}
		if fields == "" {
			continue
		}
		kind := kindOfEvent(x.Name)
		if a.schema.Types["EventType"].EnumValues.ForName(kind) == nil {
			p.t.Errorf("which EventType is a %s? Say it in kindOfEvent", x.Name)
			continue
		}
		f := p.watch(who, `subscription($after: Cursor, $types: [EventType!]) { events(after: $after, types: $types) { __typename id seq ... on `+x.Name+` {`+fields+` } } }`,
			demo.Vars{"after": after, "types": []string{kind, "USER_UPDATED"}})
		for {
			var raw json.RawMessage
			var e struct {
				Events struct {
					Typename string `json:"__typename"`
					ID       string
				}
			}
			f.next(&raw)
			p.Must(json.Unmarshal(raw, &e))
			if e.Events.Typename == x.Name {
				answers = append(answers, string(raw))
			}
			if e.Events.ID == end {
				break
			}
		}
		f.Stop()
	}
	return answers
}

// pushed is what the subscriptions tell of everything that happened, to an onlooker who
// sees a call and a text of their own that come last.
func (p *plot) pushed(who *demo.Client, o onlooker) map[string][]string {
	p.t.Helper()
	out := map[string][]string{}
	sees := func(permissions ...string) bool {
		return !slices.ContainsFunc(permissions, func(x string) bool { return !slices.Contains(o.effective(), x) })
	}
	last := p.dial(plotNumbers[mine], "+12025550112")
	p.hangUp(last)
	word := fmt.Sprintf("The last of %d", len(p.roles)+p.fences)
	p.text(plotNumbers[mine], "+12025550112", word)
	p.settled()
	a := asking{schema: graph.Schema()}
	for name, x := range map[string]struct{ query, until string }{
		"Subscription.liveCalls":       {`liveCalls(after: $after) { ... on LiveCallChanged { call ` + a.selection("Call", 1) + ` } }`, p.call(last).ID},
		"Subscription.smsInboxChanged": {`smsInboxChanged(after: $after) ` + a.selection("SmsInboxChange", 2), word},
	} {
		if !sees("CALL_VIEW", "LIVE_VIEW", "SMS_VIEW") {
			continue
		}
		f := p.watch(who, `subscription($after: Cursor) { `+x.query+` }`, demo.Vars{"after": p.start})
		for {
			var raw json.RawMessage
			f.next(&raw)
			if strings.Contains(string(raw), x.until) {
				break
			}
			out[name] = append(out[name], string(raw))
		}
		f.Stop()
	}
	return out
}

// files are the exports that an onlooker may make, of everything.
func (p *plot) files(who *demo.Client, o onlooker) map[string]string {
	p.t.Helper()
	out := map[string]string{}
	for _, k := range graph.Schema().Types["ExportKind"].EnumValues {
		if k.Name == "RECORDING_AUDIO" || k.Name == "AUDIT" { // of which the story of exports looks into the archive; who may read the log reads all of it
			continue
		}
		if e, code := p.export(who, demo.Vars{"kind": k.Name}); code == "" {
			_, body, _ := p.download(*p.exported(who, e.ID, "DONE").URL)
			out[k.Name] = string(body)
		} else if code != "FORBIDDEN" {
			p.t.Errorf("%s: an export of %s is refused: %s", o.name, k.Name, code)
		}
	}
	if slices.Contains(o.effective(), "REPORT_EXPORT") && len(out) == 0 {
		p.t.Errorf("%s may export, and there is nothing to export", o.name)
	}
	return out
}

// kindOfEvent is the EventType of a type of event.
func kindOfEvent(name string) string {
	switch name {
	case "CallNoticed":
		return "CALL_NOTICE"
	case "RecordEventAdded":
		return "RECORD_EVENT"
	}
	return strings.ToUpper(regexp.MustCompile(`(.)([A-Z])`).ReplaceAllString(name, "${1}_${2}"))
}

// Every root field, for somebody who may do and see everything but contact details:
// no number, e-mail or place of any customer occurs in any byte of any answer.
func TestNoAnswerShowsHiddenContactDetails(t *testing.T) { // R241
	p := newPlot(t)
	a := asking{schema: graph.Schema(), edges: true}
	all := roots(a.schema)
	o := onlooker{name: "in the field", visibility: "ORGANIZATION", permissions: everyPermission(), fieldworker: true, options: []string{"DISPLAY_CONTACT_DETAILS"}}
	shown := 0
	secrets := func(text string) (found string) {
		for _, n := range plotNumbers {
			if tainted(text, n) {
				return n
			}
		}
		for _, x := range []string{secretMail, secretPlace} {
			if strings.Contains(text, x) {
				return x
			}
		}
		return ""
	}
	ask := func(name string, r relation) string {
		return p.answered(p.fay.Client, a.operation(name, all[name]), p.fill(a, name, p.things[r]))
	}
	queries := slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(x string) bool { return !strings.HasPrefix(x, "Query.") })
	// With the details shown the same questions find them: the scan is not blind.
	open := o
	open.options = nil
	p.become(open)
	for _, name := range queries {
		if secrets(ask(name, mine)) != "" {
			shown++
		}
	}
	if shown < 10 {
		t.Errorf("only %d questions show a customer's number to somebody who may see it", shown)
	}
	p.become(o)
	for _, name := range queries {
		for _, r := range []relation{mine, near, far} {
			if answer := ask(name, r); secrets(answer) != "" {
				x := secrets(answer)
				t.Errorf("%s (%s) shows %s: %s", name, r, x, aroundNumber(answer, x))
			}
		}
	}
	for kind, file := range p.files(p.fay.Client, o) {
		if n := secrets(file); n != "" {
			t.Errorf("an export of %s shows %s: %s", kind, n, aroundNumber(file, n))
		}
	}
	for _, x := range p.replay(p.fay.Client, p.start) {
		if n := secrets(x); n != "" {
			t.Errorf("an event shows %s: %s", n, aroundNumber(x, n))
		}
	}
	// What commands answer, those last that end something.
	list := trials(t)
	slices.SortStableFunc(list, func(x, y trial) int { return endsSomething(x) - endsSomething(y) })
	for _, x := range list {
		if !strings.HasPrefix(x.field, "Mutation.") || strings.HasPrefix(x.field, "Mutation.session") || strings.HasPrefix(x.field, "Mutation.user") || strings.HasPrefix(x.field, "Mutation.role") {
			continue
		}
		for _, r := range []relation{mine, near} {
			if p.things[r][x.kind] == "" {
				continue
			}
			p.ids = maps.Clone(p.things[far])
			maps.Copy(p.ids, p.things[r])
			if answer := p.answered(p.fay.Client, x.query, x.build(p.owned, p.things[r][x.kind])); secrets(answer) != "" {
				n := secrets(answer)
				t.Errorf("%s answers %s: %s", x, n, aroundNumber(answer, n))
			}
		}
	}
}

func endsSomething(x trial) int {
	for i, word := range []string{"callDecline", "Disable", "Remove", "Delete", "Merge", "Revoke", "Disconnect"} {
		if strings.HasSuffix(x.field, word) || strings.Contains(x.field, "sDelete") {
			return i + 1
		}
	}
	return 0
}

// aroundNumber is where one of the spellings of a number, or a word, stands.
func aroundNumber(text, x string) string {
	if strings.HasPrefix(x, "+") {
		for _, m := range marks(x) {
			if strings.Contains(text, m) {
				return excerpt(text, m)
			}
		}
	}
	return excerpt(text, x)
}
