// Package store is the orchestrator's memory: the only SQL and the only driver.
package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Store reads and writes the orchestrator's tables. Every method is one statement unless it says otherwise; every write of a status repeats its guard.
type Store struct {
	pool *pgxpool.Pool
}

// Options say how to connect.
type Options struct {
	URL      string // a PostgreSQL connection string
	PoolSize int    // connections at most; 0 is 4
	// Dial replaces the network connection, as cloudsqlconn does; nil dials what the URL says.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// ErrUnreachable: the database did not answer.
var ErrUnreachable = errors.New("the database cannot be reached")

// Open makes a pool. It does not connect: the first use does.
func Open(ctx context.Context, o Options) (*Store, error) {
	cfg, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		return nil, errors.New("DATABASE_URL cannot be read; write postgres://USER:PASSWORD@HOST:PORT/DATABASE")
	}
	cfg.MaxConns = int32(max(o.PoolSize, 1))
	if o.PoolSize == 0 {
		cfg.MaxConns = 4
	}
	// A claim that a crash of the server forgets could be sent twice, so commits are always synchronous, whatever the server's default is.
	cfg.ConnConfig.RuntimeParams["synchronous_commit"] = "on"
	cfg.ConnConfig.RuntimeParams["application_name"] = "orchestrator"
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	cfg.ConnConfig.RuntimeParams["lock_timeout"] = "10s"
	cfg.ConnConfig.RuntimeParams["statement_timeout"] = "30s"
	// Our statements touch few rows each, whatever their estimates are; compiling one takes longer than running it.
	cfg.ConnConfig.RuntimeParams["jit"] = "off"
	cfg.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "30s"
	cfg.ConnConfig.ConnectTimeout = 10 * time.Second
	if o.Dial != nil {
		cfg.ConnConfig.DialFunc = o.Dial
	}
	mortal(cfg.ConnConfig)
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connection pool: %w", err)
	}
	return &Store{pool: pool}, nil
}

// Close ends all connections.
func (s *Store) Close() { s.pool.Close() }

const nowSQL = `SELECT clock()`

// Now is the database's clock.
func (s *Store) Now(ctx context.Context) (now time.Time, err error) {
	err = s.pool.QueryRow(ctx, nowSQL).Scan(&now)
	return now, wrap(err, "read the clock")
}

// tx is what a transaction's steps may use; it hides the pool.
type tx struct{ pgx.Tx }

// inTx runs f in one transaction. A rollback does not depend on the caller's context.
func (s *Store) inTx(ctx context.Context, f func(tx) error) error {
	return s.inTxOf(ctx, pgx.TxOptions{}, f)
}

func (s *Store) inTxOf(ctx context.Context, o pgx.TxOptions, f func(tx) error) error {
	t, err := s.pool.BeginTx(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = t.Rollback(limit) // after a commit it does nothing
	}()
	if err := f(tx{t}); err != nil {
		return err
	}
	return t.Commit(ctx)
}

// wrap names the operation; an error of the connection is marked as ErrUnreachable.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	op := fmt.Sprintf(format, args...)
	var connect *pgconn.ConnectError
	var network *net.OpError
	if errors.As(err, &connect) || errors.As(err, &network) {
		return fmt.Errorf("%s: %w: %w", op, ErrUnreachable, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}

// Clean makes text from outside fit to be stored: valid UTF-8, no NUL, at most n bytes.
func Clean(s string, n int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
