// Package testdb gives each test a migrated database of its own, cloned from a template.
//
// The server is the one of TEST_DATABASE_URL, else one that all test processes of this user share: the first starts it, in memory where there
// is plenty, and it ends some seconds after the last. TESTDB_DURABLE=1 chooses a server on disk that syncs every commit, for measurements.
package testdb

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/localpg"
	"cloud-run-orchestrator/migrations"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	linger     = 10 * time.Second // a pause between two test processes of one run is shorter
	lookAround = 10 * time.Minute // time to look into the database of a failed test
)

// DB is one test's database.
type DB struct {
	// Name is the database's name, and DSN the keyword string that leads to it.
	Name string
	DSN  string
	// Pool has 4 connections at most.
	Pool *pgxpool.Pool
}

// Option changes what New makes.
type Option func(*options)

type options struct {
	mode    lifecycle.Mode
	install bool
}

// Mode sets the installation's mode, which is emulator otherwise.
func Mode(mode lifecycle.Mode) Option {
	return func(o *options) { o.mode = mode }
}

// WithoutInstallation leaves the installation's row out.
func WithoutInstallation() Option {
	return func(o *options) { o.install = false }
}

// New makes a database that ends with the test. The database of a failed test is kept for some minutes, and the test says how to look into it.
// A machine without PostgreSQL fails the test.
func New(tb testing.TB, opts ...Option) *DB {
	tb.Helper()
	o := options{mode: lifecycle.Emulator, install: true}
	for _, option := range opts {
		option(&o)
	}
	db := clone(tb, func(s *server) string { return s.template })
	if !o.install {
		return db
	}
	// The row is not in the template: its mark holds the database's own number.
	if err := migrations.Install(context.Background(), db.Pool, o.mode); err != nil {
		tb.Fatalf("testdb: %v", err)
	}
	return db
}

// Empty makes a database with nothing in it, for tests of what makes the schema. It ends like one of New.
func Empty(tb testing.TB) *DB {
	tb.Helper()
	return clone(tb, func(*server) string { return "template1" })
}

func clone(tb testing.TB, template func(*server) string) *DB {
	tb.Helper()
	s, err := shared()
	if err != nil {
		tb.Fatalf("testdb: %v", err)
	}
	db, err := s.clone(context.Background(), template(s))
	if err != nil {
		tb.Fatalf("testdb: %v", err)
	}
	tb.Cleanup(func() { db.end(tb, s) })
	return db
}

func (db *DB) end(tb testing.TB, s *server) {
	db.Pool.Close()
	if tb.Failed() {
		s.hold(tb)
		tb.Logf("database kept: psql %q", db.DSN)
		return
	}
	if _, err := s.admin.Exec(context.Background(), "DROP DATABASE "+db.Name+" WITH (FORCE)"); err != nil {
		tb.Errorf("testdb: drop %s: %v", db.Name, err)
	}
}

// server is the server that this process's tests use.
type server struct {
	own      *localpg.Server // nil with TEST_DATABASE_URL
	admin    *pgxpool.Pool
	template string
}

// shared is the server, found once for the process. It is never stopped: it ends with its last process.
var shared = sync.OnceValues(func() (*server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s := &server{}
	dsn := os.Getenv("TEST_DATABASE_URL")
	if dsn == "" {
		var err error
		if s.own, err = localpg.Start(ctx, serverOptions(os.Getenv("TESTDB_DURABLE") == "1")); err != nil {
			return nil, err
		}
		dsn = s.own.DSN("postgres")
	}
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, localpg.Explain(err)
	}
	cfg.MaxConns = 4
	if s.admin, err = pgxpool.NewWithConfig(context.Background(), cfg); err != nil {
		return nil, err
	}
	if s.template, err = prepare(ctx, s.admin); err != nil {
		return nil, localpg.Explain(err)
	}
	if s.own != nil {
		err = sweep(ctx, s.admin)
	}
	return s, err
})

func serverOptions(durable bool) localpg.Options {
	base, name := localpg.TestBase(), "orchestrator-test-%d"
	if durable {
		base, name = os.TempDir(), "orchestrator-test-durable-%d"
	}
	return localpg.Options{
		Dir:       filepath.Join(base, fmt.Sprintf(name, os.Getuid())),
		Durable:   durable,
		Temporary: true,
		Linger:    linger,
		Settings:  []string{"max_connections=300"},
	}
}

// hold keeps the server for a while after a failed test.
func (s *server) hold(tb testing.TB) {
	if s.own == nil {
		return
	}
	if err := s.own.Hold(lookAround); err != nil {
		tb.Logf("testdb: the server ends with the last test: %v", err)
	}
}

// clone makes a database from a template. Copying files beats writing them through the log by half for one as small as ours.
func (s *server) clone(ctx context.Context, template string) (*DB, error) {
	name := "t_" + strings.ToLower(rand.Text()[:12])
	if _, err := s.admin.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template+" STRATEGY file_copy"); err != nil {
		return nil, fmt.Errorf("clone %s: %w", template, err)
	}
	cfg := s.admin.Config()
	cfg.ConnConfig.Database = name
	cfg.MaxConns = 4
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &DB{Name: name, DSN: dsn(cfg.ConnConfig), Pool: pool}, nil
}

// dsn writes a keyword string, which works for sockets and hosts alike.
func dsn(cfg *pgx.ConnConfig) string {
	text := fmt.Sprintf("host=%s port=%d user=%s dbname=%s", cfg.Host, cfg.Port, cfg.User, cfg.Database)
	if cfg.Password != "" {
		text += " password='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(cfg.Password) + "'"
	}
	if cfg.TLSConfig == nil {
		text += " sslmode=disable"
	}
	return text
}
