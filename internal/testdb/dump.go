package testdb

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Dump writes the database to a file, as a backup does, while others use it. It needs the server's own programs on this machine.
func (db *DB) Dump(tb testing.TB) (file string) {
	tb.Helper()
	file = filepath.Join(tb.TempDir(), "dump")
	db.program(tb, "pg_dump", "--format=custom", "--file="+file, "--dbname="+db.DSN)
	return file
}

// Restored makes a database out of a dump. It ends like one of New, and is another database to the server than the one that was dumped.
func Restored(tb testing.TB, file string) *DB {
	tb.Helper()
	db := Empty(tb)
	db.program(tb, "pg_restore", "--exit-on-error", "--dbname="+db.DSN, file)
	return db
}

// program runs one of the programs that belong to the server.
func (db *DB) program(tb testing.TB, name string, args ...string) {
	tb.Helper()
	ctx := context.Background()
	rows, err := db.Pool.Query(ctx, `SELECT setting FROM pg_config WHERE name = 'BINDIR'`)
	if err != nil {
		tb.Fatalf("testdb: %v", err)
	}
	dir, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
	if err != nil {
		tb.Fatalf("testdb: %v", err)
	}
	if out, err := exec.CommandContext(ctx, filepath.Join(dir, name), args...).CombinedOutput(); err != nil {
		tb.Fatalf("testdb: %s: %v\n%s", name, err, out)
	}
}
