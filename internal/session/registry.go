package session

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/id"
)

const pollEvery = 2 * time.Second

// Registry is the sessions and API keys that have live sockets here. It ends
// them when what they were opened with holds no more: at once for what this
// process ends, and by a look every two seconds for what others end.
type Registry struct {
	d    *db.DB
	poke chan struct{}

	mu   sync.Mutex // guards the rest
	live map[id.ID]map[*Watch]struct{}
	stop func() // ends the loop and waits for it; nil before Start
}

func newRegistry(d *db.DB) *Registry {
	return &Registry{d: d, poke: make(chan struct{}, 1), live: map[id.ID]map[*Watch]struct{}{}}
}

// Watch is one live socket's hold on what it was opened with.
type Watch struct {
	r     *Registry
	actor access.Actor
	done  chan struct{}
	once  sync.Once
}

// Done is closed when the session or key ended, the user was disabled, or what
// they may do changed: the socket must end and the client sign in again.
func (w *Watch) Done() <-chan struct{} { return w.done }

// Stop forgets the socket. It may be called more than once.
func (w *Watch) Stop() {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	p := principal(w.actor)
	if delete(w.r.live[p], w); len(w.r.live[p]) == 0 {
		delete(w.r.live, p)
	}
}

func (w *Watch) end() { w.once.Do(func() { close(w.done) }) }

// Watch holds a live socket to the actor it was opened by. Stop the Watch when
// the socket ends.
func (r *Registry) Watch(a access.Actor) *Watch {
	w := &Watch{r: r, actor: a, done: make(chan struct{})}
	p := principal(a)
	if p.IsZero() {
		return w // the server itself
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live[p] == nil {
		r.live[p] = map[*Watch]struct{}{}
	}
	r.live[p][w] = struct{}{}
	return w
}

// end closes the sockets of sessions or keys that this process ended.
func (r *Registry) end(principals ...id.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range principals {
		for w := range r.live[p] {
			w.end()
		}
	}
}

// Check has the registry look now rather than within two seconds.
func (r *Registry) Check() {
	select {
	case r.poke <- struct{}{}:
	default: // it is about to look anyway
	}
}

// RoleChanged has it look now; access.Deps takes it.
func (r *Registry) RoleChanged(id.ID) { r.Check() }

// Start looks until Stop.
func (r *Registry) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	r.mu.Lock()
	r.stop = func() { cancel(); <-done }
	r.mu.Unlock()
	go func() {
		defer close(done)
		for {
			tick, release := r.d.Clock().After(pollEvery)
			select {
			case <-ctx.Done():
				release()
				return
			case <-r.poke:
				release()
			case <-tick:
			}
			if err := r.check(ctx); err != nil && ctx.Err() == nil {
				slog.Error("looking for ended sessions", "error", err)
			}
		}
	}()
}

// Stop ends the looking. Sockets are not touched. It may be called twice.
func (r *Registry) Stop() {
	r.mu.Lock()
	stop := r.stop
	r.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// check ends the sockets whose actor is not what it was.
func (r *Registry) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	watched := r.snapshot()
	if len(watched) == 0 {
		return nil
	}
	now, err := r.current(ctx, watched)
	if err != nil {
		return err
	}
	for _, w := range watched {
		if a, ok := now[principal(w.actor)]; !ok || !sameAuthority(a, w.actor) {
			w.end()
		}
	}
	return nil
}

func (r *Registry) snapshot() []*Watch {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*Watch
	for _, set := range r.live {
		out = slices.AppendSeq(out, maps.Keys(set))
	}
	return out
}

func sameAuthority(a, b access.Actor) bool {
	return a.RoleID == b.RoleID && a.Visibility == b.Visibility && a.IsFieldworker == b.IsFieldworker &&
		slices.Equal(a.Switched, b.Switched) && slices.Equal(a.BranchIDs, b.BranchIDs) && maps.Equal(a.Permissions, b.Permissions)
}

// current reads what the watched actors may do now; those who may do nothing
// any more are left out.
func (r *Registry) current(ctx context.Context, watched []*Watch) (map[id.ID]access.Actor, error) {
	var sessionOrgs, sessions, keyOrgs, keys []id.ID
	for _, w := range watched {
		if a := w.actor; a.SessionID.IsZero() {
			keyOrgs, keys = append(keyOrgs, a.OrganizationID), append(keys, a.APIKeyID)
		} else {
			sessionOrgs, sessions = append(sessionOrgs, a.OrganizationID), append(sessions, a.SessionID)
		}
	}
	pool, out := r.d.WorkerPool(), map[id.ID]access.Actor{}
	rows, err := pool.Query(ctx, `SELECT s.organization_id, s.id, u.role_id, u.is_fieldworker, u.fieldworker_switched,
			ARRAY(SELECT m.branch_id FROM branch_user m WHERE m.organization_id = u.organization_id AND m.user_id = u.id ORDER BY m.branch_id)
		FROM unnest($1::uuid[], $2::uuid[]) AS w (organization_id, id)
		JOIN session s ON s.organization_id = w.organization_id AND s.id = w.id
		JOIN "user" u ON u.organization_id = s.organization_id AND u.id = s.user_id
		WHERE s.ended_at IS NULL AND s.expires_at > $3 AND u.status = 'ACTIVE'`, sessionOrgs, sessions, r.d.Clock().Now())
	if err != nil {
		return nil, err
	}
	var a access.Actor
	if _, err := pgx.ForEachRow(rows, []any{&a.OrganizationID, &a.SessionID, &a.RoleID, &a.IsFieldworker, &a.Switched, &a.BranchIDs}, func() error {
		out[a.SessionID] = a
		a.BranchIDs, a.Switched = nil, nil
		return nil
	}); err != nil {
		return nil, err
	}
	rows, err = pool.Query(ctx, `SELECT k.organization_id, k.id, k.role_id FROM unnest($1::uuid[], $2::uuid[]) AS w (organization_id, id)
		JOIN api_key k ON k.organization_id = w.organization_id AND k.id = w.id WHERE k.revoked_at IS NULL`, keyOrgs, keys)
	if err != nil {
		return nil, err
	}
	a = access.Actor{}
	if _, err := pgx.ForEachRow(rows, []any{&a.OrganizationID, &a.APIKeyID, &a.RoleID}, func() error {
		out[a.APIKeyID] = a
		return nil
	}); err != nil {
		return nil, err
	}
	return out, r.addRoles(ctx, out)
}

// addRoles reads each role once, however many people have it.
func (r *Registry) addRoles(ctx context.Context, actors map[id.ID]access.Actor) error {
	roles := map[id.ID]access.Actor{}
	for _, a := range actors {
		roles[a.RoleID] = a
	}
	var orgs, ids []id.ID
	for role, a := range roles {
		orgs, ids = append(orgs, a.OrganizationID), append(ids, role)
	}
	rows, err := r.d.WorkerPool().Query(ctx, `SELECT r.id, r.permissions, r.visibility FROM unnest($1::uuid[], $2::uuid[]) AS w (organization_id, id)
		JOIN role r ON r.organization_id = w.organization_id AND r.id = w.id`, orgs, ids)
	if err != nil {
		return err
	}
	var (
		role        id.ID
		permissions []access.Permission
		visibility  access.Visibility
	)
	if _, err := pgx.ForEachRow(rows, []any{&role, &permissions, &visibility}, func() error {
		roles[role] = access.Actor{Permissions: access.SetOf(permissions...), Visibility: visibility}
		permissions = nil
		return nil
	}); err != nil {
		return err
	}
	for p, a := range actors {
		a.Permissions, a.Visibility = roles[a.RoleID].Permissions, roles[a.RoleID].Visibility
		actors[p] = a
	}
	return nil
}
