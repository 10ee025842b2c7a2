// Command migrate brings the orchestrator's database to this release's schema. It runs as a Cloud Run job, in compose, and by hand.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"cloud-run-orchestrator/internal/cloudsql"
	"cloud-run-orchestrator/internal/config"
	"cloud-run-orchestrator/internal/localpg"
	"cloud-run-orchestrator/internal/release"
	"cloud-run-orchestrator/migrations"
)

const usage = `usage: migrate up          apply what is missing, and make the grants of the users in DATABASE_USER_WORKFLOWS, _TRIGGER, _STATUS and _TICK, where they are set
       migrate down N      take the last N migrations back, with their data
       migrate version     say which migration the database is at
       migrate force N     record that the database is at migration N, after a repair by hand
       migrate --version   say which release this program is of
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the command; it answers 0 for done, 1 for failed and 2 for a wrong command line.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	do, ok := parse(args)
	if !ok {
		fmt.Fprint(stderr, usage)
		return 2
	}
	if err := do(ctx, getenv, stdout); err != nil {
		fmt.Fprintf(stderr, "error: %v\n", localpg.Explain(err))
		return 1
	}
	return 0
}

type command func(ctx context.Context, getenv func(string) string, out io.Writer) error

func parse(args []string) (command, bool) {
	switch {
	case len(args) == 1 && args[0] == "up":
		return up, true
	case len(args) == 1 && args[0] == "version":
		return version, true
	case len(args) == 1 && args[0] == "--version":
		return ownVersion, true
	case len(args) == 2 && args[0] == "down":
		n, err := strconv.Atoi(args[1])
		return down(n), err == nil && n > 0
	case len(args) == 2 && args[0] == "force":
		n, err := strconv.Atoi(args[1])
		return force(n), err == nil && n >= 0
	default:
		return nil, false
	}
}

func up(ctx context.Context, getenv func(string) string, out io.Writer) error {
	return with(ctx, getenv, func(cfg config.Config, target migrations.Target) error {
		if target.Dial == nil { // a Cloud SQL database is made by whoever makes the instance
			if _, err := localpg.EnsureDatabase(ctx, target.DSN); err != nil {
				return err
			}
		}
		result, err := migrations.Up(ctx, target, cfg.Mode)
		if err != nil {
			return err
		}
		return errors.Join(report(out, result), grant(ctx, target, cfg.FunctionUsers, result.To, out))
	})
}

// grant makes the grants, where the functions have users of their own. Those of a newer release stay: they are enough for the one before it.
func grant(ctx context.Context, target migrations.Target, users config.FunctionUsers, version int, out io.Writer) error {
	switch {
	case users == config.FunctionUsers{}:
		return nil
	case version > migrations.Latest():
		_, err := fmt.Fprintln(out, "a newer release has made the grants; they stay as they are")
		return err
	}
	if err := migrations.Grant(ctx, target, migrations.Users(users)); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "granted the users of the four functions what they need, and no more")
	return err
}

func down(n int) command {
	return func(ctx context.Context, getenv func(string) string, out io.Writer) error {
		return with(ctx, getenv, func(_ config.Config, target migrations.Target) error {
			result, err := migrations.Down(ctx, target, n)
			if err != nil {
				return err
			}
			return report(out, result)
		})
	}
}

func version(ctx context.Context, getenv func(string) string, out io.Writer) error {
	return with(ctx, getenv, func(_ config.Config, target migrations.Target) error {
		number, dirty, err := migrations.Version(ctx, target)
		if err != nil {
			return err
		}
		state := ""
		if dirty {
			state = ", dirty: a migration was begun and never recorded as done"
		}
		_, err = fmt.Fprintf(out, "version %d of %d%s\n", number, migrations.Latest(), state)
		return err
	})
}

// ownVersion needs no database.
func ownVersion(_ context.Context, _ func(string) string, out io.Writer) error {
	_, err := fmt.Fprintln(out, "migrate", release.String())
	return err
}

func force(n int) command {
	return func(ctx context.Context, getenv func(string) string, out io.Writer) error {
		return with(ctx, getenv, func(_ config.Config, target migrations.Target) error {
			if err := migrations.Force(ctx, target, n); err != nil {
				return err
			}
			_, err := fmt.Fprintf(out, "recorded version %d; nothing was run\n", n)
			return err
		})
	}
}

func report(out io.Writer, r migrations.Result) error {
	line := fmt.Sprintf("migrated from version %d to %d\n", r.From, r.To)
	if r.From == r.To {
		line = fmt.Sprintf("already up to date at version %d\n", r.To)
	}
	_, err := io.WriteString(out, line)
	return err
}

// with reads the settings and finds the database for a function.
func with(ctx context.Context, getenv func(string) string, do func(config.Config, migrations.Target) error) (err error) {
	cfg, err := config.Load(getenv)
	if err != nil {
		return err
	}
	if cfg.CloudSQL() {
		instance := cloudsql.Instance{Name: cfg.DatabaseInstance, User: cfg.DatabaseUser, Database: cfg.DatabaseName(), PrivateIP: cfg.DatabasePrivateIP}
		connector, err := cloudsql.Open(ctx, instance)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, connector.Close()) }()
		return do(cfg, migrations.Target{DSN: connector.DSN(), Dial: connector.Dial})
	}
	database, err := localpg.Resolve(ctx, localpg.Want{URL: cfg.DatabaseURL, DefaultURL: localpg.DefaultURL, Name: cfg.DatabaseName()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, database.Stop()) }()
	return do(cfg, migrations.Target{DSN: database.DSN})
}
