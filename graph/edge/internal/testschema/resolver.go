// Package testschema is the small schema the edge is tested with. Its resolvers
// report when they start and end, so that a test waits for a signal and never sleeps.
package testschema

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"switchboard/graph/edge"
	"switchboard/internal/errs"
)

// Resolver answers the test schema.
type Resolver struct {
	Began   chan string   // names of resolvers that wait, when they begin
	Ended   chan string   // and when they end
	Release chan struct{} // lets one waits go
	Feed    chan *Event   // what the events subscription delivers
}

// New makes a resolver with room for the signals of a test that does not read them.
func New() *Resolver {
	return &Resolver{
		Began: make(chan string, 4096), Ended: make(chan string, 4096),
		Release: make(chan struct{}, 4096), Feed: make(chan *Event),
	}
}

type (
	query        struct{ *Resolver }
	mutation     struct{ *Resolver }
	subscription struct{ *Resolver }
	user         struct{}
	call         struct{}
	row          struct{}
)

// Query and the rest implement the generated ResolverRoot.
func (r *Resolver) Query() QueryResolver               { return query{r} }
func (r *Resolver) Mutation() MutationResolver         { return mutation{r} }
func (r *Resolver) Subscription() SubscriptionResolver { return subscription{r} }
func (r *Resolver) User() UserResolver                 { return user{} }
func (r *Resolver) Call() CallResolver                 { return call{} }
func (r *Resolver) Row() RowResolver                   { return row{} }

func (query) Ping(context.Context) (string, error) { return "pong", nil }

func (query) Viewer(context.Context) (*User, error) { return &User{ID: "user_1", Name: "Ann"}, nil }

func (query) Calls(_ context.Context, first *int, _ *string) (*CallConnection, error) {
	c := &CallConnection{}
	n := 25
	if first != nil {
		n = *first
	}
	for i := range n {
		call := &Call{ID: fmt.Sprintf("call_%d", i)}
		c.Nodes = append(c.Nodes, call)
		c.Edges = append(c.Edges, &CallEdge{Cursor: call.ID, Node: call})
	}
	return c, nil
}

func (query) Node(_ context.Context, id string) (Node, error) { return &Call{ID: id}, nil }

func (query) Echo(_ context.Context, text string) (string, error) { return text, nil }

func (query) Weigh(_ context.Context, values []int) (int, error) { return len(values), nil }

func (query) Refused(context.Context) (*string, error) {
	return nil, errs.New(errs.Conflict, "the call has ended").At("input", "id").Because(errors.New("row lock of backend 4711"))
}

func (query) Broken(context.Context) (*string, error) {
	return nil, errors.New(`pq: relation "secret_table" does not exist`)
}

func (query) Panics(context.Context) (*string, error) { panic("hunter2 in a panic") }

func (query) Requires(context.Context) (string, error) { return "", errors.New("secret_table is gone") }

func (query) Many(_ context.Context, count int) ([]*Row, error) {
	rows := make([]*Row, count)
	for i := range rows {
		rows[i] = &Row{}
	}
	return rows, nil
}

func (r query) Waits(ctx context.Context) (*string, error) { return r.wait(ctx, "query") }

func (r mutation) Waits(ctx context.Context) (*string, error) { return r.wait(ctx, "mutation") }

func (r *Resolver) wait(ctx context.Context, name string) (*string, error) {
	r.Began <- name
	defer func() { r.Ended <- name }()
	select {
	case <-r.Release:
		done := "released"
		return &done, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (query) Who(ctx context.Context) (string, error) {
	r, _ := edge.From(ctx)
	tenant, _ := ctx.Value(TenantKey{}).(string)
	return fmt.Sprintf("%s %s %s %s", r.Who.Key, tenant, r.Transport, r.ClientIP), nil
}

// TenantKey is what the test's AuthenticateContext sets.
type TenantKey struct{}

func (query) Big(_ context.Context, bytes int) (string, error) {
	return strings.Repeat("x", bytes), nil
}

func (mutation) SignIn(context.Context, string, string) (string, error) { return "token", nil }

func (r mutation) Touch(_ context.Context, id string) (string, error) {
	r.Began <- "touch " + id
	return id, nil
}

func (mutation) Spend(_ context.Context, id string) (string, error) { return id, nil }

func (r subscription) Count(ctx context.Context, to int) (<-chan int, error) {
	return stream(ctx, r.Resolver, "count", func(i int) (int, bool) { return i, i < to }), nil
}

func (r subscription) Wide(ctx context.Context, bytes int) (<-chan string, error) {
	text := strings.Repeat("x", bytes)
	return stream(ctx, r.Resolver, "wide", func(int) (string, bool) { return text, true }), nil
}

func (r subscription) Events(ctx context.Context) (<-chan *Event, error) {
	return stream(ctx, r.Resolver, "events", func(int) (*Event, bool) {
		select {
		case e := <-r.Feed:
			return e, e != nil
		case <-ctx.Done():
			return nil, false
		}
	}), nil
}

func (subscription) Fails(context.Context) (<-chan int, error) {
	return nil, errs.New(errs.Resync, "the cursor is too old: read the state anew")
}

func (r subscription) Ends(ctx context.Context) (<-chan int, error) {
	return stream(ctx, r.Resolver, "ends", func(i int) (int, bool) {
		if i == 1 {
			edge.Fail(ctx, errs.New(errs.Resync, "you read too slowly: read the state anew"))
		}
		return i, i < 1
	}), nil
}

func stream[T any](ctx context.Context, r *Resolver, name string, next func(int) (T, bool)) <-chan T {
	c := make(chan T)
	r.Began <- name
	go func() {
		defer func() { r.Ended <- name }()
		defer close(c)
		for i := 0; ; i++ {
			v, ok := next(i)
			if !ok {
				return
			}
			select {
			case c <- v:
			case <-ctx.Done():
				return
			}
		}
	}()
	return c
}

func (user) Friends(context.Context, *User) ([]*User, error) {
	return []*User{{ID: "user_2", Name: "Bob"}, {ID: "user_3", Name: "Cy"}}, nil
}

func (call) Legs(context.Context, *Call) ([]*Leg, error) { return []*Leg{{ID: "leg_1"}}, nil }

func (row) Bad(context.Context, *Row) (*string, error) {
	return nil, errs.New(errs.NotFound, "no such row")
}
