package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"

	"github.com/google/uuid"
)

const (
	// gatherSlots is how long a claim waits for more free calls, so that one commit serves several.
	gatherSlots = 5 * time.Millisecond
	// unknownInARow is how many lost answers in a row close a location but for one try per settle window.
	unknownInARow = 3
	// firstLook is the time from a launch to the first look at it.
	firstLook = time.Second
	// quotaPause is how long nothing is sent to a location that refused for a quota.
	quotaPause = 10 * time.Second
)

// launch starts planned executions, each with one call of RunJob and never a second one for the same send.
//
//	execution planned → launching → launched, or back, or → finished/rejected
func (e *Engine) launch(ctx context.Context, t *turn) (int, error) {
	if some, err := e.Store.Launchable(ctx); err != nil || !some {
		return 0, err
	}
	here, err := e.Store.Installation(ctx)
	if err != nil || here.LaunchBlockedReason != "" {
		return 0, err
	}
	gates, err := e.Store.Gates(ctx)
	if err != nil {
		return 0, err
	}
	l := &launcher{
		e: e, t: t, installation: here.ID,
		slots: make(chan struct{}, e.Concurrency), answers: make(chan answered, groupRows),
		doors: newDoors(gates),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		grouped(l.answers, func(group []answered) { l.record(ctx, group) })
	}()
	err = errors.Join(l.probe(ctx, gates), l.sendAll(ctx))
	l.wait()
	close(l.answers)
	<-done
	return l.moved, errors.Join(append(l.errs, err)...)
}

// launcher is one launch phase in progress: claims follow the calls that are free, and answers are recorded in groups behind them.
type launcher struct {
	e            *Engine
	t            *turn
	installation uuid.UUID
	slots        chan struct{} // one in it for every call in flight
	answers      chan answered
	doors        *doors

	limitedFirst bool // every other claim begins with workflows that have a limit

	moved int // of the recording goroutine, as errs
	errs  []error
}

// answered is one claimed row and what became of its send.
type answered struct {
	row    store.ToSend
	unsent bool
	answer lifecycle.Answer
}

// sendAll claims and sends until nothing planned is left, or the phase is over.
func (l *launcher) sendAll(ctx context.Context) error {
	for !l.t.over() {
		n := l.takeSlots()
		sent, err := l.claimAndSend(ctx, n, store.LaunchClaim{Closed: l.doors.closed()})
		l.giveSlots(n - sent)
		if err != nil || sent == 0 {
			return err
		}
	}
	return nil
}

// probe sends one row to each location whose answers were lost, where its time has come.
func (l *launcher) probe(ctx context.Context, gates []store.Gate) error {
	var errs []error
	for _, g := range gates {
		if g.UnknownAnswers < unknownInARow || !g.Open || l.t.over() {
			continue
		}
		ok, err := l.e.Store.PassGate(ctx, g.Location, l.e.SettleWindow)
		if err != nil || !ok {
			errs = append(errs, err)
			continue
		}
		l.slots <- struct{}{}
		sent, err := l.claimAndSend(ctx, 1, store.LaunchClaim{Only: g.Location})
		l.giveSlots(1 - sent)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// takeSlots waits for one free call, and a moment for more.
func (l *launcher) takeSlots() int {
	l.slots <- struct{}{}
	n := 1
	more := time.NewTimer(gatherSlots)
	defer more.Stop()
	for n < cap(l.slots) {
		select {
		case l.slots <- struct{}{}:
			n++
		case <-more.C:
			return n
		}
	}
	return n
}

func (l *launcher) giveSlots(n int) {
	for range n {
		<-l.slots
	}
}

// wait returns when no call is in flight.
func (l *launcher) wait() {
	for range cap(l.slots) {
		l.slots <- struct{}{}
	}
}

// claimAndSend claims up to n rows and begins their calls. Both local clocks are read before the claim, so that its age is never underestimated.
func (l *launcher) claimAndSend(ctx context.Context, n int, c store.LaunchClaim) (sent int, err error) {
	wall, mono := l.e.Clock()
	c.Claim, c.Length, c.Limit = newID(), l.e.Claim, n
	rows, err := l.claimRows(ctx, c)
	for _, row := range rows {
		go func() {
			defer l.giveSlots(1)
			l.answers <- l.send(ctx, row, wall, mono)
		}()
	}
	return len(rows), err
}

// claimRows claims rows without a limit of executions, and rows of workflows that have one; the two take turns in going first.
func (l *launcher) claimRows(ctx context.Context, c store.LaunchClaim) (rows []store.ToSend, err error) {
	claims := []func(context.Context, store.LaunchClaim) ([]store.ToSend, error){l.e.Store.ClaimPlanned, l.claimLimited}
	if l.limitedFirst {
		slices.Reverse(claims)
	}
	l.limitedFirst = !l.limitedFirst
	want := c.Limit
	for _, claim := range claims {
		if c.Limit = want - len(rows); c.Limit == 0 {
			break
		}
		more, err := claim(ctx, c)
		rows = append(rows, more...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

func (l *launcher) claimLimited(ctx context.Context, c store.LaunchClaim) (rows []store.ToSend, err error) {
	limited, err := l.e.Store.Limited(ctx, l.t.now)
	if err != nil {
		return nil, err
	}
	want := c.Limit
	for _, w := range limited {
		if c.Limit, c.Workflow = want-len(rows), w; c.Limit == 0 {
			break
		}
		more, err := l.e.Store.ClaimLimited(ctx, c)
		rows = append(rows, more...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// send makes the one call, unless the claim might expire before the call does, or the phase is over.
func (l *launcher) send(ctx context.Context, row store.ToSend, wall time.Time, mono time.Duration) answered {
	a := answered{row: row, unsent: true}
	d, err := l.e.dispatch(ctx, row)
	if err != nil {
		a.answer.Words = err.Error()
		return a
	}
	launch := d.Launch(lifecycle.Marker{Installation: l.installation, Row: row.ID, Send: row.Send})
	wallNow, monoNow := l.e.Clock()
	age := max(wallNow.Sub(wall), monoNow-mono)
	if l.t.spent() || l.doors.barred(row) || age+l.e.CallDeadline >= l.e.Claim {
		return a
	}
	a.unsent = false
	a.answer = l.e.CloudRun.Run(ctx, launch)
	l.doors.note(row, a.answer)
	return a
}

// dispatch gathers what the container is to see.
func (e *Engine) dispatch(ctx context.Context, row store.ToSend) (lifecycle.Dispatch, error) {
	spec, err := e.spec(ctx, row.WorkflowID, row.Version)
	if err != nil {
		return lifecycle.Dispatch{}, err
	}
	if len(row.Attempts) != row.TaskCount {
		return lifecycle.Dispatch{}, fmt.Errorf("it carries %d tasks, of which %d are its own", row.TaskCount, len(row.Attempts))
	}
	step := spec.Steps[row.StepNo]
	d := lifecycle.Dispatch{
		Execution: row.Execution, Workflow: row.Workflow, RunName: fmt.Sprintf("%s.%d", row.Workflow, row.RunNumber),
		RunParams: row.RunParams, ScheduledAt: row.ScheduledAt, StepTasks: row.StepTasks,
		Container: step.Job.Container, Args: step.Args, Timeout: time.Duration(step.Timeout),
		Attempts: row.Attempts, TaskParams: row.Params,
	}
	for _, name := range sortedKeys(step.Env) {
		d.Env = append(d.Env, lifecycle.EnvVar{Name: name, Value: step.Env[name]})
	}
	return d, nil
}
