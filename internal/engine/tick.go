package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud-run-orchestrator/internal/crash"
	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/uuid"
)

// dueSoon is how far away something due may be for a tick to wait for it.
const dueSoon = 10 * time.Second

// Report says what one call of Tick did.
type Report struct {
	Passes   int
	Moved    int
	Took     time.Duration
	Phases   []PhaseReport
	Errors   []string
	NextDue  *time.Time
	Active   bool       // unfinished runs are left
	Finished []Finished // in the order in which they became final
}

// Finished is a run that a tick has made final.
type Finished struct {
	ID          uuid.UUID
	Run         string // WORKFLOW.NUMBER
	Workflow    string
	Status      lifecycle.Status
	Reason      string
	Tasks       int
	FailedTasks int
}

// String is WORKFLOW.NUMBER STATUS.
func (f Finished) String() string { return f.Run + " " + string(f.Status) }

// PhaseReport is one phase's part in all passes of a tick.
type PhaseReport struct {
	Phase string
	Moved int
	Took  time.Duration
}

// A phase is one small part of a tick. It may run alone, twice, or never.
type phase struct {
	name string
	run  func(ctx context.Context, t *turn) (moved int, err error)
}

// phases lists one pass in order: news in, then what follows, then new work.
func (e *Engine) phases() []phase {
	return []phase{
		{"cancel", e.cancel},   // stopping steps: what waits ends, what lives is asked to stop
		{"recover", e.recover}, // launches whose answer was lost
		{"observe", e.observe}, // executions that moved or ended
		{"unblock", e.unblock}, // steps whose needs have succeeded
		{"expand", e.expand},   // unblocked steps get their tasks
		{"pack", e.pack},       // due tasks are put into planned executions
		{"launch", e.launch},   // planned executions are started
		{"finish", e.finish},   // steps and runs with nothing left to do
	}
}

// turn is one phase's part of one pass: the time by which it decides, and how long it may go on.
type turn struct {
	now      time.Time // the database's clock, read once a pass
	spent    func() bool
	cut      bool // it stopped with work left
	finished []Finished
}

// over says whether the phase must stop before its next page or call.
func (t *turn) over() bool {
	if t.spent() {
		t.cut = true
	}
	return t.cut
}

// Tick moves everything that is due, again and again until nothing is due soon or the budget is spent. Ticks may overlap and die anywhere.
// by is who asked for it. The report is complete even with an error, which joins what went wrong in the phases. A cancelled ctx begins no new work, and stops no call that has begun.
func (e *Engine) Tick(ctx context.Context, by string) (Report, error) {
	r, err := e.tick(ctx, by)
	e.logTick(context.WithoutCancel(ctx), by, r, err)
	return r, err
}

func (e *Engine) tick(ctx context.Context, by string) (Report, error) {
	begun := e.monotonic()
	stop := ctx.Done()
	ctx = crash.During(context.WithoutCancel(ctx), "tick")
	var r Report
	here, err := e.Store.BeginTick(ctx, e.Mode, by)
	if err != nil {
		return r, err
	}
	if here.Mode != e.Mode {
		return r, lifecycle.Conflict("this database belongs to mode %s, and this tick runs in mode %s; nothing was changed", here.Mode, e.Mode)
	}
	tk := &tick{e: e, installation: here.ID, begun: begun, stop: stop, report: &r}
	err = tk.run(ctx)
	r.Took = e.monotonic() - begun
	return r, err
}

// monotonic is the local clock that nobody sets: budgets are measured with it.
func (e *Engine) monotonic() time.Duration {
	_, mono := e.Clock()
	return mono
}

// tick is one call of Tick in progress.
type tick struct {
	e            *Engine
	installation fmt.Stringer
	begun        time.Duration // on the monotonic clock
	stop         <-chan struct{}
	report       *Report
	first        int // the phase with which the next pass begins
	errs         []error
}

func (tk *tick) run(ctx context.Context) error {
	for {
		now, err := tk.e.Store.Now(ctx)
		if err != nil {
			tk.note(err)
			break
		}
		moved, cut, err := tk.pass(ctx, now)
		tk.report.Passes++
		tk.report.Moved += moved
		if err != nil {
			tk.note(err)
		}
		if tk.left() <= 0 || tk.stopped() {
			break
		}
		due, err := tk.e.Store.NextDue(ctx, now)
		if err != nil {
			tk.note(err)
			break
		}
		tk.report.NextDue, tk.report.Active = due.At, due.Active
		if moved > 0 || cut {
			continue
		}
		if due.At == nil || due.At.Sub(due.Now) > dueSoon || !tk.sleep(nap(due.At.Sub(due.Now))) {
			break
		}
	}
	return errors.Join(tk.errs...)
}

// nap is how long to sleep until something is due: a second at least, and two at most, since a run may be triggered meanwhile.
func nap(untilDue time.Duration) time.Duration {
	return min(max(untilDue, time.Second), 2*time.Second)
}

// note keeps an error once, however often the passes repeat it.
func (tk *tick) note(err error) {
	for _, known := range tk.report.Errors {
		if known == err.Error() {
			return
		}
	}
	if len(tk.report.Errors) < 100 {
		tk.report.Errors = append(tk.report.Errors, err.Error())
		tk.errs = append(tk.errs, err)
	}
}

func (tk *tick) left() time.Duration { return tk.e.Budget - (tk.e.monotonic() - tk.begun) }

func (tk *tick) stopped() bool {
	select {
	case <-tk.stop:
		return true
	default:
		return false
	}
}

// sleep waits without holding a connection, less long where something is asked for meanwhile; false when the budget would be over, or the tick is to stop.
func (tk *tick) sleep(d time.Duration) bool {
	if d >= tk.left() {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-tk.e.Woken:
		return true
	case <-tk.stop:
		return false
	}
}

// pass runs every phase once, beginning with the one after that which was cut short in the pass before. It is safe at any time, twice at once, or after a crash.
func (tk *tick) pass(ctx context.Context, now time.Time) (moved int, cut bool, err error) {
	phases := tk.e.phases()
	begin := tk.first
	var errs []error
	for i := range phases {
		at := (begin + i) % len(phases)
		if tk.stopped() {
			break
		}
		n, short, err := tk.phase(ctx, phases[at], now)
		moved += n
		if short {
			cut = true
			tk.first = (at + 1) % len(phases)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", phases[at].name, err))
		}
	}
	return moved, cut, errors.Join(errs...)
}

// phase runs one phase within a quarter of what is left of the budget.
func (tk *tick) phase(ctx context.Context, p phase, now time.Time) (moved int, cut bool, err error) {
	began := tk.e.monotonic()
	until := began + tk.left()/4
	t := &turn{now: now, spent: func() bool { return tk.e.monotonic() >= until || tk.stopped() }}
	moved, err = p.run(crash.During(ctx, p.name), t)
	tk.add(PhaseReport{p.name, moved, tk.e.monotonic() - began})
	tk.report.Finished = append(tk.report.Finished, t.finished...)
	return moved, t.cut, err
}

func (tk *tick) add(p PhaseReport) {
	for i, known := range tk.report.Phases {
		if known.Phase == p.Phase {
			tk.report.Phases[i].Moved += p.Moved
			tk.report.Phases[i].Took += p.Took
			return
		}
	}
	tk.report.Phases = append(tk.report.Phases, p)
}
