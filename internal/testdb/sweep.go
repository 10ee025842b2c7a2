package testdb

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Tests of hours ago, failed or killed, left these: nobody is connected, and the files are old.
const forgottenSQL = `
SELECT datname
FROM pg_database AS d
WHERE datname ~ '^t_[a-z0-9]{12}'
  AND NOT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.datname = d.datname)
  AND (pg_stat_file('base/' || d.oid || '/PG_VERSION', true)).modification < now() - $1::interval
ORDER BY datname`

// sweep drops the databases that earlier tests left on our own server more than an hour ago.
func sweep(ctx context.Context, admin *pgxpool.Pool) error {
	return sweepOlder(ctx, admin, "1 hour")
}

func sweepOlder(ctx context.Context, admin *pgxpool.Pool, age string) error {
	rows, err := admin.Query(ctx, forgottenSQL, age)
	if err != nil {
		return fmt.Errorf("look for forgotten databases: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look for forgotten databases: %w", err)
	}
	for _, name := range names {
		if _, err := admin.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()); err != nil {
			return fmt.Errorf("drop the forgotten database %s: %w", name, err)
		}
	}
	return nil
}
