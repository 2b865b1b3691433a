package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"switchboard/internal/config"
	"switchboard/internal/db"
	"switchboard/internal/demo"
	"switchboard/internal/id"
	"switchboard/internal/secret"
	"switchboard/internal/session"
	"switchboard/internal/tenant"
)

// Serve runs production until ctx ends. It returns every reason why the
// configuration must not serve.
func Serve(ctx context.Context, c config.Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("this configuration must not serve:\n%w", err)
	}
	if _, err := os.Stat(demoMark(c)); err == nil {
		return fmt.Errorf("the data folder %s holds the demo with its well-known password: choose another DATA_DIR", c.DataDir)
	}
	if c.PrivateAddr == "" {
		c.PrivateAddr = "127.0.0.1:9090"
	}
	useMemory(servingMemory)
	a, err := New(ctx, c, Options{})
	if err != nil {
		return err
	}
	defer a.Stop()
	// The folder's mark says nothing of a DATABASE_URL that a demo was run on.
	switch isDemo, err := a.Sessions.Opens(ctx, demo.Email, demo.Password); {
	case err != nil:
		return err
	case isDemo:
		return errors.New("the database holds the demo with its well-known password: choose another DATABASE_URL or DATA_DIR")
	}
	if err := a.Start(ctx); err != nil {
		return err
	}
	a.Log.Info("ready", "public", a.PublicAddr().String(), "private", a.PrivateAddr().String(), "public_url", c.PublicURL)
	return a.untilDone(ctx)
}

// untilDone waits for the end of ctx or of a server, and stops.
func (a *App) untilDone(ctx context.Context) error {
	died := make(chan error, 1)
	go func() { died <- a.Wait() }()
	select {
	case <-ctx.Done():
		a.Stop()
		<-died
		return nil
	case err := <-died:
		return err
	}
}

// Migrate brings the database to the newest schema.
func Migrate(ctx context.Context, c config.Config, out io.Writer) error {
	d, err := db.Open(ctx, databaseOptions(c, nil, newLogger(c)))
	if err != nil {
		return err
	}
	defer d.Close()
	fmt.Fprintln(out, "the database is at", db.SchemaVersion())
	return nil
}

// Init founds the first organization and prints its administrator's invitation once.
func Init(ctx context.Context, c config.Config, out io.Writer, name, email string) error {
	if c.PublicURL == "" {
		return errors.New("PUBLIC_URL is not set: the invitation is a link to it")
	}
	a, err := New(ctx, c, Options{})
	if err != nil {
		return err
	}
	defer a.close()
	founded, err := a.Tenants.Any(ctx)
	if err != nil {
		return err
	}
	if founded {
		return errors.New("there is an organization already; its administrators invite others with userCreate")
	}
	o, first, err := a.Tenants.Create(ctx, tenant.Founding{Name: name, AdminEmail: email})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Organization %s (%s) is founded.\nThe invitation for %s, shown once, good until %s:\n%s/invitation#%s\n",
		o.Name, o.ID, email, first.ExpiresAt.Format("2006-01-02 15:04 MST"), c.PublicURL, first.Token)
	return nil
}

// Token prints an access token for a user.
func Token(ctx context.Context, c config.Config, out io.Writer, email, organization string) error {
	var org id.ID
	if organization != "" {
		var err error
		if org, err = id.ParseKind(organization, id.Organization); err != nil {
			return err
		}
	}
	keys, err := keyring(c)
	if err != nil {
		return err
	}
	d, err := db.Open(ctx, databaseOptions(c, nil, newLogger(c)))
	if err != nil {
		return err
	}
	defer d.Close()
	sessions, err := session.New(session.Deps{DB: d, Keys: keys})
	if err != nil {
		return err
	}
	s, err := sessions.IssueFor(ctx, email, org)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, s.AccessToken)
	return nil
}

// keyring is the configured keyset, or the one in the data folder.
func keyring(c config.Config) (k *secret.Keyring, err error) {
	if c.Keyset != "" {
		k, err = secret.FromText(c.Keyset)
	} else {
		k, err = secret.LoadOrCreate(c.KeysetFile())
	}
	if err != nil {
		return nil, fmt.Errorf("the encryption keyset cannot be read: %w", err)
	}
	return k, nil
}
