package migrations

import (
	"context"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

// UpFiles and DownFiles move a database by other files than ours; ReadFiles is the check of their names.
func UpFiles(ctx context.Context, t Target, fsys fs.FS) (Result, error) {
	return within(ctx, t, func(ctx context.Context, conn *pgx.Conn) (Result, error) {
		return runner{t, fsys}.up(ctx, conn)
	})
}

func DownFiles(ctx context.Context, t Target, fsys fs.FS, n int) (Result, error) {
	return within(ctx, t, func(ctx context.Context, conn *pgx.Conn) (Result, error) {
		return runner{t, fsys}.down(ctx, conn, n)
	})
}

var ReadFiles = readFiles

// File is one half of a migration, for tests.
type File = file

func (f file) Number() int { return f.number }

func (f file) IsUp() bool { return f.up }
