package route

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// Limits of a menu (R048).
const (
	MaxMenuDepth   = 5  // menus inside one another
	MaxMenuVisits  = 20 // prompts that one call hears over all menus
	maxMenus       = 50 // of one tree
	maxMenuName    = 100
	maxMenuText    = 3_000 // characters; <Say> takes 4,096 bytes of most voices
	maxOptionLabel = 100
	maxMenuRepeats = 5
	maxMenuWait    = 60 // seconds
)

// MenuKeys are the keys that an option can have.
const MenuKeys = "0123456789*#"

// Check returns an errs.Invalid, at the path of the field, that says what is
// wrong with a menu or one of its submenus.
func (m *Menu) Check() error {
	c := &menuCheck{}
	return c.menu(m, nil)
}

type menuCheck struct {
	above []id.ID // the menus around this one
	count int
}

func refuse(path []string, field string, format string, args ...any) error {
	return errs.New(errs.Invalid, format, args...).At(append(slices.Clip(path), field)...)
}

func (c *menuCheck) menu(m *Menu, path []string) error {
	if m == nil {
		return errs.New(errs.Invalid, "there is no menu here; choose one").At(path...)
	}
	if !m.ID.IsZero() && slices.Contains(c.above, m.ID) {
		return refuse(path, "id", "the menu %q leads back into itself; use REPEAT, or another menu", clip(m.Name))
	}
	c.above = append(c.above, m.ID)
	defer func() { c.above = c.above[:len(c.above)-1] }()
	if c.count++; c.count > maxMenus {
		return refuse(path, "id", "a menu leads to %d menus at most", maxMenus)
	}
	if len(c.above) > MaxMenuDepth {
		return refuse(path, "id", "menus can be %d deep at most", MaxMenuDepth)
	}
	switch {
	case tooLong(m.Name, maxMenuName):
		return refuse(path, "name", "the name of a menu has %d characters at most", maxMenuName)
	case m.Say == "" && m.Audio == "":
		return refuse(path, "say", "a menu needs a prompt that names its keys: a text or an audio file")
	case tooLong(m.Say, maxMenuText):
		return refuse(path, "say", "the prompt of a menu has %d characters at most", maxMenuText)
	case tooLong(m.InvalidSay, maxMenuText):
		return refuse(path, "invalid", "what is said after a wrong key has %d characters at most", maxMenuText)
	case m.TimeoutSeconds < 1 || m.TimeoutSeconds > maxMenuWait:
		return refuse(path, "timeout", "a menu waits from 1 to %d seconds for a key", maxMenuWait)
	case m.Repeats < 0 || m.Repeats > maxMenuRepeats:
		return refuse(path, "repeats", "a menu asks again from 0 to %d times", maxMenuRepeats)
	case len(m.Options) == 0:
		return refuse(path, "options", "a menu needs at least one key")
	case len(m.Options) > len(MenuKeys):
		return refuse(path, "options", "a telephone has %d keys", len(MenuKeys))
	}
	seen := map[string]bool{}
	for i, o := range m.Options {
		at := append(slices.Clip(path), "options", strconv.Itoa(i))
		switch {
		case !isKey(o.Key):
			return refuse(at, "key", "%q is no key; a key is one of %s", clip(o.Key), MenuKeys)
		case seen[o.Key]:
			return refuse(at, "key", "the key %s is given twice", o.Key)
		case tooLong(o.Label, maxOptionLabel):
			return refuse(at, "label", "the label of a key has %d characters at most", maxOptionLabel)
		}
		seen[o.Key] = true
		if err := c.destination(o.To, append(at, "to")); err != nil {
			return err
		}
	}
	if m.Otherwise.Kind == ToRepeat {
		return refuse(append(slices.Clip(path), "otherwise"), "kind", "when no key came the menu was repeated already; lead the caller somewhere else")
	}
	return c.destination(m.Otherwise, append(slices.Clip(path), "otherwise"))
}

func (c *menuCheck) destination(d Destination, path []string) error {
	switch d.Kind {
	case ToNumberRoute, ToVoicemail, ToRepeat, ToHangUp:
		return nil
	case ToTeam, ToBranch, ToUser:
		want := map[DestinationKind]id.Kind{ToTeam: id.Team, ToBranch: id.Branch, ToUser: id.User}[d.Kind]
		if d.ID.IsZero() || d.ID.Kind() != want {
			return refuse(path, "id", "a key that leads to a %s names it by its id", want)
		}
		return nil
	case ToForward:
		if _, ok := phone.FromWire(d.Number); !ok {
			return refuse(path, "number", "a key that forwards needs a phone number such as +61255501234")
		}
		return nil
	case ToMenu:
		return c.menu(d.Menu, append(slices.Clip(path), "menu"))
	}
	return refuse(path, "kind", "a key cannot lead to %q", clip(string(d.Kind)))
}

func tooLong(s string, most int) bool {
	return !utf8.ValidString(s) || utf8.RuneCountInString(s) > most
}

func isKey(k string) bool {
	return len(k) == 1 && (k[0] >= '0' && k[0] <= '9' || k[0] == '*' || k[0] == '#')
}

// Next is what follows a menu.
type Next struct {
	Steps []Step
	Trace []Trace
	First id.ID // who is rung first, where people take turns (ROUND_ROBIN)
	Layer *int  // where the key led to the number's own route and that is LAYERED
}

// AfterMenu says what follows a MENU step when a key came, or "" for none. Steps
// and trace are never empty, and the steps end with voicemail, the farewell or a
// MENU step, so that every call ends (D05). A step without a menu goes on as the
// number routes.
func (s Snapshot) AfterMenu(step Step, key string) Next {
	x := newDecider(s)
	x.menuKey(step, key)
	d := x.done()
	return Next{Steps: d.Steps, Trace: d.Trace, First: d.First, Layer: d.Layer}
}

func (x *decider) menuKey(step Step, key string) {
	m := step.Menu
	if m == nil {
		x.note("MENU", Skipped, id.ID{}, "the menu is gone; the number's own route is taken")
		x.route(x.match())
		return
	}
	if i := slices.IndexFunc(m.Options, func(o Option) bool { return o.Key == key }); i >= 0 {
		o := m.Options[i]
		x.note("MENU_KEY", Chosen, id.ID{}, "the caller pressed ", key, named(o.Label), " in ", m.title())
		x.lead(step, o.To)
		return
	}
	again := Step{Kind: MenuStep, Menu: m, Visit: max(step.Visit, 1), Tries: step.Tries + 1}
	if key == "" {
		x.note("MENU_KEY", Skipped, id.ID{}, "no key was pressed in ", m.title())
	} else {
		again.Say = m.InvalidSay
		x.note("MENU_KEY", Skipped, id.ID{}, "the key pressed leads nowhere in ", m.title())
	}
	if again.Tries <= m.Repeats {
		x.ask(again)
		return
	}
	x.note("MENU_OTHERWISE", Chosen, id.ID{}, m.title(), " was heard ", count(again.Tries, "time"), " without a key that leads anywhere")
	if m.Otherwise.Kind == ToRepeat { // nothing stored says so; a caller must not hear it for ever
		x.fallback()
		return
	}
	x.lead(step, m.Otherwise)
}

// ask lets the caller hear a menu, unless this call has heard enough of them.
func (x *decider) ask(step Step) {
	if step.Visit++; step.Visit > MaxMenuVisits {
		x.note("MENU_LIMIT", Chosen, id.ID{}, "the caller has heard ", strconv.Itoa(MaxMenuVisits), " prompts; nobody is asked more often")
		x.fallback()
		return
	}
	if step.Tries == 0 {
		x.note("MENU", Chosen, id.ID{}, step.Menu.title(), " asks for a key")
	} else {
		x.note("MENU", Chosen, id.ID{}, step.Menu.title(), " asks again")
	}
	x.step(step)
}

// lead goes where a key leads.
func (x *decider) lead(from Step, to Destination) {
	switch to.Kind {
	case ToNumberRoute:
		x.route(x.match())
		return
	case ToTeam, ToBranch:
		x.ringGroup(to)
	case ToUser:
		x.ringUser(to.ID)
	case ToForward:
		x.forward("MENU_FORWARD", []string{to.Number})
		x.end()
		return
	case ToVoicemail:
		x.end()
		return
	case ToMenu:
		if to.Menu != nil {
			x.ask(Step{Kind: MenuStep, Menu: to.Menu, Visit: max(from.Visit, 1)})
			return
		}
		x.note("MENU", Skipped, id.ID{}, "the submenu is gone")
	case ToRepeat:
		x.ask(Step{Kind: MenuStep, Menu: from.Menu, Visit: max(from.Visit, 1), Tries: from.Tries})
		return
	case ToHangUp:
		x.note("MENU_HANG_UP", Chosen, id.ID{}, "the call ends with the farewell")
		x.step(Step{Kind: Farewell})
		return
	default:
		x.note("MENU", Skipped, id.ID{}, "the key leads nowhere that is known")
	}
	x.fallback()
}

func (m *Menu) title() string {
	if m.Name == "" {
		return "the menu"
	}
	return "the menu " + m.Name
}

func named(label string) string {
	if label == "" {
		return ""
	}
	return " (" + label + ")"
}

// ringGroup rings a team or branch that a key leads to, by the number's strategy.
// A branch keeps the rules of branches (R028, R029), and whoever switched this
// number's calls off is not rung by a team either (R026).
func (x *decider) ringGroup(to Destination) {
	g, ok := x.s.Groups[to.ID]
	rule, what := "TEAM", "the team "
	if to.Kind == ToBranch {
		rule, what = "BRANCH_GROUP", "the branch "
	}
	if !ok {
		x.note(rule, Skipped, id.ID{}, what, "that the key leads to is gone")
		return
	}
	byID := make(map[id.ID]*Person, len(x.s.People))
	for i := range x.s.People {
		byID[x.s.People[i].ID] = &x.s.People[i]
	}
	var people []*Person
	for _, u := range g.Users {
		if p := byID[u]; p != nil {
			people = append(people, p)
		}
	}
	if len(people) == 0 {
		x.note(rule, Skipped, id.ID{}, "nobody belongs to ", what, g.Name)
		return
	}
	x.note(rule, Chosen, id.ID{}, what, g.Name, " rings")
	if to.Kind == ToBranch {
		sortByName(people)
		if people = x.branchRules(people); len(people) == 0 {
			return
		}
	} else {
		people = x.receiving(people)
	}
	x.ring(people, nil)
}

// ringUser rings one person whom a key leads to.
func (x *decider) ringUser(user id.ID) {
	p := x.person(user)
	if p == nil {
		x.note("MENU_USER", Skipped, user, "the user that the key leads to does not exist")
		return
	}
	if x.d.Mode == Branch {
		x.branchPhones = true
	}
	x.ring([]*Person{p}, nil)
}
