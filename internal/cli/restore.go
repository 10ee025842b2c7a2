package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cloud-run-orchestrator/internal/api"
)

// restore asks until launching goes on, and tells what is new each time. It ends early where waiting alone is not enough.
func (c *console) restore(ctx context.Context, s *server, at time.Time, giveUp bool) error {
	var sum api.RestoreReport
	told := ""
	for {
		r, err := s.Restore(ctx, api.RestoreRequest{RestoredTo: at, GiveUp: giveUp})
		if err != nil {
			return err
		}
		sum = added(sum, r)
		if state := fmt.Sprint(r.Waiting, r.Unseen); !c.asJSON() && state != told {
			c.printRestoring(r)
			told = state
		}
		if r.Done || len(r.Unseen) > 0 || len(r.Waiting) == 0 {
			return c.restored(sum)
		}
		pause := 5 * time.Second
		if r.NextAt != nil {
			pause = max(time.Until(*r.NextAt), time.Second)
		}
		select {
		case <-ctx.Done():
			return errors.Join(c.restored(sum), ctx.Err())
		case <-time.After(min(pause, 15*time.Second)):
		}
	}
}

// added is the report of a later request with what the earlier ones did.
func added(sum, r api.RestoreReport) api.RestoreReport {
	r.Remembered += sum.Remembered
	r.StoppedSteps += sum.StoppedSteps
	r.TookMS += sum.TookMS
	r.LeftAlone = append(sum.LeftAlone, r.LeftAlone...)
	return r
}

// printRestoring says what a request did and what is waited for.
func (c *console) printRestoring(r api.RestoreReport) {
	fmt.Fprintf(c.Stderr, "looked at %s; %s put back\n", plural(r.Jobs, "job"), plural(r.Remembered, "send"))
	for _, w := range r.Waiting {
		fmt.Fprintf(c.Stderr, "  waiting: %s\n", clean(w))
	}
}

// restored tells what became of it in the end.
func (c *console) restored(r api.RestoreReport) error {
	if r.LeftAlone == nil {
		r.LeftAlone = []api.RestoreLeftAlone{}
	}
	if c.asJSON() {
		if err := c.printJSON(r); err != nil {
			return err
		}
	} else {
		c.printRestored(r)
	}
	if !r.Done {
		return outcome(exitFailed)
	}
	return nil
}

func (c *console) printRestored(r api.RestoreReport) {
	fmt.Fprintf(c.out, "%s put back that the database had forgotten\n", plural(r.Remembered, "send"))
	c.printLeftAlone(r.LeftAlone)
	if r.StoppedSteps > 0 {
		fmt.Fprintf(c.out, "%s stopped: their unsent tasks may have run, look before they run again\n", plural(r.StoppedSteps, "step"))
	}
	for _, u := range r.Unseen {
		fmt.Fprintf(c.out, "job %s: what was created before %s may be forgotten there, and %s may have run tasks then\n",
			clean(u.Job), u.From.UTC().Format(time.RFC3339), plural(u.Steps, "unfinished step"))
	}
	switch {
	case r.Done:
		fmt.Fprintln(c.out, "launching goes on from this database\nnext: repeat the cancels that were asked for since, then start the scheduler and the wake queue again")
	case len(r.Unseen) > 0:
		fmt.Fprintln(c.out, "launching stays blocked\nnext: look at those runs; the same command with --give-up ends these steps as failed, and lets the rest go on")
	default:
		fmt.Fprintln(c.out, "launching stays blocked\nnext: repeat the command, it goes on where it was; with --give-up it ends as failed what waits in vain")
	}
}

// printLeftAlone tells the runs that the database does not know, by run.
func (c *console) printLeftAlone(list []api.RestoreLeftAlone) {
	var runs []string
	count, live := map[string]int{}, map[string]int{}
	for _, l := range list {
		key := l.Run + ": " + l.Why
		if count[key]++; count[key] == 1 {
			runs = append(runs, key)
		}
		if !l.Ended {
			live[key]++
		}
	}
	for _, key := range runs {
		run, why, _ := strings.Cut(key, ": ")
		still := ""
		if live[key] > 0 {
			still = fmt.Sprintf(", and %d had not ended", live[key])
		}
		fmt.Fprintf(c.out, "%s of run %s left alone: %s; its work is not recorded here%s\n", plural(count[key], "execution"), clean(run), clean(why), still)
	}
}
