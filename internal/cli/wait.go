package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud-run-orchestrator/internal/api"
)

const (
	pollEvery = time.Second
	// giveUpAfter is how long a wait goes on without an answer; a restart or a new version takes less.
	giveUpAfter = 5 * time.Minute
	// inProcessTick is how often a waiting process ticks when nobody else does.
	inProcessTick = time.Second
)

var errWaitedLongEnough = errors.New("the timeout passed")

// waitFor waits until a run has ended and tells how, in words and as exit code. The run itself goes on whatever ends the waiting.
func (c *console) waitFor(ctx context.Context, s *server, run api.Run, timeout time.Duration) error {
	fmt.Fprintln(c.Stderr, started(run))
	limited, cancel := context.WithCancel(ctx)
	if timeout > 0 {
		limited, cancel = context.WithTimeoutCause(ctx, timeout, errWaitedLongEnough)
	}
	defer cancel()
	if s.inProcess {
		defer c.tickMeanwhile(limited, s)()
	}
	p := c.newProgress()
	last, err := c.follow(limited, s, run.ID, p)
	p.end()
	switch {
	case err == nil:
		return c.ended(last)
	case errors.Is(context.Cause(limited), errWaitedLongEnough):
		c.goesOn(s, run, fmt.Sprintf("%v: run %s has not ended after %v", errWaitedLongEnough, run.Name, timeout))
		return outcome(exitTimeout)
	case ctx.Err() != nil:
		c.goesOn(s, run, "interrupted")
		return outcome(exitFailed)
	}
	return advise(fmt.Errorf("the outcome of run %s is unknown: %w", run.Name, err), "look at it later: orchestrator status "+run.Name)
}

// goesOn says that only the waiting has ended.
func (c *console) goesOn(s *server, run api.Run, why string) {
	what := fmt.Sprintf("run %s goes on", run.Name)
	if s.inProcess {
		what = fmt.Sprintf(`run %s stays as it is; it moves again with "orchestrator run" or "orchestrator tick"`, run.Name)
	}
	fmt.Fprintf(c.Stderr, "%s\n%s\nlook at it: orchestrator status %s\n", clean(why), clean(what), clean(run.Name))
}

// tickMeanwhile moves the run until the returned function is called, which waits for the tick under way.
func (c *console) tickMeanwhile(ctx context.Context, s *server) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.tickEvery(ctx, s, inProcessTick, logChanges(c.Stderr))
	}()
	return func() {
		cancel()
		<-done
	}
}

// follow polls a run until it has ended. It outlives a server that restarts, and says when it lost and found it.
func (c *console) follow(ctx context.Context, s *server, id string, p *progress) (api.Run, error) {
	var lost time.Time
	for {
		run, err := s.Run(ctx, id)
		if err == nil && !lost.IsZero() {
			p.say("connected again")
			lost = time.Time{}
		}
		switch {
		case ctx.Err() != nil:
			return api.Run{}, ctx.Err()
		case err == nil:
			p.show(run)
			if run.FinishedAt != nil {
				return run, nil
			}
		case !api.Temporary(err):
			return api.Run{}, err
		case lost.IsZero():
			lost = c.Now()
			p.say(err.Error() + "; trying again")
		case c.Now().Sub(lost) > giveUpAfter:
			return api.Run{}, err
		}
		c.Pause(ctx, pollEvery)
	}
}

// ended tells how a run ended.
func (c *console) ended(run api.Run) error {
	if c.asJSON() {
		if err := c.printJSON(run); err != nil {
			return err
		}
	} else {
		c.printEnd(run)
		c.nextAfter(run)
	}
	switch run.Status {
	case "success":
		return nil
	case "cancelled":
		return outcome(exitRunCancelled)
	}
	return outcome(exitRunFailed)
}

func (c *console) printEnd(run api.Run) {
	took := ""
	if d, known := c.took(&run.CreatedAt, run.FinishedAt); known {
		took = " in " + exact(d)
	}
	fmt.Fprintf(c.out, "run %s  %s%s%s   %s, %s, %s\n", clean(run.Name), c.painted(run.Status), took, unlessLive(" (%s)", run.Mode),
		plural(run.TaskCount, "task"), plural(run.Executions, "execution"), retries(run.Retries))
	for _, reason := range reasons(run) {
		fmt.Fprintln(c.out, reason)
	}
}

// nextAfter says how to look at what failed.
func (c *console) nextAfter(run api.Run) {
	if run.Counts.Failed > 0 {
		c.next(fmt.Sprintf("orchestrator tasks %s --status failed", run.Name))
	}
}

func retries(n int) string {
	if n == 1 {
		return "1 retry"
	}
	return number(n) + " retries"
}
