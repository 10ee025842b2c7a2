// Package app wires an orchestrator together: from settings to a database, a client, an engine and its handlers.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/user"

	"cloud-run-orchestrator/functions"
	"cloud-run-orchestrator/internal/cloudrun"
	"cloud-run-orchestrator/internal/cloudsql"
	"cloud-run-orchestrator/internal/config"
	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/localpg"
	"cloud-run-orchestrator/internal/store"
	"cloud-run-orchestrator/internal/wake"
	"cloud-run-orchestrator/internal/workflow"
	"cloud-run-orchestrator/migrations"
)

// App is a wired orchestrator.
type App struct {
	Engine    *engine.Engine
	Functions *functions.Functions
	Database  string // how it was chosen, without a password
	CloudRun  string // what stands behind the mode, in some words

	closers []func() error
}

// Open wires an orchestrator over a database that is prepared. Errors say what to do when it is not there, not prepared, or of another mode.
func Open(ctx context.Context, cfg config.Config, version string, log *slog.Logger) (*App, error) {
	return open(ctx, cfg, version, log, nil)
}

// open does the same for a process that ticks where bell is not nil: then what is asked for rings it.
func open(ctx context.Context, cfg config.Config, version string, log *slog.Logger, bell wake.Bell) (*App, error) {
	a := &App{}
	if err := a.open(ctx, cfg, version, log, bell); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// Close frees everything, in the reverse order.
func (a *App) Close() error {
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		errs = append(errs, a.closers[i]())
	}
	a.closers = nil
	return errors.Join(errs...)
}

func (a *App) open(ctx context.Context, cfg config.Config, version string, log *slog.Logger, bell wake.Bell) error {
	db, err := findDatabase(ctx, cfg)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, db.close)
	a.Database = db.how
	st, err := store.Open(ctx, store.Options{URL: db.dsn, PoolSize: cfg.PoolSize, Dial: db.dial})
	if err != nil {
		return err
	}
	a.closers = append(a.closers, func() error { st.Close(); return nil })
	here, err := check(ctx, st, cfg.Mode)
	if err != nil {
		return localpg.Explain(err)
	}
	client, what, err := a.cloudRun(ctx, cfg, version)
	if err != nil {
		return err
	}
	a.CloudRun = what
	waker, err := a.waker(ctx, cfg, here, version, log, bell)
	if err != nil {
		return err
	}
	a.Engine = engine.New(engine.Options{
		Store: st, CloudRun: client, Mode: cfg.Mode, Defaults: defaults(cfg), Log: log, LogEveryTick: cfg.OnCloudRun(),
		CallDeadline: cfg.CallDeadline, Claim: cfg.Claim, SettleWindow: cfg.SettleWindow, Budget: cfg.TickBudget,
		HistoryKept: cfg.HistoryKept, Concurrency: cfg.Concurrency, Schema: migrations.Latest(), Account: cfg.Account(),
		Wake: waker, Woken: bell,
	})
	a.Functions = functions.New(functions.Options{
		Engine: a.Engine, Version: version, OnCloudRun: cfg.Service != "", Hosts: cfg.Hosts, LocalActor: localActor(), Log: log,
	})
	return nil
}

// defaults are what jobs get whose definition leaves project or region out. Off Cloud Run any project will do.
func defaults(cfg config.Config) workflow.Defaults {
	d := workflow.Defaults{Project: cfg.Project, Region: cfg.Region}
	if d.Project == "" && cfg.Mode != lifecycle.Live {
		d.Project = "local-project"
	}
	return d
}

// check refuses a database that is not prepared, made for newer programs, or of another mode.
func check(ctx context.Context, st *store.Store, mode lifecycle.Mode) (store.Installation, error) {
	here, err := st.Installation(ctx)
	switch {
	case err != nil:
	case here.OldestRelease > migrations.Latest():
		err = lifecycle.Conflict("this program is too old for the database: its schema asks for release %d or newer, and this is release %d; use a newer program", here.OldestRelease, migrations.Latest())
	case here.SchemaVersion < migrations.Latest():
		err = fmt.Errorf("the database has schema version %d and this program needs %d; run \"orchestrator init\" or \"migrate up\"", here.SchemaVersion, migrations.Latest())
	case here.Mode != mode:
		err = lifecycle.Conflict("this database belongs to mode %s, and this process runs in mode %s; use another database, or change it with \"orchestrator init --mode %s\" once no run is unfinished", here.Mode, mode, mode)
	}
	return here, err
}

// waker is what has a tick come soon: the ticker of this process where it has one, else the queue of the settings, else nothing.
func (a *App) waker(ctx context.Context, cfg config.Config, here store.Installation, version string, log *slog.Logger, bell wake.Bell) (func(context.Context), error) {
	switch {
	case bell != nil:
		return bell.Wake, nil
	case cfg.WakeQueue == "":
		return nil, nil
	}
	q, err := wake.NewQueue(ctx, wake.Options{
		Queue: cfg.WakeQueue, URL: cfg.WakeURL, Account: cfg.WakeAccount, Installation: here.ID.String(), UserAgent: userAgent(version), Log: log,
	})
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, q.Close)
	return q.Wake, nil
}

// userAgent is how the orchestrator names itself to Google.
func userAgent(version string) string { return "cloud-run-orchestrator/" + version }

// cloudRun makes the client of the mode. Only the connection differs.
func (a *App) cloudRun(ctx context.Context, cfg config.Config, version string) (client *cloudrun.Client, what string, err error) {
	o := cloudrun.Options{CallDeadline: cfg.CallDeadline, UserAgent: userAgent(version)}
	what = "LIVE: real jobs, billed to their projects (" + cfg.ModeWhy + ")"
	switch cfg.Mode {
	case lifecycle.Emulator:
		o.Endpoint = cfg.EmulatorHost
		what = "EMULATOR at " + cfg.EmulatorHost
	case lifecycle.Mock:
		mock := emulator.NewMock(emulator.MockOptions{})
		a.closers = append(a.closers, func() error { mock.Close(); return nil })
		if o.Conn, err = mock.Dial(); err != nil {
			return nil, "", fmt.Errorf("mock: %w", err)
		}
		a.closers = append(a.closers, o.Conn.Close)
		what = "MOCK: every call is simulated, no work is done (" + cfg.ModeWhy + ")"
		if cfg.Notice != "" {
			what = cfg.Notice
		}
	}
	if client, err = cloudrun.New(ctx, o); err != nil {
		return nil, "", err
	}
	a.closers = append(a.closers, client.Close)
	return client, what, nil
}

// database is where the tables are, or will be.
type database struct {
	dsn   string
	name  string
	how   string
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	close func() error
}

// findDatabase chooses the database: the Cloud SQL instance of the settings, or what localpg finds.
func findDatabase(ctx context.Context, cfg config.Config) (database, error) {
	if cfg.CloudSQL() {
		c, err := cloudsql.Open(ctx, cloudsql.Instance{Name: cfg.DatabaseInstance, User: cfg.DatabaseUser, Database: cfg.DatabaseName(), PrivateIP: cfg.DatabasePrivateIP})
		if err != nil {
			return database{}, err
		}
		return database{dsn: c.DSN(), name: cfg.DatabaseName(), how: "Cloud SQL " + cfg.DatabaseInstance, dial: c.Dial, close: c.Close}, nil
	}
	if cfg.OnCloudRun() && cfg.DatabaseURL == "" {
		return database{}, errors.New("no database is configured; set DATABASE_INSTANCE, DATABASE_USER and DATABASE_NAME, or DATABASE_URL")
	}
	d, err := localpg.Resolve(ctx, localpg.Want{URL: cfg.DatabaseURL, DefaultURL: localpg.DefaultURL, Name: cfg.DatabaseName()})
	if err != nil {
		return database{}, err
	}
	return database{dsn: d.DSN, name: d.Name(), how: d.How, close: d.Stop}, nil
}

// localActor names the user of this machine who acts off Cloud Run.
func localActor() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return "local:" + u.Username
	}
	return "local:unknown"
}
