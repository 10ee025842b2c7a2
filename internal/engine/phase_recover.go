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
		errs = append(errs, e.Store.Release(ctx, ids(s.unknown), claimOf(s.unknown), 0, ""))
	}
	t.cut = t.cut || len(unknown) == page || len(watched) == page
	n, err := e.stopOrphans(ctx, t)
	return moved + n, errors.Join(append(errs, err)...)
}

// search is the rows of one job for whose markers its newest executions are read: one listing serves them all.
type search struct {
	job     string
	unknown []lifecycle.Execution
	watched []lifecycle.Execution
	since   time.Time // how far back the listing must reach
	began   time.Time // the database's clock before the first page
}

func searchesOf(unknown, watched []lifecycle.Execution) []search {
	var list []search
	at := map[string]int{}
	add := func(x lifecycle.Execution) *search {
		i, ok := at[x.Job]
		if !ok {
			i = len(list)
			at[x.Job] = i
			list = append(list, search{job: x.Job, since: *x.SentAt, began: x.ClaimedAt})
		}
		s := &list[i]
		if x.SentAt.Before(s.since) {
			s.since = *x.SentAt
		}
		if x.ClaimedAt.Before(s.began) {
			s.began = x.ClaimedAt
		}
		return s
	}
	for _, x := range unknown {
		s := add(x)
		s.unknown = append(s.unknown, x)
	}
	for _, x := range watched {
		if x.SentAt != nil {
			s := add(x)
			s.watched = append(s.watched, x)
		}
	}
	return list
}

// found is what a search saw.
type found struct {
	search
	listing lifecycle.Listing
	ours    []sighting
	names   map[string]bool // of ours
	err     error
}

// sighting is an execution with a marker of this installation.
type sighting struct {
	marker lifecycle.Marker
	facts  lifecycle.Facts
}

// search reads a job's executions, newest first, until it has passed the oldest send or the end.
func (e *Engine) search(ctx context.Context, t *turn, installation uuid.UUID, s search) found {
	f := found{search: s, listing: lifecycle.Listing{BeganAt: s.began}, names: map[string]bool{}}
	token := ""
	for {
		list, next, err := e.CloudRun.List(ctx, s.job, token)
		if errors.Is(err, lifecycle.ErrGone) && token == "" { // the job is gone, and its executions with it
			f.listing.ReachedEnd = true
			return f
		}
		if err != nil {
			f.err = fmt.Errorf("list executions of %s: %w", s.job, err)
			f.listing.Unread = true
			return f
		}
		for _, x := range list {
			e.sight(ctx, installation, x, &f)
		}
		token = next
		switch {
		case next == "":
			f.listing.ReachedEnd = true
			return f
		case f.listing.ReachesBack(s.since):
			return f
		case t.spent():
			return f
		}
	}
}

// sight takes one listed execution in. One of the time in question that hides its environment is read by itself; when that fails, nothing may be concluded from absence.
func (e *Engine) sight(ctx context.Context, installation uuid.UUID, x lifecycle.Facts, f *found) {
	f.listing.Count++
	if end := x.CompletedAt; end != nil && (f.listing.FirstEnd.IsZero() || end.Before(f.listing.FirstEnd)) {
		f.listing.FirstEnd = *end
	}
	if x.EnvHidden && (x.CreatedAt.IsZero() || !x.CreatedAt.Before(f.since.Add(-lifecycle.ListingMargin))) {
		read, err := e.CloudRun.Get(ctx, x.Name)
		if err != nil {
			f.listing.Unread = true
			f.err = fmt.Errorf("read %s, whose environment the listing hides: %w", x.Name, err)
			return
		}
		x = read
	}
	m, ok := lifecycle.ParseMarker(x.Marker)
	if !ok || m.Installation != installation {
		return
	}
	// What starts while pages are read moves the list on, and the last of one page is the first of the next: that is no second execution of its row.
	if !f.names[x.Name] {
		f.names[x.Name] = true
		f.ours = append(f.ours, sighting{m, x})
	}
}

// recordFound compares what a search saw with the ledger and writes what follows.
func (e *Engine) recordFound(ctx context.Context, now time.Time, f found) (moved int, err error) {
	errs := []error{f.err}
	seen := map[uuid.UUID][]lifecycle.Facts{}
	if len(f.ours) > 0 {
		list := make([]uuid.UUID, len(f.ours))
		for i, s := range f.ours {
			list[i] = s.marker.Row
		}
		rows, err := e.Store.Rows(ctx, list)
		if err != nil {
			return 0, errors.Join(append(errs, err)...)
		}
		for _, s := range f.ours {
			if why := unknownSend(s, rows); why != "" {
				errs = append(errs, e.Store.BlockLaunch(ctx, why))
			}
		}
		here, err := e.Store.Installation(ctx)
		if err != nil {
			return 0, errors.Join(append(errs, err)...)
		}
		for _, s := range f.ours {
			named, err := e.judge(ctx, s, rows, here.LaunchBlockedReason != "")
			errs = append(errs, err)
			if named {
				seen[s.marker.Row] = append(seen[s.marker.Row], s.facts)
			}
		}
	}
	moved, err = e.settleUnknown(ctx, now, f, seen)
	return moved, errors.Join(append(errs, err, e.settleWatched(ctx, now, f))...)
}

// unknownSend says why a marker of ours shows that this database is not the one that sent it, or is older; empty where it does not.
func unknownSend(s sighting, rows map[uuid.UUID]store.Row) string {
	row, ok := rows[s.marker.Row]
	if ok && (s.marker.Send < row.Send || s.marker.Send == row.Send && row.SentAt != nil) {
		return ""
	}
	return fmt.Sprintf("Cloud Run shows %s, which this installation sent and this database does not know: the database was restored to an earlier time", s.facts.Name)
}

// judge says what an execution with our marker is to its row: its own, so that the row takes the name, or an orphan.
// While launching is blocked nothing is taken for an orphan: what this database does not know may be the work of another copy of it.
func (e *Engine) judge(ctx context.Context, s sighting, rows map[uuid.UUID]store.Row, blocked bool) (named bool, err error) {
	row := rows[s.marker.Row]
	switch {
	case unknownSend(s, rows) != "":
		return false, nil
	case lifecycle.SameExecution(row.Name, s.facts.Name) && row.Outcome != lifecycle.OutcomeLost:
		return false, nil
	case row.Status == lifecycle.Launching && row.Send == s.marker.Send && row.Name == "":
		return true, nil
	case blocked:
		return false, nil
	}
	return false, e.Store.RecordOrphan(ctx, row.ID, s.facts.Name, s.facts.CompletedAt != nil)
}

// settleUnknown decides the launching rows of a search.
func (e *Engine) settleUnknown(ctx context.Context, now time.Time, f found, seen map[uuid.UUID][]lifecycle.Facts) (moved int, err error) {
	var errs []error
	var named []store.Named
	var lost, waiting []lifecycle.Execution
	soonest := e.Claim
	kinds := map[uuid.UUID]lifecycle.RecoveryKind{}
	for row, facts := range seen { // a name is a fact, also of a row that somebody else has claimed
		named = append(named, store.Named{ID: row, Send: sendOf(f.ours, row, facts[0].Name), Name: facts[0].Name})
		for _, twice := range facts[1:] {
			errs = append(errs, e.Store.RecordOrphan(ctx, row, twice.Name, twice.CompletedAt != nil))
		}
	}
	for _, x := range f.unknown {
		r := lifecycle.Recover(x, seen[x.ID], f.listing, e.SettleWindow, e.HistoryKept, now)
		switch r.Kind {
		case lifecycle.RecoverFound:
		case lifecycle.RecoverWait:
			waiting = append(waiting, x)
			soonest = min(soonest, max(r.NextAt.Sub(now), time.Second))
		default:
			lost = append(lost, x)
			kinds[x.ID] = r.Kind
		}
	}
	errs = append(errs, e.Store.Release(ctx, ids(waiting), claimOf(waiting), soonest, waitsFor(f)))
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
	if f.err != nil {
		return f.err.Error()
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

// settleWatched sets when the lost rows of a search are looked for next. A listing that failed is repeated in a minute.
func (e *Engine) settleWatched(ctx context.Context, now time.Time, f found) error {
	var list []uuid.UUID
	var next []*time.Time
	for _, x := range f.watched {
		at, ok := lifecycle.NextWatch(*x.FinishedAt, now)
		switch {
		case !ok:
			list, next = append(list, x.ID), append(next, nil)
		case f.err == nil: // else the lease ends in a minute
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
