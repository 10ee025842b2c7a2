package e2e_test

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

// recovery is how long rows needed after all processes were killed at the same time, in seconds.
type recovery struct {
	inFlight []float64 // rows whose launch was under way, until it was settled
	others   []float64 // rows that a process had claimed to look at them, until another one did
}

// held is a row that a killed process had claimed.
type held struct {
	ID     uuid.UUID
	Status string
	Claim  uuid.UUID
}

const heldSQL = `SELECT id, status, claim FROM executions WHERE claim IS NOT NULL AND status <> 'finished'`

// measureRecovery kills all processes at once, sometimes the database with them, disturbs nothing for a while, and takes the time until every row that
// they held is in other hands or settled.
func (c *chaos) measureRecovery() {
	c.t.Helper()
	c.forces.Lock()
	defer c.forces.Unlock()
	c.quiet.Store(true)
	defer c.quiet.Store(false)
	for _, v := range c.victims {
		v.kill()
		c.count(&c.stats.Kills)
	}
	killed := time.Now()
	if c.choose(2) == 0 {
		c.stopDatabase()
	}
	rows, err := c.heldRows()
	if err != nil {
		c.t.Errorf("look for rows in flight: %v", err)
		return
	}
	limit := killed.Add(10 * chaosSettle)
	for len(rows) > 0 && time.Now().Before(limit) {
		now, err := c.heldRows()
		if err != nil {
			continue
		}
		for id, was := range rows {
			is, still := now[id]
			if still && is.Status == was.Status && (was.Status == "launching" || is.Claim == was.Claim) {
				continue
			}
			took := time.Since(killed).Seconds()
			if was.Status == "launching" {
				c.recovery.inFlight = append(c.recovery.inFlight, took)
			} else {
				c.recovery.others = append(c.recovery.others, took)
			}
			delete(rows, id)
		}
		time.Sleep(20 * time.Millisecond)
	}
	for id, row := range rows {
		c.t.Errorf("execution %s is still %s %s after the processes died", id, row.Status, time.Since(killed).Round(time.Second))
	}
}

// heldRows are the rows that somebody has claimed. The first answer of a database that has just been started may take a moment.
func (c *chaos) heldRows() (map[uuid.UUID]held, error) {
	var list []held
	var err error
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		list, err = collect[held](ctx, c, heldSQL)
		cancel()
		if err == nil {
			break
		}
	}
	rows := map[uuid.UUID]held{}
	for _, h := range list {
		rows[h.ID] = h
	}
	return rows, err
}

// summary is the recovery beside what it should be: rows in flight by the settle window and two ticks, all others by the claim and one tick.
func (r recovery) summary() map[string]any {
	const tick = chaosTick + time.Second // a tick begins a second after the last one's end at most, and takes a moment
	return map[string]any{
		"rows_in_flight": spread(r.inFlight, chaosSettle+2*tick),
		"other_rows":     spread(r.others, chaosClaim+tick),
	}
}

func spread(seconds []float64, bound time.Duration) map[string]any {
	if len(seconds) == 0 {
		return map[string]any{"n": 0}
	}
	slices.Sort(seconds)
	most := seconds[len(seconds)-1]
	return map[string]any{
		"n": len(seconds), "median_seconds": seconds[len(seconds)/2], "max_seconds": most, "bound_seconds": bound.Seconds(), "within_bound": most <= bound.Seconds(),
	}
}
