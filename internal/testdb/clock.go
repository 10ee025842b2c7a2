package testdb

import (
	"context"
	"sync"
	"testing"
	"time"
)

// Clock is a database's time that stands still until the test moves it. It is safe for concurrent use.
type Clock struct {
	db    *DB
	start time.Time

	mu  sync.Mutex
	now time.Time
}

const virtualClockSQL = `
CREATE TABLE virtual_clock (now timestamptz NOT NULL) WITH (fillfactor = 10);
CREATE OR REPLACE FUNCTION clock() RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = public, pg_temp
AS $$
BEGIN
    RETURN (SELECT now FROM virtual_clock);
END
$$`

// VirtualClock makes the database's clock() begin at start and move only with Advance. Give Now to the emulator and Local to the engine: then
// time is one for all three, and a test that failed fails again.
func (db *DB) VirtualClock(tb testing.TB, start time.Time) *Clock {
	tb.Helper()
	start = start.Round(0).Truncate(time.Microsecond) // as the database keeps it
	c := &Clock{db: db, start: start, now: start}
	if _, err := db.Pool.Exec(context.Background(), virtualClockSQL); err != nil {
		tb.Fatalf("testdb: virtual clock: %v", err)
	}
	if _, err := db.Pool.Exec(context.Background(), `INSERT INTO virtual_clock VALUES ($1)`, start); err != nil {
		tb.Fatalf("testdb: virtual clock: %v", err)
	}
	return c
}

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Local is the time as both local clocks of a machine show it that was never suspended and never set.
func (c *Clock) Local() (wall time.Time, monotonic time.Duration) {
	now := c.Now()
	return now, now.Sub(c.start)
}

// Advance moves the time on.
func (c *Clock) Advance(tb testing.TB, d time.Duration) {
	tb.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now.Add(d.Truncate(time.Microsecond))
	if _, err := c.db.Pool.Exec(context.Background(), `UPDATE virtual_clock SET now = $1`, now); err != nil {
		tb.Fatalf("testdb: move the virtual clock: %v", err)
	}
	c.now = now
}
