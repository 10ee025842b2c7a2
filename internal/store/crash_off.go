//go:build !crashpoints

package store

import "github.com/jackc/pgx/v5"

// mortal gives connections their crash points, in builds that have any.
func mortal(*pgx.ConnConfig) {}
