package app

import (
	"context"
	"errors"

	"cloud-run-orchestrator/internal/config"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/localpg"
	"cloud-run-orchestrator/migrations"
)

// Prepared is a database that is ready.
type Prepared struct {
	Name     string // of the database on its server
	Database string // how it was chosen, without a password
	Created  bool
	From, To int // schema versions; From 0 was empty
	Mode     lifecycle.Mode
}

// ChosenDatabase is the database that the settings lead to, and why this one. It starts no work there.
func ChosenDatabase(ctx context.Context, cfg config.Config) (name, how string, err error) {
	db, err := findDatabase(ctx, cfg)
	if err != nil {
		return "", "", err
	}
	return db.name, db.how, db.close()
}

// Prepare creates the database where it is missing, brings its schema to the newest version and makes it an installation of the settings' mode. Repeating it changes nothing.
// With changeMode an installation of another mode becomes one of this, where no run is unfinished.
func Prepare(ctx context.Context, cfg config.Config, changeMode bool) (p Prepared, err error) {
	db, err := findDatabase(ctx, cfg)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, db.close()) }()
	p.Name, p.Database, p.Mode = db.name, db.how, cfg.Mode
	if db.dial == nil {
		if p.Created, err = localpg.EnsureDatabase(ctx, db.dsn); err != nil {
			return p, err
		}
	}
	target := migrations.Target{DSN: db.dsn, Dial: db.dial}
	r, err := migrations.Up(ctx, target, cfg.Mode)
	if changeMode && errors.Is(err, lifecycle.ErrConflict) {
		if err = migrations.ChangeMode(ctx, target, cfg.Mode); err == nil {
			r, err = migrations.Up(ctx, target, cfg.Mode)
		}
	}
	p.From, p.To = r.From, r.To
	return p, err
}
