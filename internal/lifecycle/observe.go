package lifecycle

import (
	"time"
)

// MaxReturns is how often a task may go back to pending without using up an attempt; the next time it fails.
const MaxReturns = 10

// CancelUnconfirmed is how long an execution may go on after it was asked to stop before its row ends as lost.
const CancelUnconfirmed = 24 * time.Hour

// Look is what one look at an execution found: Facts, or Gone. Tasks are needed only when it ended without full success.
type Look struct {
	Facts Facts
	Gone  bool
	Tasks []TaskFacts
}

// Move is one decided change of an execution and of the tasks that it carries, written in one statement under the row's claim.
type Move struct {
	Row        Execution // as it was claimed
	Status     Status
	Outcome    Outcome
	Reason     string
	Name       string // set where it was not known before
	Image      string
	LogURI     string
	Progress   Progress
	StartedAt  *time.Time
	FinishedAt *time.Time
	NextLookAt *time.Time
	NotFoundAt *time.Time
	Tasks      []Verdict
}

// Verdict is what becomes of a range of an execution's tasks.
type Verdict struct {
	Indexes     Range
	Status      Status // Pending becomes Cancelled where the step is stopping
	Reason      string
	ExitCode    *int
	Signal      *int
	StartedAt   *time.Time
	FinishedAt  *time.Time
	NextAttempt bool       // with Pending: the attempt was used up
	DueAt       *time.Time // with Pending
}

// Told counts the tasks of whose end a list tells. One that is listed without it may have run, and its end be told later.
func Told(tasks []TaskFacts) int {
	n := 0
	for _, t := range tasks {
		if t.HasResult || t.CompletedAt != nil {
			n++
		}
	}
	return n
}

// NeedsTasks says whether the facts leave open which task did what.
func NeedsTasks(x Execution, f Facts) bool {
	return f.CompletedAt != nil && !allSucceeded(x, f)
}

func allSucceeded(x Execution, f Facts) bool {
	return f.Progress.Succeeded == x.TaskCount && f.TaskCount == x.TaskCount
}

// Observe decides what one look at a launched or running execution means.
//
//	launched → running → finished
func Observe(x Execution, look Look, tasks map[int]Attempt, settle time.Duration, now time.Time) Move {
	if look.Gone {
		return observeGone(x, settle, now)
	}
	f := look.Facts
	m := Move{
		Row: x, Status: x.Status, Image: f.Job.Image, LogURI: f.LogURI,
		Progress: f.Progress, StartedAt: f.StartedAt,
	}
	if f.CompletedAt != nil {
		return observeEnd(x, m, look, tasks, now)
	}
	if lost, over := CancelOverdue(x, now); over {
		lost.Progress, lost.Image, lost.LogURI, lost.StartedAt = m.Progress, m.Image, m.LogURI, m.StartedAt
		return lost
	}
	next := now.Add(LookDelay(x, now))
	m.NextLookAt = &next
	if started(f) {
		m.Status = Running
		if x.TaskCount == 1 && f.Progress.Running > 0 {
			m.Tasks = each(x, Verdict{Status: Running, StartedAt: f.StartedAt})
		}
	}
	return m
}

// CancelOverdue ends an execution that was asked to stop a day ago and of which nobody has heard since that it did.
func CancelOverdue(x Execution, now time.Time) (m Move, over bool) {
	if x.CancelSent == nil || now.Sub(*x.CancelSent) <= CancelUnconfirmed {
		return Move{}, false
	}
	m = Move{Row: x, Image: x.Image, LogURI: x.LogURI, Progress: x.Progress, StartedAt: x.StartedAt}
	return endLost(m, "the cancel was not confirmed in 24 hours; it may still run", now), true
}

// LooksOverdue ends an execution that was asked to stop, where every look has failed for a day.
func LooksOverdue(x Execution, now time.Time) (m Move, over bool) {
	if x.UndecidedSince == nil || now.Sub(*x.UndecidedSince) <= CancelUnconfirmed {
		return Move{}, false
	}
	return CancelOverdue(x, now)
}

func started(f Facts) bool {
	p := f.Progress
	return p.Running+p.Succeeded+p.Failed+p.Cancelled > 0
}

// LookDelay is the time until the next look: a tenth of the execution's age, between a second and half a minute.
func LookDelay(x Execution, now time.Time) time.Duration {
	if x.LaunchedAt == nil {
		return time.Second
	}
	return min(max(now.Sub(*x.LaunchedAt)/10, time.Second), 30*time.Second)
}

// observeGone: not found is unknown. Only two looks after the settle window make it lost, and never "failed, run it again".
func observeGone(x Execution, settle time.Duration, now time.Time) Move {
	m := Move{Row: x, Status: x.Status, Image: x.Image, LogURI: x.LogURI, Progress: x.Progress, StartedAt: x.StartedAt, NotFoundAt: x.NotFoundAt}
	accepted := x.CreatedAt
	if x.LaunchedAt != nil {
		accepted = *x.LaunchedAt
	}
	counts := !now.Before(accepted.Add(settle))
	if counts && x.NotFoundAt != nil {
		return endLost(m, "Cloud Run no longer knows it; it may have run", now)
	}
	if counts {
		m.NotFoundAt = &now
	}
	next := now.Add(min(max(settle/10, time.Second), 30*time.Second))
	m.NextLookAt = &next
	return m
}

// endLost ends an execution that was accepted and whose end nobody can tell: its tasks fail, they may have run.
func endLost(m Move, why string, now time.Time) Move {
	m.Status, m.Outcome, m.Reason, m.FinishedAt = Finished, OutcomeLost, why, &now
	m.Tasks = each(m.Row, Verdict{Status: Failed, Reason: ReasonLost, FinishedAt: &now})
	return m
}

func observeEnd(x Execution, m Move, look Look, tasks map[int]Attempt, now time.Time) Move {
	f := look.Facts
	m.Status, m.FinishedAt = Finished, f.CompletedAt
	stoppedByUs := x.Stop.Requested() && x.Stop.Scope == ScopeAll
	switch {
	case allSucceeded(x, f):
		m.Outcome = OutcomeSuccess
		v := Verdict{Status: Success, FinishedAt: f.CompletedAt}
		if x.TaskCount == 1 {
			v.StartedAt = f.StartedAt
			zero := 0
			v.ExitCode = &zero
		}
		m.Tasks = each(x, v)
		return m
	case f.CancelledBy || f.Progress.Cancelled > 0:
		m.Outcome, m.Reason = OutcomeCancelled, ReasonCancelledOutside
		if stoppedByUs {
			m.Reason = x.Stop.Reason
		}
	default:
		m.Outcome, m.Reason = OutcomeFailed, f.Message
	}
	results := make(map[int]TaskFacts, len(look.Tasks))
	for _, t := range look.Tasks {
		results[t.Index] = t
	}
	for pos, index := range x.Indexes.All() {
		v := attemptEnded(m.Outcome, stoppedByUs, results[pos], tasks[index], now)
		v.Indexes = Range{index, index}
		if v.FinishedAt == nil && v.Status != Pending {
			v.FinishedAt = f.CompletedAt
		}
		m.Tasks = append(m.Tasks, v)
	}
	return m
}

// Attempt is what our own row says of a task whose attempt ended.
type Attempt struct {
	Attempt int // from 1
	Returns int
}

// attemptEnded decides one task of an execution that ended without full success.
func attemptEnded(outcome Outcome, stoppedByUs bool, t TaskFacts, a Attempt, now time.Time) Verdict {
	switch {
	case t.HasResult && t.OK:
		return Verdict{Status: Success, ExitCode: t.ExitCode, StartedAt: t.StartedAt, FinishedAt: t.CompletedAt}
	case t.HasResult:
		return Verdict{
			Status: Failed, Reason: FailureReason(t), ExitCode: t.ExitCode, Signal: t.Signal,
			StartedAt: t.StartedAt, FinishedAt: t.CompletedAt,
		}
	case stoppedByUs:
		return Verdict{Status: Cancelled, Reason: ReasonCancelled, StartedAt: t.StartedAt, FinishedAt: t.CompletedAt}
	case outcome == OutcomeCancelled:
		return Verdict{Status: Failed, Reason: ReasonCancelledOutside, StartedAt: t.StartedAt, FinishedAt: t.CompletedAt}
	}
	return Returned(a, ReasonPlatform, now)
}

// Returned sends a task back to pending without using up an attempt, or fails it with the reason when that happened MaxReturns times.
func Returned(a Attempt, reason string, now time.Time) Verdict {
	if a.Returns >= MaxReturns {
		return Verdict{Status: Failed, Reason: reason, FinishedAt: &now}
	}
	due := now.Add(ReturnDelay(a.Returns))
	return Verdict{Status: Pending, Reason: reason, DueAt: &due}
}

// ReturnDelay is how long a task waits after its n-th return: a second, doubling, at most five minutes.
func ReturnDelay(n int) time.Duration {
	return min(time.Second<<min(n, 10), 5*time.Minute)
}

// FailureReason classifies a failed attempt.
func FailureReason(t TaskFacts) string {
	switch {
	case t.TimedOut:
		return ReasonTimeout
	case t.OutOfMemory:
		return ReasonOutOfMemory
	case t.Signal != nil && *t.Signal != 0:
		return ReasonSignal
	case t.ExitCode != nil && *t.ExitCode != 0:
		return ReasonExitCode
	}
	return ReasonPlatform
}

// each gives all tasks of an execution one verdict.
func each(x Execution, v Verdict) []Verdict {
	vs := make([]Verdict, len(x.Indexes))
	for i, r := range x.Indexes {
		vs[i] = v
		vs[i].Indexes = r
	}
	return vs
}
