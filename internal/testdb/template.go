package testdb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"cloud-run-orchestrator/migrations"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// templateLock is the advisory lock under which one of many processes makes the template.
const templateLock = 7001

// prepare makes the template for the present migrations where it is missing, and returns its name.
func prepare(ctx context.Context, admin *pgxpool.Pool) (name string, err error) {
	hash, err := migrationsHash()
	if err != nil {
		return "", err
	}
	name = "template_" + hash
	conn, err := admin.Acquire(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", templateLock); err != nil {
		return "", fmt.Errorf("lock the template: %w", err)
	}
	defer func() {
		_, unlockErr := conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", templateLock)
		err = errors.Join(err, unlockErr)
	}()
	var whole bool
	const isWhole = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)"
	if err := conn.QueryRow(ctx, isWhole, name).Scan(&whole); err != nil || whole {
		return name, err
	}
	return name, build(ctx, conn.Conn(), name)
}

// build makes the template. It is marked as one only when it is whole, and closed to connections, because a connection would block clones.
func build(ctx context.Context, conn *pgx.Conn, name string) error {
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + name + " WITH (FORCE)", "CREATE DATABASE " + name} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make the template: %w", err)
		}
	}
	cfg := conn.Config().Copy()
	cfg.Database = name
	if err := migrations.Schema(ctx, migrations.Target{DSN: dsn(cfg)}, schema()); err != nil {
		return fmt.Errorf("make the template: %w", err)
	}
	if _, err := conn.Exec(ctx, "ALTER DATABASE "+name+" WITH IS_TEMPLATE true ALLOW_CONNECTIONS false"); err != nil {
		return fmt.Errorf("make the template: %w", err)
	}
	return nil
}

// schema are the migrations of this release, or those in the folder of TESTDB_MIGRATIONS: that is how the tests of one release run on the schema
// of the next.
func schema() fs.FS {
	if dir := os.Getenv("TESTDB_MIGRATIONS"); dir != "" {
		return os.DirFS(dir)
	}
	return migrations.FS
}

// migrationsHash changes with every byte of the migrations.
func migrationsHash() (string, error) {
	files := schema()
	sum := sha256.New()
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return "", err
	}
	for _, name := range names {
		sql, err := fs.ReadFile(files, name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n%s", name, len(sql), sql)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}
