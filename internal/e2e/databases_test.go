package e2e_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/store"
	"cloud-run-orchestrator/internal/testdb"
)

// databases lends one database to many cases, one after the other: to make one, and to connect to it, takes as long as a case.
type databases struct {
	t    *testing.T // with which they end
	mu   sync.Mutex
	free []*lent
}

// lent is a database with a store that checks its rules.
type lent struct {
	*testdb.DB
	store *store.Store
	ours  []int32 // the server processes of that store
}

// take gives a case a database as if it were new. The database of a failed case is not lent again.
func (d *databases) take(t *testing.T) *lent {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	var db *lent
	if n := len(d.free); n > 0 {
		db, d.free = d.free[n-1], d.free[:n-1]
	} else {
		db = d.make()
	}
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		if err := db.empty(); err != nil {
			t.Errorf("empty the database: %v", err)
			return
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.free = append(d.free, db)
	})
	return db
}

const oursSQL = `SELECT coalesce(array_agg(pid), '{}') FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'orchestrator'`

func (d *databases) make() *lent {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	db := &lent{DB: testdb.New(d.t)}
	var err error
	if db.store, err = store.Open(ctx, store.Options{URL: db.DSN, PoolSize: 1}); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(db.store.Close)
	if _, err := db.store.Invariants(ctx); err != nil {
		d.t.Fatal(err)
	}
	if err := db.Pool.QueryRow(ctx, oursSQL).Scan(&db.ours); err != nil {
		d.t.Fatal(err)
	}
	return db
}

const busySQL = `
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'orchestrator' AND pid <> ALL ($1)`

// emptySQL leaves a new installation and nothing else. Triggers and foreign keys are of no use to what goes as a whole.
const emptySQL = `
DO $$
DECLARE
    name text;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('installation', 'schema_migrations') LOOP
        EXECUTE format('DELETE FROM %I', name);
    END LOOP;
    UPDATE installation SET id = gen_random_uuid(), paused_at = NULL, launch_blocked_reason = '', last_tick_at = NULL, clock_offset = '0';
END
$$`

// empty waits until the statements of killed processes have come to their end, too.
func (db *lent) empty() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for busy := 1; busy > 0; time.Sleep(2 * time.Millisecond) {
		if err := db.Pool.QueryRow(ctx, busySQL, db.ours).Scan(&busy); err != nil {
			return err
		}
	}
	_, err := db.Pool.Exec(ctx, emptySQL)
	return err
}
