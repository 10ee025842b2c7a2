package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"

	"github.com/google/uuid"
)

// watchLease is how long a tick may take to look for a lost row before another one does.
const watchLease = time.Minute

// recover looks for launches whose answer was lost, and for those that Cloud Run shows after their row had ended.
//
//	execution launching → launched, or → finished/lost with its tasks → pending
func (e *Engine) recover(ctx context.Context, t *turn) (int, error) {
	here, err := e.Store.Installation(ctx)
	if err != nil {
		return 0, err
	}
	unknown, err := e.Store.ClaimUnknown(ctx, e.claim(t))
	if err != nil {
		return 0, err
	}
	watched, err := e.Store.ClaimWatched(ctx, watchLease, page)
	searches := searchesOf(unknown, watched)
	moved := 0
	errs := []error{err}
	if err := e.sentUntilBlocked(ctx, here, searches); err != nil { // nothing may be concluded then
		return 0, errors.Join(errs[0], err)
	}
	left := forEach(ctx, e, t, searches,
		func(ctx context.Context, s search) found { return e.search(ctx, t, here.ID, s) },
		func(group []found) {
			for _, f := range group {
				n, err := e.recordFound(ctx, t.now, f)
				moved += n
				errs = append(errs, err)
			}
		})
	for _, s := range left {
		errs = append(errs, e.Store.Release(ctx, ids(s.unknown), store.Undecided{Claim: claimOf(s.unknown)}))
	}
	t.cut = t.cut || len(unknown) == page || len(watched) == page
	n, err := e.stopOrphans(ctx, t)
	return moved + n, errors.Join(append(errs, err)...)
}

// sentUntilBlocked notes that a database which launches nothing may be a copy, of which the original has sent rows until launching was blocked here.
func (e *Engine) sentUntilBlocked(ctx context.Context, here store.Installation, searches []search) error {
	if here.LaunchBlockedReason == "" || len(searches) == 0 {
		return nil
	}
	health, err := e.Store.Health(ctx)
	if err != nil || health.LaunchBlockedAt == nil {
		return err
	}
	for i := range searches {
		searches[i].sent = *health.LaunchBlockedAt
	}
	return nil
}

// recordFound compares what a search saw with the ledger and writes what follows.
func (e *Engine) recordFound(ctx context.Context, now time.Time, f found) (moved int, err error) {
	seen, newer, err := e.recordSightings(ctx, f)
	if seen == nil { // the ledger could not be asked, so nothing follows from what was not seen
		return 0, errors.Join(f.err, err)
	}
	moved, err2 := e.settleUnknown(ctx, now, f, seen, newer)
	return moved, errors.Join(f.err, err, err2, e.settleWatched(ctx, now, f))
}

// recordSightings judges the executions with our marker, and gives those that launching rows wait for, by row; nil where they could not be judged.
// Sends that this database does not know block launching; newer are the rows that have such a one.
// While that is blocked nothing is taken for an orphan: what this database does not know may be the work of another copy of it.
func (e *Engine) recordSightings(ctx context.Context, f found) (seen map[uuid.UUID][]lifecycle.Facts, newer map[uuid.UUID]bool, err error) {
	seen, newer = map[uuid.UUID][]lifecycle.Facts{}, map[uuid.UUID]bool{}
	if len(f.ours) == 0 {
		return seen, newer, nil
	}
	rows, err := e.Store.Rows(ctx, rowsOf(f.ours))
	if err != nil {
		return nil, nil, err
	}
	var orphans, unknown []sighting
	for _, s := range f.ours {
		switch s.judge(rows) {
		case lifecycle.SightUnknownSend:
			unknown = append(unknown, s)
			newer[s.marker.Row] = true
		case lifecycle.SightNamed:
			if len(seen[s.marker.Row]) > 0 {
				orphans = append(orphans, s)
			}
			seen[s.marker.Row] = append(seen[s.marker.Row], s.facts)
		case lifecycle.SightOrphan:
			orphans = append(orphans, s)
		}
	}
	if err := e.blockForUnknown(ctx, unknown); err != nil {
		return nil, nil, err
	}
	if len(orphans) == 0 {
		return seen, newer, nil
	}
	here, err := e.Store.Installation(ctx)
	if err != nil || here.LaunchBlockedReason != "" {
		return seen, newer, err
	}
	var errs []error
	for _, s := range orphans {
		errs = append(errs, e.Store.RecordOrphan(ctx, s.marker.Row, s.facts.Name, s.facts.CompletedAt != nil))
	}
	return seen, newer, errors.Join(errs...)
}

// blockForUnknown blocks launching for sends that this database does not know, but for those that a restore has left alone.
func (e *Engine) blockForUnknown(ctx context.Context, unknown []sighting) error {
	if len(unknown) == 0 {
		return nil
	}
	known, err := e.Store.LeftAlone(ctx, namesOf(unknown))
	if err != nil {
		return err
	}
	for _, s := range unknown {
		if !known[s.facts.Name] {
			return e.Store.BlockLaunch(ctx, unknownSend(s))
		}
	}
	return nil
}

func unknownSend(s sighting) string {
	return fmt.Sprintf("Cloud Run shows %s, which this installation sent and this database does not know: the database was restored to an earlier time", s.facts.Name)
}

// settleUnknown decides the launching rows of a search, but for those that were sent again since this database was restored: a restore puts that back.
func (e *Engine) settleUnknown(ctx context.Context, now time.Time, f found, seen map[uuid.UUID][]lifecycle.Facts, newer map[uuid.UUID]bool) (moved int, err error) {
	var errs []error
	var named []store.Named
	var lost, waiting, noJob []lifecycle.Execution
	soonest := e.Claim
	kinds := map[uuid.UUID]lifecycle.RecoveryKind{}
	for row, facts := range seen { // a name is a fact, also of a row that somebody else has claimed
		named = append(named, store.Named{ID: row, Send: sendOf(f.ours, row, facts[0].Name), Name: facts[0].Name})
	}
	for _, x := range f.unknown {
		r := lifecycle.Recover(x, seen[x.ID], f.listing, e.SettleWindow, e.HistoryKept, now)
		if newer[x.ID] && r.Kind != lifecycle.RecoverFound {
			r = lifecycle.Recovery{NextAt: now.Add(e.Claim)}
		}
		switch r.Kind {
		case lifecycle.RecoverFound:
		case lifecycle.RecoverWait:
			if f.listing.Gone && !f.listing.BeganAt.Before(x.SentAt.Add(e.SettleWindow)) {
				noJob = append(noJob, x)
			} else {
				waiting = append(waiting, x)
			}
			soonest = min(soonest, max(r.NextAt.Sub(now), time.Second))
		default:
			lost = append(lost, x)
			kinds[x.ID] = r.Kind
		}
	}
	u := store.Undecided{Claim: claimOf(f.unknown), After: soonest, Why: waitsFor(f), Looked: true}
	errs = append(errs, e.Store.Release(ctx, ids(waiting), u))
	u.Gone = true
	errs = append(errs, e.Store.Release(ctx, ids(noJob), u))
	if len(named) > 0 {
		done, err := e.Store.RecordNamed(ctx, named, 0)
		moved += len(done)
		errs = append(errs, err)
	}
	n, err := e.recordLost(ctx, now, lost, kinds)
	return moved + n, errors.Join(append(errs, err)...)
}

func sendOf(ours []sighting, row uuid.UUID, name string) int {
	for _, s := range ours {
		if s.marker.Row == row && s.facts.Name == name {
			return s.marker.Send
		}
	}
	return 0
}

func waitsFor(f found) string {
	switch {
	case f.err != nil:
		return f.err.Error()
	case f.listing.Gone:
		return fmt.Sprintf("Cloud Run does not know job %s, so nobody can tell whether it was started", f.job)
	}
	return ""
}

func (e *Engine) recordLost(ctx context.Context, now time.Time, lost []lifecycle.Execution, kinds map[uuid.UUID]lifecycle.RecoveryKind) (int, error) {
	attempts, err := e.attempts(ctx, ids(lost))
	if err != nil {
		return 0, err
	}
	moves := make([]lifecycle.Move, len(lost))
	for i, x := range lost {
		moves[i] = lifecycle.Lost(x, kinds[x.ID], attempts[x.ID], now)
		e.Log.Warn("launch lost", "execution", x.ID, "job", x.Job, "send", x.Send, "reason", moves[i].Reason)
	}
	done, err := e.Store.RecordMoves(ctx, moves, nil)
	return len(done), err
}

// settleWatched sets when the lost rows of a search are looked for next. A listing that did not reach back to them is repeated in a minute.
func (e *Engine) settleWatched(ctx context.Context, now time.Time, f found) error {
	var list []uuid.UUID
	var next []*time.Time
	for _, x := range f.watched {
		at, ok := lifecycle.NextWatch(*x.FinishedAt, now)
		switch {
		case !ok:
			list, next = append(list, x.ID), append(next, nil)
		case f.listing.Covers(*x.SentAt): // else the lease ends in a minute
			list, next = append(list, x.ID), append(next, &at)
		}
	}
	return e.Store.Watched(ctx, list, next)
}

// stopOrphans cancels executions of ours that are not their row's, again with growing delay until they end.
func (e *Engine) stopOrphans(ctx context.Context, t *turn) (int, error) {
	if here, err := e.Store.Installation(ctx); err != nil || here.LaunchBlockedReason != "" {
		return 0, err
	}
	orphans, err := e.Store.ClaimOrphans(ctx, watchLease, page)
	if err != nil || len(orphans) == 0 {
		return 0, err
	}
	var errs []error
	forEach(ctx, e, t, orphans,
		func(ctx context.Context, o store.Orphan) error { return e.stopOrphan(ctx, t.now, o) },
		func(group []error) { errs = append(errs, group...) })
	return 0, errors.Join(errs...)
}

func (e *Engine) stopOrphan(ctx context.Context, now time.Time, o store.Orphan) error {
	age := now.Sub(o.FoundAt)
	again := min(max(age, 10*time.Second), time.Hour)
	f, err := e.CloudRun.Get(ctx, o.Name)
	switch {
	case errors.Is(err, lifecycle.ErrGone):
		return e.Store.RecordOrphanLook(ctx, o.Name, age > lifecycle.WatchFor, false, again)
	case err != nil:
		return fmt.Errorf("look at orphan %s: %w", o.Name, err)
	case f.CompletedAt != nil:
		return e.Store.RecordOrphanLook(ctx, o.Name, true, false, 0)
	}
	if err := e.CloudRun.Cancel(ctx, o.Name); err != nil && !errors.Is(err, lifecycle.ErrGone) {
		return fmt.Errorf("cancel orphan %s: %w", o.Name, err)
	}
	return e.Store.RecordOrphanLook(ctx, o.Name, false, true, again)
}
