package localpg

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The server's codes that EnsureDatabase understands.
const (
	codeNoDatabase        = "3D000"
	codeDuplicateDatabase = "42P04"
	codeUniqueViolation   = "23505"
)

// EnsureDatabase makes the database of dsn where it does not exist; created says whether it did. The error of a server that cannot be
// reached, or that does not let us in, is one sentence.
func EnsureDatabase(ctx context.Context, dsn string) (created bool, err error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return false, Explain(err)
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err == nil {
		return false, conn.Close(ctx)
	}
	if refusal := pgError(err); refusal == nil || refusal.Code != codeNoDatabase {
		return false, Explain(err)
	}
	return createDatabase(ctx, cfg)
}

func createDatabase(ctx context.Context, cfg *pgx.ConnConfig) (created bool, err error) {
	admin := cfg.Copy()
	admin.Database = "postgres"
	conn, err := pgx.ConnectConfig(ctx, admin)
	if err != nil {
		return false, Explain(err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{cfg.Database}.Sanitize())
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) {
		if refusal.Code == codeDuplicateDatabase || refusal.Code == codeUniqueViolation {
			return false, nil // another process was faster
		}
		return false, fmt.Errorf("make database %q at %s: %s", cfg.Database, place(cfg.Host, cfg.Port), refusal.Message)
	}
	return err == nil, err
}
