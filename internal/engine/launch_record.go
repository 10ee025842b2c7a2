package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"

	"github.com/google/uuid"
)

// record writes a group of answers. What stays unknown is left as it is: recover finds out.
func (l *launcher) record(ctx context.Context, group []answered) {
	var named []store.Named
	var back []store.BackToPlanned
	var rejected []lifecycle.Move
	stops := map[uuid.UUID]store.StepStop{}
	for _, a := range group {
		row := a.row
		switch {
		case a.unsent:
			back = append(back, store.BackToPlanned{ID: row.ID, Claim: row.Claim, Reason: a.answer.Words, Delay: unsentDelay(a)})
			if a.answer.Words != "" {
				l.errs = append(l.errs, fmt.Errorf("prepare execution %s: %s", row.ID, a.answer.Words))
			}
		case a.answer.Kind == lifecycle.AnswerNamed:
			named = append(named, store.Named{ID: row.ID, Send: row.Send, Name: a.answer.Name})
		case a.answer.Kind == lifecycle.AnswerQuota:
			back = append(back, store.BackToPlanned{ID: row.ID, Claim: row.Claim, Refused: true, Delay: lifecycle.QuotaDelay(row.Send), Reason: lifecycle.ReasonQuota})
		case a.answer.Kind == lifecycle.AnswerRejected:
			words := lifecycle.RejectedAdvice(row.Job, a.answer)
			rejected = append(rejected, lifecycle.Rejected(row.Execution, words, l.t.now))
			stops[row.ID] = store.StepStop{As: lifecycle.Failed, Reason: words}
		default:
			l.e.Log.Warn("launch not answered", "execution", row.ID, "job", row.Job, "send", row.Send, "code", a.answer.Code, "words", a.answer.Words)
		}
	}
	l.errs = append(l.errs, l.recordNames(ctx, named), l.doors.keep(ctx, l.e))
	if len(back) > 0 {
		l.errs = append(l.errs, l.e.Store.GiveBack(ctx, back))
	}
	ended, err := l.e.Store.RecordMoves(ctx, rejected, stops)
	l.moved += len(ended)
	l.errs = append(l.errs, err)
}

func unsentDelay(a answered) time.Duration {
	if a.answer.Words != "" {
		return 10 * time.Second
	}
	return 0
}

// recordNames records the names of one group. A name whose row did not take it belongs to an orphan, unless another tick found it first.
func (l *launcher) recordNames(ctx context.Context, named []store.Named) error {
	if len(named) == 0 {
		return nil
	}
	done, err := l.e.Store.RecordNamed(ctx, named, firstLook)
	l.moved += len(done)
	if err != nil || len(done) == len(named) {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(named), func(n store.Named) bool { return slices.Contains(done, n.ID) })
	lookFor := make([]uuid.UUID, len(left))
	for i, n := range left {
		lookFor[i] = n.ID
	}
	rows, err := l.e.Store.Rows(ctx, lookFor)
	if err != nil { // recover finds them by their markers
		return err
	}
	var errs []error
	for _, n := range left {
		if !lifecycle.SameExecution(rows[n.ID].Name, n.Name) {
			errs = append(errs, l.e.Store.RecordOrphan(ctx, n.ID, n.Name, false))
		}
	}
	return errors.Join(errs...)
}

// doors know to which locations nothing may be sent now: those that refused for a quota, and those whose answers are lost.
type doors struct {
	mu   sync.Mutex
	shut map[string]bool
	over map[string]bool // a quota refused here in this phase
	row  map[string]int  // lost answers in a row, those of earlier ticks included
	news map[string]news
	bars map[stepKey]bool // steps of which a row was refused for good: the others would be too
}

type stepKey struct {
	run  uuid.UUID
	step int
}

// news is what this tick learned about a location since it was written down.
type news struct {
	unknown  int
	answered bool
	refused  bool
	launched bool
}

func newDoors(gates []store.Gate) *doors {
	d := &doors{shut: map[string]bool{}, over: map[string]bool{}, row: map[string]int{}, news: map[string]news{}, bars: map[stepKey]bool{}}
	for _, g := range gates {
		d.row[g.Location] = g.UnknownAnswers
		d.shut[g.Location] = !g.Open || g.UnknownAnswers >= unknownInARow
	}
	return d
}

func (d *doors) closed() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []string
	for location, shut := range d.shut {
		if shut {
			list = append(list, location)
		}
	}
	return list
}

// barred says whether a row of the same step was refused for good a moment ago.
func (d *doors) barred(row store.ToSend) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bars[stepKey{row.RunID, row.StepNo}]
}

// note takes an answer in.
func (d *doors) note(row store.ToSend, a lifecycle.Answer) {
	location := lifecycle.Location(row.Job)
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.news[location]
	if a.Kind == lifecycle.AnswerRejected {
		d.bars[stepKey{row.RunID, row.StepNo}] = true
	}
	if a.Kind == lifecycle.AnswerUnknown {
		d.row[location]++
		n.unknown++
		d.shut[location] = d.shut[location] || d.row[location] >= unknownInARow
		d.news[location] = n
		return
	}
	if a.Kind == lifecycle.AnswerQuota {
		d.over[location] = true
		n.refused = true
	}
	lost := d.row[location] > 0
	d.row[location] = 0
	d.shut[location] = d.over[location]
	if lost || n.refused {
		n.answered, n.unknown = true, 0
	}
	n.launched = n.launched || a.Kind == lifecycle.AnswerNamed
	d.news[location] = n
}

// keep writes down what was learned, for the other ticks. Where all is well that is once a minute that something was launched.
func (d *doors) keep(ctx context.Context, e *Engine) error {
	d.mu.Lock()
	learned := d.news
	d.news = map[string]news{}
	d.mu.Unlock()
	var errs []error
	for _, location := range sortedKeys(learned) {
		n := learned[location]
		a := store.Answers{Unknown: n.unknown, Answered: n.answered, Launched: n.launched && e.worthNoting(location)}
		if n.refused {
			a.Closed = quotaPause
		}
		if a == (store.Answers{}) {
			continue
		}
		err := e.Store.RecordAnswers(ctx, location, a)
		if err == nil && a.Launched {
			e.noted(location)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// launchedEvery is how often a process writes down that a location takes launches.
const launchedEvery = time.Minute

func (e *Engine) worthNoting(location string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	at, known := e.launched[location]
	return !known || e.monotonic()-at >= launchedEvery
}

func (e *Engine) noted(location string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.launched[location] = e.monotonic()
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
