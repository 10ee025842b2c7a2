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
	case health.LaunchBlockedAt == nil: // by hand; when is needed for the settle window
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

	seen     []found // of the last round
	deferred []forgotten
}

// forgotten is an execution that could not be put back yet.
type forgotten struct {
	sighting
	why string
}

// round lists the jobs, puts back what it can, and lets follow what follows from that. again says that something has moved.
func (x *restoring) round(ctx context.Context) (again bool, err error) {
	now, err := x.e.Store.Now(ctx)
	if err != nil {
		return false, err
	}
	t := &turn{now: now, spent: x.spent}
	if x.seen, err = x.list(ctx, t); err != nil {
		return false, err
	}
	x.deferred = nil
	moved := -x.Remembered
	for _, f := range x.seen {
		if err := x.remember(ctx, f); err != nil {
			return false, err
		}
	}
	for _, p := range x.e.phases() {
		if p.name == "pack" || p.name == "launch" { // nothing new is begun
			continue
		}
		n, err := p.run(ctx, &turn{now: now, spent: x.spent})
		if err != nil {
			return false, fmt.Errorf("%s: %w", p.name, err)
		}
		moved += n
	}
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
		return x.leaveAlone(ctx, s, "its row has ended")
	case has:
		ok, err := x.e.Store.RememberSend(ctx, send)
		x.count(ok, s, "its row has another execution")
		return err
	}
	work, err := s.facts.Origin.Work()
	if err != nil {
		x.deferred = append(x.deferred, forgotten{s, "it does not tell its work: " + err.Error()})
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
		x.deferred = append(x.deferred, forgotten{s, why})
		return nil
	}
	if len(standing.Planned) > 0 {
		if err := x.e.Store.Unplan(ctx, standing.Planned, "a later execution had its tasks before the database was restored"); err != nil {
			return err
		}
	}
	ok, err := x.e.Store.RememberRow(ctx, send, job, work)
	x.count(ok, s, "its tasks have changed meanwhile")
	return err
}

func (x *restoring) count(ok bool, s sighting, otherwise string) {
	if ok {
		x.Remembered++
	} else {
		x.deferred = append(x.deferred, forgotten{s, otherwise})
	}
}

func (x *restoring) leaveAlone(ctx context.Context, s sighting, why string) error {
	l := lifecycle.LeftAlone{Name: s.facts.Name, Row: s.marker.Row, Run: s.facts.Origin.Run, Why: why, Ended: s.facts.CompletedAt != nil}
	x.Restored.LeftAlone = append(x.Restored.LeftAlone, l)
	return x.e.Store.LeaveAlone(ctx, l, x.ask.Actor)
}

// conclude says what is still to come, or lets launching go on.
func (x *restoring) conclude(ctx context.Context) error {
	for _, f := range x.deferred {
		if x.ask.GiveUp {
			if err := x.leaveAlone(ctx, f.sighting, f.why); err != nil {
				return err
			}
			continue
		}
		x.wait("execution %s of run %s waits: %s", f.facts.Name, f.facts.Origin.Run, f.why)
	}
	settled := x.health.Now
	if x.health.LaunchBlockedAt != nil {
		settled = x.health.LaunchBlockedAt.Add(x.e.SettleWindow)
	}
	for _, f := range x.seen {
		if err := x.judge(ctx, f, settled); err != nil {
			return err
		}
	}
	if x.spent() {
		x.wait("the time of this call was spent")
	}
	if len(x.Waiting) > 0 || len(x.Unseen) > 0 {
		return nil
	}
	detail := fmt.Sprintf("to %s: this database goes on", x.ask.To.UTC().Format(time.RFC3339))
	ok, err := x.e.Store.UnblockLaunch(ctx, x.health.LaunchBlockedReason, x.ask.Actor, detail)
	if err == nil && !ok {
		return lifecycle.Conflict("launching is blocked for another reason meanwhile; look at it with orchestrator doctor")
	}
	x.Done = err == nil
	return err
}

func (x *restoring) wait(format string, args ...any) {
	x.Waiting = append(x.Waiting, fmt.Sprintf(format, args...))
}

// judge says what the last listing of a job leaves open.
func (x *restoring) judge(ctx context.Context, f found, settled time.Time) error {
	l := f.listing
	switch {
	case f.err != nil:
		x.wait("the executions of job %s could not be read: %v", f.job, f.err)
		return nil
	case l.Gone: // with everything that it knew; what is sent to it is refused
		return nil
	case l.Unread || l.UnreadAt.After(x.ask.To.Add(-lifecycle.ListingMargin)):
		x.wait("job %s has executions whose environment could not be read", f.job)
		return nil
	case l.BeganAt.Before(settled):
		if x.NextAt == nil {
			x.NextAt = &settled
			x.wait("calls that were under way when launching was blocked may show until %s", settled.UTC().Format(time.TimeOnly+" UTC"))
		}
		return nil
	case l.ReachesBack(x.ask.To) || l.ReachedEnd && l.Count < x.e.HistoryKept:
		return nil
	}
	return x.unseen(ctx, f)
}

// unseen is for a job of which Cloud Run has forgotten a part of what ran since the restored point: tasks that are unsent here may have run there.
func (x *restoring) unseen(ctx context.Context, f found) error {
	from := f.listing.Oldest
	if from.IsZero() {
		from = f.listing.BeganAt
	}
	if x.ask.GiveUp {
		why := fmt.Sprintf("the database was restored to %s, and what ran of job %s until %s cannot be seen any more: its unsent tasks may have run",
			x.ask.To.UTC().Format(time.RFC3339), lifecycle.ShortName(f.job), from.UTC().Format(time.RFC3339))
		n, err := x.e.Store.StopUnseen(ctx, f.job, from, why, x.ask.Actor)
		x.Stopped += n
		return err
	}
	n, err := x.e.Store.CountUnseen(ctx, f.job, from)
	if n > 0 {
		x.Unseen = append(x.Unseen, Unseen{Job: f.job, From: from, Steps: n})
	}
	return err
}
