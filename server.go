// Switchboard is a headless business phone system: one server that gives a front
// end a GraphQL API over numbers, calls, voicemails, messages and reports, and
// answers Twilio's webhooks in the same process.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // opening hours and reports need zones where the machine has none

	"github.com/alecthomas/kong"

	"switchboard/graph"
	"switchboard/internal/app"
	"switchboard/internal/config"
)

var commands struct {
	Dev struct {
		JSON bool `name:"json" help:"Print one line of JSON when ready."`
	} `cmd:"" help:"Run everything on this machine: database, Twilio emulator, demo organization."`
	Serve struct{} `cmd:"" help:"Run in production; everything is set by the environment."`
	Init  struct {
		Organization string `required:"" help:"The organization's name."`
		Email        string `required:"" help:"The first administrator's e-mail."`
	} `cmd:"" help:"Make the first organization of a production server; prints an invitation link once."`
	Checklist struct{} `cmd:"" help:"Run the test of calls and messages against the emulator."`
	Token     struct {
		Email        string `required:"" help:"Whose token."`
		Organization string `help:"The organization's id; needed only by a login with several."`
	} `cmd:"" help:"Print an access token for a user."`
	Schema  struct{} `cmd:"" help:"Print the GraphQL contract."`
	Migrate struct{} `cmd:"" help:"Bring the database to the newest schema."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parser := kong.Must(&commands, kong.Name("switchboard"), kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Description("The headless business phone system."),
		kong.Help(func(o kong.HelpOptions, k *kong.Context) error {
			if err := kong.DefaultHelpPrinter(o, k); err != nil {
				return err
			}
			fmt.Fprintln(k.Stdout, "\nEnvironment:")
			config.Help(k.Stdout)
			return nil
		}))
	args := os.Args[1:]
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	parser.FatalIfErrorf(err)
	if err := run(ctx, k.Command()); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "switchboard:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, command string) error {
	if command == "schema" {
		fmt.Print(graph.Contract())
		return nil
	}
	c, err := config.Load()
	if err != nil {
		return err
	}
	switch command {
	case "dev":
		return app.Dev(ctx, c, os.Stdout, commands.Dev.JSON)
	case "serve":
		return app.Serve(ctx, c)
	case "init":
		return app.Init(ctx, c, os.Stdout, commands.Init.Organization, commands.Init.Email)
	case "checklist":
		return app.Checklist(ctx, c, os.Stdout)
	case "token":
		return app.Token(ctx, c, os.Stdout, commands.Token.Email, commands.Token.Organization)
	}
	return app.Migrate(ctx, c, os.Stdout)
}
