package engine

import (
	"context"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// Effects are recorded in groups, since every commit that moves a counter meets the others on the step's row.
const (
	groupRows = 200
	groupWait = 100 * time.Millisecond
)

// page is how many rows a phase claims or moves at a time.
const page = 200

// grouped hands on what comes through in, in groups: up to groupRows, or what came within groupWait of the first. It returns when in is closed and everything was handed on.
func grouped[T any](in <-chan T, flush func([]T)) {
	for first := range in {
		group := []T{first}
		timer := time.NewTimer(groupWait)
	gather:
		for len(group) < groupRows {
			select {
			case next, open := <-in:
				if !open {
					break gather
				}
				group = append(group, next)
			case <-timer.C:
				break gather
			}
		}
		timer.Stop()
		flush(group)
	}
}

// forEach calls f for every row, up to Concurrency at once, and hands the results to flush in groups. Rows whose turn comes when the phase is over are left out and returned.
func forEach[R, T any](ctx context.Context, e *Engine, t *turn, rows []R, f func(context.Context, R) T, flush func([]T)) (left []R) {
	results := make(chan T, groupRows)
	done := make(chan struct{})
	go func() {
		defer close(done)
		grouped(results, flush)
	}()
	var g errgroup.Group
	g.SetLimit(e.Concurrency)
	for i, row := range rows {
		if t.over() {
			left = rows[i:]
			break
		}
		g.Go(func() error {
			results <- f(ctx, row)
			return nil
		})
	}
	_ = g.Wait() // f reports its errors in T
	close(results)
	<-done
	return left
}

// ids are the ids of claimed rows.
func ids(rows []lifecycle.Execution) []uuid.UUID {
	list := make([]uuid.UUID, len(rows))
	for i, x := range rows {
		list[i] = x.ID
	}
	return list
}

// claimOf is the token under which rows were claimed together.
func claimOf(rows []lifecycle.Execution) uuid.UUID {
	if len(rows) == 0 {
		return uuid.Nil
	}
	return rows[0].Claim
}
