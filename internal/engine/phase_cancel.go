package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"
)

// cancel ends what a stopping step has not sent, and asks its live executions to stop. They end when observe sees them end.
//
//	task pending | dispatched → cancelled, execution planned → finished/cancelled
func (e *Engine) cancel(ctx context.Context, t *turn) (int, error) {
	planned, err := pages(t, func() (int, error) { return e.Store.CancelPlanned(ctx, t.now, page) })
	pending := 0
	for err == nil && !t.over() {
		var n int
		n, err = e.Store.CancelPending(ctx, t.now, expandChunk)
		pending += n
		if n < expandChunk {
			break
		}
	}
	_, err2 := pages(t, func() (int, error) { return e.Store.MarkStopping(ctx, page) })
	asked, err3 := e.askToStop(ctx, t)
	return planned + pending + asked, errors.Join(err, err2, err3)
}

func (e *Engine) askToStop(ctx context.Context, t *turn) (asked int, err error) {
	var errs []error
	for {
		rows, err := e.Store.ClaimCancels(ctx, e.claim(t))
		if err != nil || len(rows) == 0 {
			return asked, errors.Join(append(errs, err)...)
		}
		left := forEach(ctx, e, t, rows, e.askOne, func(sent []cancelAnswer) {
			records := make([]store.CancelSent, len(sent))
			for i, s := range sent {
				records[i] = store.CancelSent{ID: s.row.ID, Claim: s.row.Claim, OK: s.err == nil, Again: cancelAgain(s, t.now)}
				if s.err != nil {
					err := fmt.Errorf("cancel %s: %w", s.row.Name, s.err)
					records[i].Why = err.Error()
					errs = append(errs, err)
				} else {
					asked++
				}
			}
			errs = append(errs, e.Store.RecordCancels(ctx, records))
		})
		errs = append(errs, e.Store.Release(ctx, ids(left), store.Undecided{Claim: claimOf(left)}))
		if len(rows) < page || t.over() {
			return asked, errors.Join(errs...)
		}
	}
}

type cancelAnswer struct {
	row lifecycle.Execution
	err error
}

func (e *Engine) askOne(ctx context.Context, x lifecycle.Execution) cancelAnswer {
	err := e.CloudRun.Cancel(ctx, x.Name)
	if errors.Is(err, lifecycle.ErrGone) { // observe finds out
		err = nil
	}
	return cancelAnswer{x, err}
}

// cancelAgain is the time until the next call, should it still live: as long as the stop is old, between ten seconds and ten minutes.
func cancelAgain(c cancelAnswer, now time.Time) time.Duration {
	if c.row.Stop.RequestedAt == nil {
		return 10 * time.Second
	}
	return min(max(now.Sub(*c.row.Stop.RequestedAt), 10*time.Second), 10*time.Minute)
}

// claim is a claim of a page of live rows that were due when the pass began.
func (e *Engine) claim(t *turn) store.Claim {
	return store.Claim{Token: newID(), Length: e.Claim, Limit: page, Due: t.now}
}
