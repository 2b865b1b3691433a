package number

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
	"switchboard/internal/route"
)

const (
	maxMenus    = 200 // of an organization
	maxMenuName = 100
	maxInvalid  = 500 // characters after a wrong key
	maxBuilt    = 100 // menus of one tree that is checked: more than routing allows
)

// MenuChange is what is given of a menu: absent keeps, null clears or gives back
// what is usual.
type MenuChange struct {
	Name           patch.Field[string]
	PromptText     patch.Field[string]
	PromptAudioID  patch.Field[id.ID]
	InvalidText    patch.Field[string]
	TimeoutSeconds patch.Field[int]
	Repeats        patch.Field[int]
	Options        patch.Field[[]OptionInput]
	Otherwise      patch.Field[DestinationInput]
}

// OptionInput is one key as a person gives it.
type OptionInput struct {
	Key   string
	Label string
	To    DestinationInput
}

// DestinationInput is where a key leads, as a person gives it.
type DestinationInput struct {
	Kind                             route.DestinationKind
	TeamID, BranchID, UserID, MenuID id.ID
	Number                           string // as typed
}

const selectMenu = `SELECT m.organization_id, m.id, m.name, m.prompt_text, m.prompt_audio_id, m.invalid_text, m.timeout_seconds, m.repeats,
	m.options, m.otherwise, m.version, m.created_at, m.updated_at FROM menu m`

var errNoMenu = errs.New(errs.NotFound, "there is no such menu, or you may not see it")

// CreateMenu adds a menu (R048). Codes: errs.Forbidden, errs.Required,
// errs.Invalid, errs.Taken, errs.LimitReached, errs.NotFound for what a key leads to.
func (s *Service) CreateMenu(ctx context.Context, who access.Actor, in MenuChange) (*Menu, error) {
	m := &Menu{OrganizationID: who.OrganizationID, ID: id.New(id.Menu), TimeoutSeconds: 5, Repeats: 2, Options: []MenuOption{}, Otherwise: MenuDestination{Kind: route.ToNumberRoute}}
	err := s.saveMenu(ctx, who, "menu.create", in, func(menus map[id.ID]*Menu) (*Menu, error) {
		if len(menus) >= maxMenus {
			return nil, errs.New(errs.LimitReached, "there are %d menus, which is the most; delete one first", len(menus))
		}
		if !in.Name.Set {
			in.Name = patch.Clear[string]()
		}
		return m, nil
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// UpdateMenu changes a menu; calls under way keep the old one. Codes: those of
// CreateMenu, errs.NotFound.
func (s *Service) UpdateMenu(ctx context.Context, who access.Actor, menu id.ID, in MenuChange) (m *Menu, err error) {
	err = s.saveMenu(ctx, who, "menu.update", in, func(menus map[id.ID]*Menu) (*Menu, error) {
		if m = menus[menu]; m == nil {
			return nil, errNoMenu
		}
		return m, nil
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// saveMenu changes the menu that pick gives. All menus of the organization are
// locked: whether menus lead in a circle is a question about all of them.
func (s *Service) saveMenu(ctx context.Context, who access.Actor, action string, in MenuChange, pick func(map[id.ID]*Menu) (*Menu, error)) error {
	if err := who.Require(access.NumberManage); err != nil {
		return err
	}
	return s.db.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		var rows []*Menu
		if err := db.Select(ctx, tx, &rows, selectMenu+` WHERE m.organization_id = $1 ORDER BY m.id FOR NO KEY UPDATE`, who.OrganizationID); err != nil {
			return err
		}
		menus := byID(rows, func(m *Menu) id.ID { return m.ID })
		m, err := pick(menus)
		if err != nil {
			return err
		}
		country, err := s.defaultCountry(ctx, tx, who.OrganizationID, id.ID{})
		if err != nil {
			return err
		}
		if err := m.apply(in, country); err != nil {
			return err
		}
		menus[m.ID] = m
		if err := m.destinationsExist(ctx, tx, menus); err != nil {
			return err
		}
		if err := checkMenus(menus, m); err != nil {
			return err
		}
		isNew := m.Version == 0
		m.Version, m.UpdatedAt = m.Version+1, tx.Now
		if isNew {
			m.CreatedAt = tx.Now
			_, err = tx.NewInsert().Model(m).Exec(ctx)
		} else {
			_, err = tx.NewUpdate().Model(m).ExcludeColumn("created_at").WherePK().Exec(ctx)
		}
		if err != nil {
			return err
		}
		if err := numbersChanged(ctx, tx, who, `menu_id = ANY ($2::uuid[])`, leadingTo(menus, m.ID)); err != nil {
			return err
		}
		return told(ctx, tx, who, "", action, m.ID, map[string]any{"keys": len(m.Options)})
	})
}

// DeleteMenu deletes a menu that no connected number and no menu uses. Codes:
// errs.Forbidden, errs.NotFound, errs.Conflict naming who uses it.
func (s *Service) DeleteMenu(ctx context.Context, who access.Actor, menu id.ID) error {
	if err := who.Require(access.NumberManage); err != nil {
		return err
	}
	return s.db.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		if _, err := menuByID(ctx, tx, who.OrganizationID, menu, " FOR UPDATE"); err != nil {
			return err
		}
		if err := releaseNumbers(ctx, tx, who.OrganizationID, "menu_id", menu, "menu"); err != nil {
			return err
		}
		if err := noMenuLeadsTo(ctx, tx, who.OrganizationID, "menu", menu); err != nil {
			return err
		}
		if _, err := db.Exec(ctx, tx, `DELETE FROM menu WHERE organization_id = $1 AND id = $2`, who.OrganizationID, menu); err != nil {
			return err
		}
		return told(ctx, tx, who, "", "menu.delete", menu, nil)
	})
}

// apply makes a change; it does no I/O.
func (m *Menu) apply(in MenuChange, country string) (err error) {
	if in.Name.Set {
		if m.Name, err = checkText(in.Name.Value, maxMenuName, "name"); err != nil {
			return err
		}
	}
	if err := changeText(in.PromptText, &m.PromptText, maxSpoken, "promptText"); err != nil {
		return err
	}
	if err := changeID(in.PromptAudioID, &m.PromptAudioID, AudioID, "promptAudioId"); err != nil {
		return err
	}
	if err := changeText(in.InvalidText, &m.InvalidText, maxInvalid, "invalidText"); err != nil {
		return err
	}
	if err := need(in.TimeoutSeconds, &m.TimeoutSeconds, "timeoutSeconds"); err != nil {
		return err
	}
	if err := need(in.Repeats, &m.Repeats, "repeats"); err != nil {
		return err
	}
	if in.Options.Set {
		if len(in.Options.Value) > len(route.MenuKeys) {
			return errs.New(errs.LimitReached, "a telephone has %d keys", len(route.MenuKeys)).At("options")
		}
		m.Options = make([]MenuOption, len(in.Options.Value))
		for i, o := range in.Options.Value {
			n := strconv.Itoa(i)
			x := MenuOption{Key: o.Key}
			if strings.TrimSpace(o.Label) != "" {
				if x.Label, err = checkText(o.Label, maxMenuName, "options", n, "label"); err != nil {
					return err
				}
			}
			if x.To, err = destination(o.To, country, "options", n, "to"); err != nil {
				return err
			}
			m.Options[i] = x
		}
	}
	if in.Otherwise.Null {
		m.Otherwise = MenuDestination{Kind: route.ToNumberRoute}
	} else if in.Otherwise.Set {
		m.Otherwise, err = destination(in.Otherwise.Value, country, "otherwise")
	}
	return err
}

// places are the fields of a destination that name a place, with what each holds.
var places = map[route.DestinationKind]struct {
	field string
	kind  id.Kind
}{route.ToTeam: {"teamId", id.Team}, route.ToBranch: {"branchId", id.Branch}, route.ToUser: {"userId", id.User}, route.ToMenu: {"menuId", id.Menu}}

// destination reads where a key leads: the one place that its kind has, no other.
func destination(in DestinationInput, country string, path ...string) (MenuDestination, error) {
	field := func(name string) []string { return append(slices.Clone(path), name) }
	out := MenuDestination{Kind: in.Kind, TeamID: in.TeamID, BranchID: in.BranchID, UserID: in.UserID, MenuID: in.MenuID}
	for _, kind := range []route.DestinationKind{route.ToTeam, route.ToBranch, route.ToUser, route.ToMenu} {
		p, x := places[kind], out.place(kind)
		switch {
		case kind == in.Kind && x.IsZero():
			return out, errs.New(errs.Required, "say where the key leads: give the %s", p.field).At(field(p.field)...)
		case kind == in.Kind:
			if err := x.Want(p.kind); err != nil {
				return out, errs.New(errs.Invalid, "%s", err).At(field(p.field)...)
			}
		case !x.IsZero():
			return out, errs.New(errs.Invalid, "%s goes with the kind %s only; this key leads to %s", p.field, kind, in.Kind).At(field(p.field)...)
		}
	}
	switch {
	case in.Kind != route.ToForward && in.Number != "":
		return out, errs.New(errs.Invalid, "number goes with the kind %s only; this key leads to %s", route.ToForward, in.Kind).At(field("number")...)
	case in.Kind != route.ToForward:
		return out, nil
	}
	e, err := outsideNumber(in.Number, country, field("number")...)
	out.Number = &e
	return out, err
}

func (d MenuDestination) place(kind route.DestinationKind) id.ID {
	switch kind {
	case route.ToTeam:
		return d.TeamID
	case route.ToBranch:
		return d.BranchID
	case route.ToUser:
		return d.UserID
	case route.ToMenu:
		return d.MenuID
	}
	return id.ID{}
}

// destinationsExist looks for what the keys lead to, and keeps it from being
// deleted until the menu is written.
func (m *Menu) destinationsExist(ctx context.Context, tx *db.Tx, menus map[id.ID]*Menu) error {
	type one struct {
		to   id.ID
		path []string
	}
	wanted := map[route.DestinationKind][]one{}
	add := func(d MenuDestination, path ...string) {
		if p, ok := places[d.Kind]; ok {
			wanted[d.Kind] = append(wanted[d.Kind], one{d.place(d.Kind), append(path, p.field)})
		}
	}
	for i, o := range m.Options {
		add(o.To, "options", strconv.Itoa(i), "to")
	}
	add(m.Otherwise, "otherwise")
	for _, x := range []struct {
		kind        route.DestinationKind
		query, what string
	}{
		{route.ToTeam, `SELECT id FROM team WHERE organization_id = $1 AND id = ANY ($2::uuid[]) FOR KEY SHARE`, "there is no such team"},
		{route.ToBranch, `SELECT id FROM branch WHERE organization_id = $1 AND id = ANY ($2::uuid[]) FOR KEY SHARE`, "there is no such branch"},
		{route.ToUser, `SELECT id FROM "user" WHERE organization_id = $1 AND id = ANY ($2::uuid[]) FOR KEY SHARE`, "there is no such user; choose one of your organization"},
	} {
		if len(wanted[x.kind]) == 0 {
			continue
		}
		ids := make([]id.ID, len(wanted[x.kind]))
		for i, w := range wanted[x.kind] {
			ids[i] = w.to
		}
		var found []struct {
			ID id.ID `bun:"id"`
		}
		if err := db.Select(ctx, tx, &found, x.query, m.OrganizationID, ids); err != nil {
			return err
		}
		there := map[id.ID]bool{}
		for _, f := range found {
			there[f.ID] = true
		}
		for _, w := range wanted[x.kind] {
			if !there[w.to] {
				return errs.New(errs.NotFound, "%s", x.what).At(w.path...)
			}
		}
	}
	for _, w := range wanted[route.ToMenu] {
		if menus[w.to] == nil {
			return errs.New(errs.NotFound, "there is no such menu").At(w.path...)
		}
	}
	return nil
}

// checkMenus refuses a menu that routing could not follow, and one that makes a
// menu above it so: too deep, too many, or in a circle.
func checkMenus(menus map[id.ID]*Menu, m *Menu) error {
	if err := menuTree(menus, m.ID).Check(); err != nil {
		return inContract(err, m)
	}
	for _, x := range leadingTo(menus, m.ID)[1:] {
		if err := menuTree(menus, x).Check(); err != nil {
			e, _ := errs.As(err)
			return errs.New(errs.Invalid, "the menu %q leads to this one, and would not work any more: %s", menus[x].Name, e.Message).At("options")
		}
	}
	return nil
}

// inContract puts an error of routing's check at the field of the contract.
func inContract(err error, m *Menu) error {
	e, ok := errs.As(err)
	if !ok || len(e.Field) == 0 {
		return err
	}
	path := slices.Clone(e.Field)
	if i := slices.Index(path, "menu"); i >= 0 { // below a key
		path = append(path[:i], "menuId")
	}
	last := &path[len(path)-1]
	switch *last {
	case "say":
		*last = "promptText"
	case "invalid":
		*last = "invalidText"
	case "timeout":
		*last = "timeoutSeconds"
	case "id":
		*last = "options"
	}
	return at(err, path...)
}

// menuTree is a menu with its submenus as routing reads them. A circle, or a tree
// far too large, is cut where Check sees it.
func menuTree(menus map[id.ID]*Menu, root id.ID) *route.Menu {
	built, above := 0, []id.ID{}
	var build func(x id.ID) *route.Menu
	build = func(x id.ID) *route.Menu {
		m := menus[x]
		if m == nil {
			return nil
		}
		out := &route.Menu{ID: m.ID, Name: m.Name, TimeoutSeconds: m.TimeoutSeconds, Repeats: m.Repeats}
		if built++; built > maxBuilt || slices.Contains(above, x) {
			return out
		}
		above = append(above, x)
		defer func() { above = above[:len(above)-1] }()
		if m.PromptText != nil {
			out.Say = *m.PromptText
		}
		if m.InvalidText != nil {
			out.InvalidSay = *m.InvalidText
		}
		if !m.PromptAudioID.IsZero() {
			out.Audio = m.PromptAudioID.String()
		}
		to := func(d MenuDestination) route.Destination {
			t := route.Destination{Kind: d.Kind, ID: d.place(d.Kind)}
			if d.Number != nil {
				t.Number = string(*d.Number)
			}
			if d.Kind == route.ToMenu {
				t.ID, t.Menu = id.ID{}, build(d.MenuID)
			}
			return t
		}
		for _, o := range m.Options {
			out.Options = append(out.Options, route.Option{Key: o.Key, Label: o.Label, To: to(o.To)})
		}
		out.Otherwise = to(m.Otherwise)
		return out
	}
	return build(root)
}

// leadingTo are a menu and all those whose keys lead to it, however far.
func leadingTo(menus map[id.ID]*Menu, x id.ID) []id.ID {
	out := []id.ID{x}
	for i := 0; i < len(out); i++ {
		for _, m := range menus {
			leads := m.Otherwise.MenuID == out[i] || slices.ContainsFunc(m.Options, func(o MenuOption) bool { return o.To.MenuID == out[i] })
			if leads && !slices.Contains(out, m.ID) {
				out = append(out, m.ID)
			}
		}
	}
	return out
}

// noMenuLeadsTo refuses to delete what a key of a menu leads to. The field is the
// place in a stored destination.
func noMenuLeadsTo(ctx context.Context, tx *db.Tx, org id.ID, field string, x id.ID) error {
	var m struct {
		Name string `bun:"name"`
	}
	err := db.Select(ctx, tx, &m, `SELECT m.name FROM menu m WHERE m.organization_id = $1 AND (m.otherwise ->> $2 = $3
		OR EXISTS (SELECT FROM jsonb_array_elements(m.options) o WHERE o -> 'to' ->> $2 = $3)) ORDER BY m.name LIMIT 1`, org, field, x.String())
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return errs.New(errs.Conflict, "a key of the menu %s leads here; change that menu first", m.Name)
}

func menuByID(ctx context.Context, q bun.IDB, org, menu id.ID, suffix string) (*Menu, error) {
	m := &Menu{}
	err := db.Select(ctx, q, m, selectMenu+` WHERE m.organization_id = $1 AND m.id = $2`+suffix, org, menu)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoMenu
	}
	return m, err
}

// Menu is one menu, else errs.NotFound.
func (s *Service) Menu(ctx context.Context, who access.Actor, menu id.ID) (*Menu, error) {
	if !who.Can(access.NumberManage) {
		return nil, errNoMenu
	}
	return menuByID(db.WithTenant(ctx, who.OrganizationID), s.db.App(), who.OrganizationID, menu, "")
}

// Menus is a page of the organization's menus, newest first. Code: errs.Forbidden.
func (s *Service) Menus(ctx context.Context, who access.Actor, p db.Page) (w db.Window[*Menu], err error) {
	if err := who.Require(access.NumberManage); err != nil {
		return w, err
	}
	return pageOf(ctx, s, who, p, selectMenu+` WHERE m.organization_id = $1 AND m.id < $2 ORDER BY m.id DESC LIMIT $3`,
		func(m *Menu) db.Keyset { return db.Keyset{At: m.CreatedAt, ID: m.ID} })
}

// MenusByIDs are menus of the context's tenant by id, in one statement.
func (s *Service) MenusByIDs(ctx context.Context, ids []id.ID) (map[id.ID]*Menu, error) {
	var rows []*Menu
	err := db.Select(ctx, s.db.App(), &rows, selectMenu+` WHERE m.organization_id = $1 AND m.id = ANY ($2::uuid[])`, db.TenantFrom(ctx), ids)
	return byID(rows, func(m *Menu) id.ID { return m.ID }), err
}

// outsideNumber reads an external number, as typed, that calls are sent to. What
// costs extra to call is refused: a caller would run up the bill.
func outsideNumber(s, country string, field ...string) (phone.E164, error) {
	if phone.Emergency(s, country) {
		return "", errs.New(errs.Unsupported, "calls cannot be sent to an emergency number; enter an ordinary one").At(field...)
	}
	e, err := phone.Parse(s, country)
	if err != nil {
		return "", at(err, field...)
	}
	switch phone.KindOf(e) {
	case phone.Premium, phone.SharedCost, phone.Satellite, phone.Pager:
		return "", errs.New(errs.Invalid, "%s costs extra to call, and every caller would make it ring; enter an ordinary number", phone.Mask(e)).At(field...)
	}
	return e, nil
}
