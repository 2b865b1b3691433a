package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"switchboard/internal/errs"
)

var registry struct {
	sync.RWMutex // guards constraint
	constraint   map[string]*errs.Error
}

// RegisterConstraint says what a violation of the named constraint, unique index
// or foreign key means to a person. Call it from a variable declaration or init
// of the package that owns the table.
func RegisterConstraint(name string, e *errs.Error) {
	registry.Lock()
	defer registry.Unlock()
	if registry.constraint == nil {
		registry.constraint = map[string]*errs.Error{}
	}
	registry.constraint[name] = e
}

// Translate turns what PostgreSQL says into an *errs.Error where a person or
// client can act on it: a violated constraint that is registered, and
// everything that means "not now" (connection lost, shutting down, too many
// connections, out of time or space) as errs.Unavailable. Other errors,
// sql.ErrNoRows and cancelled contexts among them, are returned as they are.
func Translate(err error) error {
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if _, ok := errs.As(err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) { // whatever the server gives as its reason
		return unavailable(err)
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		if lostConnection(err) {
			return unavailable(err)
		}
		return err
	}
	if pg.ConstraintName != "" {
		registry.RLock()
		e := registry.constraint[pg.ConstraintName]
		registry.RUnlock()
		if e != nil {
			c := *e
			return c.Because(err)
		}
	}
	switch {
	case strings.HasPrefix(pg.Code, "08"), // connection exceptions
		strings.HasPrefix(pg.Code, "53"),  // no connections, memory or disk left
		strings.HasPrefix(pg.Code, "57P"), // shutting down, starting up, database dropped
		strings.HasPrefix(pg.Code, "58"),  // the operating system failed the server
		pg.Code == "25006",                // a standby took over the address
		pg.Code == "25P03",                // idle in a transaction for too long
		pg.Code == "55P03",                // lock_timeout
		pg.Code == "57014" && strings.Contains(pg.Message, "timeout"):
		return unavailable(err)
	case pg.Code == "22021": // PostgreSQL keeps no zero byte and nothing but UTF-8
		return errs.New(errs.Invalid, "a text holds a character that cannot be kept, such as a zero byte").Because(err)
	case inTheWay(err):
		return errs.New(errs.Unavailable, "somebody else changed the same thing at the same moment; try again").Because(err)
	}
	return err
}

func unavailable(cause error) error {
	e := *errUnavailable
	return e.Because(cause)
}

// lostConnection tells errors on the way to the server from those of our own code.
func lostConnection(err error) bool {
	var network net.Error
	return errors.As(err, &network) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) ||
		strings.HasSuffix(err.Error(), "conn closed")
}

// inTheWay reports whether another transaction made this one fail and a second try may succeed.
func inTheWay(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// IsUnique reports whether err is a violation of the named unique constraint or index.
func IsUnique(err error, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23505" && pg.ConstraintName == constraint
}
