package call

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/route"
)

// maxIgnoredLists is how many organizations' lists are kept in memory.
const maxIgnoredLists = 1000

// ignoredLists keeps the compiled ignored lists (R057). A list is as new as the
// version that it is asked for, or newer: the version grows in the transaction that
// changes the rules, and the rules are read after the version.
type ignoredLists struct {
	mu    sync.Mutex // guards lists
	lists map[id.ID]versioned
}

type versioned struct {
	version int64
	list    *route.IgnoredList
}

func (l *ignoredLists) of(ctx context.Context, tx *db.Tx, org id.ID, version int64) (*route.IgnoredList, error) {
	l.mu.Lock()
	kept, ok := l.lists[org]
	l.mu.Unlock()
	if ok && kept.version >= version {
		return kept.list, nil
	}
	rows, err := tx.Pgx().Query(ctx, `SELECT rule FROM ignored_number WHERE organization_id = $1 ORDER BY created_at, id`, org)
	if err != nil {
		return nil, db.Translate(err)
	}
	rules, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, db.Translate(err)
	}
	list, err := route.CompileIgnored(rules)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lists == nil || len(l.lists) >= maxIgnoredLists {
		l.lists = map[id.ID]versioned{}
	}
	if l.lists[org].version < version {
		l.lists[org] = versioned{version, list}
	}
	return list, nil
}
