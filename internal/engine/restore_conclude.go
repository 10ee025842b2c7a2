package engine

import (
	"context"
	"fmt"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
)

// giveUp stops the steps of an execution that cannot be put back, and then leaves it alone: its tasks may have run there.
func (x *restoring) giveUp(ctx context.Context, f forgotten) error {
	why := fmt.Sprintf("the database was restored to %s, and execution %s cannot be put back, since %s: its tasks may have run",
		x.ask.To.UTC().Format(time.RFC3339), lifecycle.ShortName(f.facts.Name), f.why)
	var n int
	var err error
	if f.work.Step != "" {
		n, err = x.e.Store.StopForgotten(ctx, f.work.RunID, f.work.Step, why, x.ask.Actor)
	} else { // it may be any of the job
		n, err = x.e.Store.StopUnseen(ctx, lifecycle.JobOf(f.facts.Name), f.facts.CreatedAt.Add(lifecycle.ListingMargin), why, x.ask.Actor)
	}
	if err != nil {
		return err
	}
	x.Stopped += n
	return x.leaveAlone(ctx, f.sighting, f.why)
}

// conclude says what is still to come, or lets launching go on. Nothing is given up before the settle window is over: most of it settles by itself.
func (x *restoring) conclude(ctx context.Context) error {
	settled := x.health.Now
	if x.health.LaunchBlockedAt != nil {
		settled = x.health.LaunchBlockedAt.Add(x.e.SettleWindow)
	}
	for _, f := range x.deferred {
		if x.ask.GiveUp && x.whole && !x.now.Before(settled) {
			if err := x.giveUp(ctx, f); err != nil {
				return err
			}
			continue
		}
		x.wait("execution %s of run %s waits: %s", f.facts.Name, f.facts.Origin.Run, f.why)
	}
	if !x.whole { // what was not listed for lack of time is not forgotten
		x.wait("the time of this call was spent")
		return nil
	}
	for _, f := range x.seen {
		if err := x.judge(ctx, f, settled); err != nil {
			return err
		}
	}
	if len(x.Waiting) > 0 || len(x.Unseen) > 0 {
		return nil
	}
	detail := fmt.Sprintf("to %s: this database goes on", x.ask.To.UTC().Format(time.RFC3339))
	ok, err := x.e.Store.UnblockLaunch(ctx, x.health.LaunchBlockedReason, x.ask.Actor, detail)
	if err == nil && !ok {
		return lifecycle.Conflict("launching was let go on, or blocked for another reason, while this was done; look at it with orchestrator doctor")
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
	unread := x.unread(f)
	if unread != "" && (!x.ask.GiveUp || l.BeganAt.Before(settled)) {
		x.wait("%s", unread)
		return nil
	}
	switch {
	case l.Gone: // with everything that it knew; what is sent to it is refused
		return nil
	case l.BeganAt.Before(settled):
		if x.NextAt == nil {
			x.NextAt = &settled
			x.wait("calls that were under way when launching was blocked may show until %s", settled.UTC().Format(time.TimeOnly+" UTC"))
		}
		return nil
	case unread != "":
		return x.unseen(ctx, f, l.BeganAt)
	case l.ReachesBack(x.ask.To) || l.ReachedEnd && l.Count < x.e.HistoryKept:
		return nil
	case l.FirstEnd.IsZero():
		return x.unseen(ctx, f, l.BeganAt)
	}
	// What still runs is shown however old it is. All that was created since the first end is there, and what was created before may be forgotten.
	return x.unseen(ctx, f, l.FirstEnd.Add(lifecycle.ListingMargin))
}

// unread says what could not be read of a job; empty where all was.
func (x *restoring) unread(f found) string {
	l := f.listing
	switch {
	case f.err != nil:
		return fmt.Sprintf("the executions of job %s could not be read: %v", f.job, f.err)
	case l.Unread || l.UnreadAt.After(x.ask.To.Add(-lifecycle.ListingMargin)):
		return fmt.Sprintf("job %s has executions whose environment could not be read", f.job)
	}
	return ""
}

// unseen is for a job of which not everything that was created since the restored point and before a time can be seen: tasks that are unsent here may
// have run there.
func (x *restoring) unseen(ctx context.Context, f found, before time.Time) error {
	if x.ask.GiveUp {
		why := fmt.Sprintf("the database was restored to %s, and what ran of job %s until %s cannot be seen: its unsent tasks may have run",
			x.ask.To.UTC().Format(time.RFC3339), lifecycle.ShortName(f.job), before.UTC().Format(time.RFC3339))
		n, err := x.e.Store.StopUnseen(ctx, f.job, before, why, x.ask.Actor)
		x.Stopped += n
		return err
	}
	n, err := x.e.Store.CountUnseen(ctx, f.job, before)
	if n > 0 {
		x.Unseen = append(x.Unseen, Unseen{Job: f.job, From: before, Steps: n})
	}
	return err
}
