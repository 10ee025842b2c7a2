package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cloud-run-orchestrator/internal/crash"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"

	"github.com/google/uuid"
)

// Restore asks to go on from a database that was restored to an earlier time.
type Restore struct {
	To     time.Time // the point to which it was restored, or earlier
	GiveUp bool      // what cannot be settled is given up: see Restored.Unseen and Waiting
	Actor  string
}

// Restored is how far a restore has come.
type Restored struct {
	Done       bool // launching goes on
	Remembered int  // sends that were put back by this call
	LeftAlone  []lifecycle.LeftAlone
	Stopped    int // steps that were given up
	Unseen     []Unseen
	Waiting    []string   // what must happen before launching goes on, a sentence each
	NextAt     *time.Time // when to ask again, where waiting is enough
	Jobs       int
	Took       time.Duration
}

// Unseen is a job of which not everything since the restored point can be seen.
type Unseen struct {
	Job   string
	From  time.Time // what was created before is forgotten by Cloud Run
	Steps int       // whose unsent tasks may have run then
}

// Restore puts back what a restored database has forgotten: sends that were made after the point to which it was restored. It may be repeated and
// killed anywhere, and is to be called until it is done. Nothing is launched meanwhile; launching goes on, under the database's present mark, when
//   - every execution with our marker is its row's, or is known to belong to nothing,
//   - the listings reach back to the point, or the steps of which nothing can be seen are given up, and
//   - they began a settle window after launching was blocked, so that calls which were under way show.
func (e *Engine) Restore(ctx context.Context, r Restore) (Restored, error) {
	begun := e.monotonic()
	stop := ctx.Done()
	ctx = crash.During(context.WithoutCancel(ctx), "restore")
	health, err := e.blockForRestore(ctx, r)
	if err != nil {
		return Restored{}, err
	}
	if err := e.Store.LookNow(ctx); err != nil {
		return Restored{}, err
	}
	if last := health.LastTickAt; last != nil && last.Before(r.To) { // only ticks send, so what came after the last one that it knows is all forgotten
		r.To = *last
	}
	x := &restoring{e: e, ask: r, health: health, spent: func() bool {
		select {
		case <-stop:
			return true
		default:
			return e.monotonic()-begun >= e.Budget
		}
	}}
	for again := true; again && !x.spent(); {
		if again, err = x.round(ctx); err != nil {
			return x.Restored, err
		}
	}
	err = x.conclude(ctx)
	x.Took = e.monotonic() - begun
	return x.Restored, err
}

// blockForRestore refuses what cannot be, and blocks launching where nobody has.
func (e *Engine) blockForRestore(ctx context.Context, r Restore) (lifecycle.Health, error) {
	health, err := e.Store.Health(ctx)
	switch {
	case err != nil:
		return health, err
	case health.Mode != e.Mode:
		return health, lifecycle.Conflict("this database belongs to mode %s, and this process runs in mode %s; nothing was changed", health.Mode, e.Mode)
	case r.To.After(health.Now):
		return health, lifecycle.Invalid("the database cannot have been restored to %s, which is still to come; it is %s now",
			r.To.UTC().Format(time.RFC3339), health.Now.UTC().Format(time.RFC3339))
	case health.LaunchBlockedReason == "":
		err = e.Store.BlockLaunch(ctx, "the database is being restored to "+r.To.UTC().Format(time.RFC3339))
	case health.LaunchBlockedAt == nil || !health.LaunchBlockedAt.After(r.To):
		// Blocked by hand, or already when this database was what it is restored to: the settle window counts from now.
		err = e.Store.Note(ctx, uuid.Nil, lifecycle.Event{Kind: "launch_blocked", Actor: r.Actor, Subject: "installation", Detail: health.LaunchBlockedReason})
	default:
		return health, nil
	}
	if err != nil {
		return health, err
	}
	return e.Store.Health(ctx)
}

// restoring is one call of Restore in progress.
type restoring struct {
	Restored
	e      *Engine
	ask    Restore
	health lifecycle.Health
	spent  func() bool

	now      time.Time // the database's clock when the last round began
	seen     []found   // of it
	whole    bool      // it was not cut short
	deferred []forgotten
}

// forgotten is an execution that could not be put back yet.
type forgotten struct {
	sighting
	work lifecycle.Work // empty where it does not tell it
	why  string
}

// round lists the jobs, puts back what it can, and lets follow what follows from that. again says that something has moved.
func (x *restoring) round(ctx context.Context) (again bool, err error) {
	now, err := x.e.Store.Now(ctx)
	if err != nil {
		return false, err
	}
	x.now = now
	t := &turn{now: now, spent: x.spent}
	if x.seen, err = x.list(ctx, t); err != nil {
		return false, err
	}
	x.deferred, x.whole = nil, false
	moved := -x.Remembered
	for _, f := range x.seen {
		if x.spent() {
			return false, nil
		}
		if err := x.remember(ctx, f); err != nil {
			return false, err
		}
	}
	for _, p := range x.e.phases() {
		if p.name == "pack" || p.name == "launch" { // nothing new is begun
			continue
		}
		n, err := p.run(ctx, &turn{now: now, spent: x.spent})
		if err != nil { // of some rows, which stay what they are; each tick tells it, and what the listings show does not depend on it
			x.e.Log.Warn("restore", "phase", p.name, "error", err)
		}
		moved += n
	}
	x.whole = !x.spent()
	return moved+x.Remembered > 0, nil
}

// list looks through everything that Cloud Run shows of every job that may have run.
func (x *restoring) list(ctx context.Context, t *turn) ([]found, error) {
	jobs, err := x.e.Store.RestoreJobs(ctx)
	if err != nil {
		return nil, err
	}
	users, err := x.e.jobsOfWorkflows(ctx)
	if err != nil {
		return nil, err
	}
	for _, job := range sortedKeys(users) {
		if !slices.Contains(jobs, job) {
			jobs = append(jobs, job)
		}
	}
	searches := make([]search, len(jobs))
	for i, job := range jobs {
		searches[i] = search{job: job, since: x.ask.To, began: t.now, reads: mostReads}
	}
	var seen []found
	left := forEach(ctx, x.e, t, searches,
		func(ctx context.Context, s search) found { return x.e.search(ctx, t, x.health.Installation, s) },
		func(group []found) { seen = append(seen, group...) })
	for _, s := range left {
		seen = append(seen, found{search: s, err: fmt.Errorf("there was no time to list it")})
	}
	x.Jobs = len(jobs)
	return seen, nil
}

// remember puts back what a listing shows and the database does not know, the oldest first.
func (x *restoring) remember(ctx context.Context, f found) error {
	rows, err := x.e.Store.Rows(ctx, rowsOf(f.ours))
	if err != nil {
		return err
	}
	var unknown []sighting
	for _, s := range slices.Backward(f.ours) {
		if s.judge(rows) == lifecycle.SightUnknownSend {
			unknown = append(unknown, s)
		}
	}
	known, err := x.e.Store.LeftAlone(ctx, namesOf(unknown))
	if err != nil {
		return err
	}
	for _, s := range unknown {
		if known[s.facts.Name] {
			continue
		}
		row, has := rows[s.marker.Row]
		if err := x.rememberOne(ctx, s, row, has); err != nil {
			return err
		}
	}
	return nil
}

func (x *restoring) rememberOne(ctx context.Context, s sighting, row store.Row, has bool) error {
	send := store.Send{Row: s.marker.Row, Send: s.marker.Send, At: s.facts.CreatedAt, Claim: newID()}
	switch {
	case has && row.Status == lifecycle.Finished:
		return x.rememberEnded(ctx, s, row)
	case has:
		ok, err := x.e.Store.RememberSend(ctx, send)
		x.count(ok, forgotten{s, workOf(row), "its row has another execution"})
		return err
	}
	work, err := s.facts.Origin.Work()
	if err != nil {
		x.deferred = append(x.deferred, forgotten{sighting: s, why: "it does not tell its work: " + err.Error()})
		return nil
	}
	job := lifecycle.JobOf(s.facts.Name)
	standing, err := x.e.Store.Standing(ctx, job, work)
	if err != nil {
		return err
	}
	switch fit, why := standing.Fit(); fit {
	case lifecycle.FitNever:
		return x.leaveAlone(ctx, s, why)
	case lifecycle.FitLater:
		x.deferred = append(x.deferred, forgotten{s, work, why})
		return nil
	}
	if len(standing.Planned) > 0 {
		if err := x.e.Store.Unplan(ctx, standing.Planned, "a later execution had its tasks before the database was restored"); err != nil {
			return err
		}
	}
	ok, err := x.e.Store.RememberRow(ctx, send, job, work)
	x.count(ok, forgotten{s, work, "its tasks have changed meanwhile"})
	return err
}

// rememberEnded leaves an execution alone whose row has ended here, unless its tasks wait to be sent.
func (x *restoring) rememberEnded(ctx context.Context, s sighting, row store.Row) error {
	standing, err := x.e.Store.Standing(ctx, row.Job, workOf(row))
	switch {
	case err != nil:
		return err
	case standing.Again():
		x.deferred = append(x.deferred, forgotten{s, workOf(row), "its row has ended, and its tasks have not"})
		return nil
	}
	return x.leaveAlone(ctx, s, "its row has ended")
}

func workOf(row store.Row) lifecycle.Work {
	return lifecycle.Work{RunID: row.RunID, Run: row.Run, Step: row.Step, Indexes: row.Indexes}
}

func (x *restoring) count(ok bool, otherwise forgotten) {
	if ok {
		x.Remembered++
	} else {
		x.deferred = append(x.deferred, otherwise)
	}
}

func (x *restoring) leaveAlone(ctx context.Context, s sighting, why string) error {
	l := lifecycle.LeftAlone{Name: s.facts.Name, Row: s.marker.Row, Run: s.facts.Origin.Run, Why: why, Ended: s.facts.CompletedAt != nil}
	x.Restored.LeftAlone = append(x.Restored.LeftAlone, l)
	return x.e.Store.LeaveAlone(ctx, l, x.ask.Actor)
}
