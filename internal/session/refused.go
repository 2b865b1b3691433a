package session

import (
	"context"
	"errors"
	"time"

	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
)

// refusedArgs has a refused sign-in written to the audit log of the organizations
// that the login belongs to.
type refusedArgs struct {
	Login   id.ID     `json:"login,omitzero"` // of nobody when the e-mail is unknown
	Entry   id.ID     `json:"entry"`
	At      time.Time `json:"at"`
	Address string    `json:"address"`
	Agent   string    `json:"agent"`
}

// Kind names the job.
func (refusedArgs) Kind() string { return "session.refused" }

// Register has the service's jobs run.
func (s *Service) Register(r *job.Runner) { job.Handle(r, s.noteRefused) }

// refused has a refused sign-in noted. A job does it, for an e-mail that nobody has
// too: otherwise the time it takes would tell which e-mails are known.
func (s *Service) refused(ctx context.Context, login id.ID) error {
	c := clientOf(ctx)
	a := refusedArgs{Login: login, Entry: id.New(id.Audit), At: s.clk.Now(), Address: c.ip, Agent: c.agent}
	return s.d.DB.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error { return job.Insert(ctx, tx, a) })
}

// noteRefused writes the entries, once each.
func (s *Service) noteRefused(ctx context.Context, a refusedArgs) (err error) {
	defer errs.Wrap(&err, "session.noteRefused")
	if a.Login.IsZero() {
		return nil
	}
	members, err := memberships(ctx, s.d.DB.App(), a.Login)
	if err != nil {
		return err
	}
	ctx = audit.WithClient(ctx, a.Address, a.Agent)
	var all []error
	for _, m := range members {
		all = append(all, s.d.DB.InTx(db.WithTenant(ctx, m.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
			if known, err := audit.ByIDs(ctx, tx, []id.ID{a.Entry}); err != nil || len(known) > 0 {
				return err
			}
			return audit.Write(ctx, tx, audit.Entry{ID: a.Entry, Action: "session.refuse", Subject: m.UserID, At: a.At})
		}))
	}
	return errors.Join(all...)
}
