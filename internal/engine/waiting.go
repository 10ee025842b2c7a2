package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"

	"github.com/google/uuid"
)

// waiting says of each unfinished run what it waits for, a sentence each. It takes the same few queries for one run as for a page of them.
func (e *Engine) waiting(ctx context.Context, runs ...lifecycle.Run) (map[uuid.UUID][]string, error) {
	var open []uuid.UUID
	for _, r := range runs {
		if r.FinishedAt == nil {
			open = append(open, r.ID)
		}
	}
	if len(open) == 0 {
		return nil, nil
	}
	here, err := e.Store.Installation(ctx)
	if err != nil {
		return nil, err
	}
	now, err := e.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := e.Store.Waiting(ctx, open)
	if err != nil {
		return nil, err
	}
	gates, err := e.Store.Gates(ctx)
	if err != nil {
		return nil, err
	}
	said := map[uuid.UUID][]string{}
	for _, r := range runs {
		if r.FinishedAt != nil {
			continue
		}
		if here.LastTickAt == nil || now.Sub(*here.LastTickAt) > lifecycle.NoTickFor {
			said[r.ID] = append(said[r.ID], noTick(here.LastTickAt, now))
		}
		if here.LaunchBlockedReason != "" {
			said[r.ID] = append(said[r.ID], "nothing is launched: "+here.LaunchBlockedReason)
		}
		if r.Stop.Requested() {
			said[r.ID] = append(said[r.ID], "it is stopping: "+r.Stop.Reason)
		}
	}
	for _, w := range rows {
		if s := sentence(w, gates, now); s != "" {
			said[w.RunID] = append(said[w.RunID], s)
		}
	}
	return said, nil
}

// limits says which steps have tasks that wait for others of their workflow or step to end.
func limits(run lifecycle.Run, steps []StepDetail) []string {
	var said []string
	for _, s := range steps {
		if s.FinishedAt != nil || s.Stop.Requested() || s.Counts.Pending == 0 || s.Status != lifecycle.Running {
			continue
		}
		switch {
		case s.MaxExecutions > 0:
			said = append(said, fmt.Sprintf("step %s: %s wait, since at most %s of this step may run at once", s.Name, plural(s.Counts.Pending, "task"), plural(s.MaxExecutions, "execution")))
		case run.MaxExecutions > 0:
			said = append(said, fmt.Sprintf("step %s: %s wait, since at most %s of this workflow may run at once", s.Name, plural(s.Counts.Pending, "task"), plural(run.MaxExecutions, "execution")))
		}
	}
	return said
}

func noTick(last *time.Time, now time.Time) string {
	if last == nil {
		return "no tick has come yet, and nothing moves without one; start one with \"orchestrator run\" or \"orchestrator tick\""
	}
	return fmt.Sprintf("the last tick came %s ago, and nothing moves without one; start one with \"orchestrator run\" or \"orchestrator tick\"", now.Sub(*last).Round(time.Second))
}

// sentence says what a group of executions of one step waits for.
func sentence(w store.Waiting, gates []store.Gate, now time.Time) string {
	what := fmt.Sprintf("step %s: %s", w.Step, plural(w.N, "execution"))
	switch lifecycle.Status(w.Status) {
	case lifecycle.Planned:
		switch {
		case w.Reason == lifecycle.ReasonQuota:
			return fmt.Sprintf("%s waiting for Cloud Run's quota of starts; the next starts in about %s", what, until(w.Next, now))
		case w.Reason != "":
			return what + " cannot be started: " + w.Reason
		}
		for _, g := range gates {
			if g.Location == w.Location && g.UnknownAnswers >= unknownInARow {
				return fmt.Sprintf("%s waiting, because the last %d starts in %s were not answered; one is tried per settle window", what, g.UnknownAnswers, lifecycle.ShortName(g.Location))
			}
		}
		return what + " about to be started"
	case lifecycle.Launching:
		s := what + " being started"
		if w.Next != nil && w.Next.After(now) {
			s += fmt.Sprintf("; should an answer be lost, Cloud Run is asked in %s", until(w.Next, now))
		}
		return appendReason(s, w.Reason)
	case lifecycle.Launched:
		return appendReason(what+" waiting for Cloud Run to begin", w.Reason)
	}
	return appendReason(what+" running", w.Reason)
}

func appendReason(s, reason string) string {
	if reason == "" {
		return s
	}
	return s + "; " + strings.TrimSuffix(reason, ".")
}

func until(at *time.Time, now time.Time) string {
	if at == nil || !at.After(now) {
		return "a moment"
	}
	return at.Sub(now).Round(time.Second).String()
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
