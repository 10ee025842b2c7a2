package migrations

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/golang-migrate/migrate/v4"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Target is the database to migrate. Use a direct connection: a transaction pooler loses the lock that keeps migrators apart.
type Target struct {
	// DSN is a URL or keyword string.
	DSN string
	// Dial connects where a plain connection does not (Cloud SQL); nil: plain.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// LockWait is the longest wait for another migrator, and for a table that a transaction holds. 0: 10 s.
	LockWait time.Duration
}

// Result is what a migration did: the versions before and after, 0 for an empty database.
type Result struct{ From, To int }

// Up applies every migration that is missing and inserts the installation's row with this mode where there is none. A database that is up to
// date, or newer but still open to this program, is left as it is. A failed migration is rolled back whole. The error is of kind
// lifecycle.ErrConflict where the database belongs to another mode.
func Up(ctx context.Context, t Target, mode lifecycle.Mode) (Result, error) {
	return within(ctx, t, func(ctx context.Context, conn *pgx.Conn) (Result, error) {
		if err := checkOwner(ctx, conn, mode); err != nil {
			return Result{}, err
		}
		newer, err := newerButOpen(ctx, conn)
		if err != nil || newer > 0 {
			return Result{From: newer, To: newer}, err
		}
		result, err := runner{t, FS}.up(ctx, conn)
		if err != nil {
			return result, err
		}
		if err := Install(ctx, conn, mode); err != nil {
			return result, err
		}
		return result, checkOwner(ctx, conn, mode) // another process may have been first, with its mode
	})
}

// Schema applies every migration of these files that is missing and leaves the installation's row out: what a template for installations needs.
func Schema(ctx context.Context, t Target, files fs.FS) error {
	_, err := within(ctx, t, func(ctx context.Context, conn *pgx.Conn) (Result, error) {
		return runner{t, files}.up(ctx, conn)
	})
	return err
}

// Down takes the last n migrations back, with all data in what they made.
func Down(ctx context.Context, t Target, n int) (Result, error) {
	return within(ctx, t, func(ctx context.Context, conn *pgx.Conn) (Result, error) {
		return runner{t, FS}.down(ctx, conn, n)
	})
}

// Version is the number of the last migration applied, 0 for none. A dirty one was begun and never recorded as done.
func Version(ctx context.Context, t Target) (version int, dirty bool, err error) {
	_, err = within(ctx, t, func(ctx context.Context, conn *pgx.Conn) (Result, error) {
		version, dirty, err = readVersion(ctx, conn)
		return Result{}, err
	})
	return version, dirty, err
}

// Force records that the database is at this version, from 0 to Latest, and runs nothing. It is the way out of a dirty version.
func Force(ctx context.Context, t Target, version int) error {
	if version < 0 || version > Latest() {
		return lifecycle.Invalid("there is no version %d; it must be a number from 0 to %d", version, Latest())
	}
	_, err := within(ctx, t, func(ctx context.Context, conn *pgx.Conn) (Result, error) {
		return Result{}, runner{t, FS}.force(ctx, version)
	})
	return err
}

// within opens one connection for a function and closes it afterwards.
func within(ctx context.Context, t Target, do func(context.Context, *pgx.Conn) (Result, error)) (result Result, err error) {
	cfg, err := t.config()
	if err != nil {
		return Result{}, err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return Result{}, fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	const oldest = 150000
	if number, err := strconv.Atoi(serverNumber(ctx, conn)); err == nil && number < oldest {
		return Result{}, fmt.Errorf("the server is PostgreSQL %s; version 15 or newer is needed", conn.PgConn().ParameterStatus("server_version"))
	}
	return do(ctx, conn)
}

const serverNumberSQL = `SELECT current_setting('server_version_num')`

func serverNumber(ctx context.Context, conn *pgx.Conn) (number string) {
	if err := conn.QueryRow(ctx, serverNumberSQL).Scan(&number); err != nil {
		return ""
	}
	return number
}

// config bounds every wait for a lock: the library waits for its own without any end.
func (t Target) config() (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(t.DSN)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if t.Dial != nil {
		cfg.DialFunc = t.Dial
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 15 * time.Second
	}
	cfg.RuntimeParams["lock_timeout"] = strconv.FormatInt(t.lockWait().Milliseconds(), 10)
	return cfg, nil
}

func (t Target) lockWait() time.Duration {
	if t.LockWait == 0 {
		return 10 * time.Second
	}
	return t.LockWait
}

// runner applies the migrations of a file system to a target.
type runner struct {
	target Target
	fsys   fs.FS
}

func (r runner) up(ctx context.Context, conn *pgx.Conn) (Result, error) {
	return r.move(ctx, conn, (*migrate.Migrate).Up)
}

func (r runner) down(ctx context.Context, conn *pgx.Conn, n int) (Result, error) {
	version, _, err := readVersion(ctx, conn)
	if err != nil {
		return Result{}, err
	}
	if n < 1 || n > version {
		return Result{From: version, To: version}, lifecycle.Invalid("cannot take %d migrations back; the database is at version %d", n, version)
	}
	return r.move(ctx, conn, func(m *migrate.Migrate) error { return m.Steps(-n) })
}

// move runs migrations and says what became of the version.
func (r runner) move(ctx context.Context, conn *pgx.Conn, run func(*migrate.Migrate) error) (Result, error) {
	from, _, err := readVersion(ctx, conn)
	if err != nil {
		return Result{}, err
	}
	if err := r.with(ctx, run); err != nil {
		return Result{From: from, To: from}, r.explain(ctx, conn, err)
	}
	to, _, err := readVersion(ctx, conn)
	if err != nil {
		return Result{}, err
	}
	return Result{From: from, To: to}, ctx.Err()
}

func (r runner) force(ctx context.Context, version int) error {
	if version == 0 {
		version = -1 // the library's word for none
	}
	return r.with(ctx, func(m *migrate.Migrate) error { return m.Force(version) })
}

// with opens the library over connections of its own. When ctx ends it stops after the migration that is running.
func (r runner) with(ctx context.Context, do func(*migrate.Migrate) error) (err error) {
	cfg, err := r.target.config()
	if err != nil {
		return err
	}
	files, err := iofs.New(r.fsys, ".")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	db := stdlib.OpenDB(*cfg)
	driver, err := migratepgx.WithInstance(db, &migratepgx.Config{})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	m, err := migrate.NewWithInstance("iofs", files, "pgx5", driver)
	if err != nil {
		return errors.Join(err, driver.Close())
	}
	m.LockTimeout = r.target.lockWait() + 5*time.Second // the server's own limit comes first, and says more
	stop := context.AfterFunc(ctx, func() { m.GracefulStop <- true })
	defer func() {
		stop()
		sourceErr, databaseErr := m.Close()
		err = errors.Join(err, sourceErr, databaseErr)
	}()
	if err := do(m); !errors.Is(err, migrate.ErrNoChange) {
		return err
	}
	return nil
}
