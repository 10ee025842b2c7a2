package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"cloud-run-orchestrator/internal/api"

	"github.com/spf13/cobra"
)

const minTickEvery = time.Second

func (c *console) tickCommand() *cobra.Command {
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "tick",
		Short: "Move everything that is due, once or again and again",
		Long: `Move everything that is due, once, and report what moved; phases that failed make the exit code 1.

With --every it is the local ticker: the next tick starts so long after the last one began, or when that ends if it is later.
It goes on through errors and ends with Ctrl-C or SIGTERM.`,
		Example: `  orchestrator tick
  orchestrator tick --every 5s`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			repeated := cmd.Flags().Changed("every")
			switch {
			case repeated && every < minTickEvery:
				return usage(cmd, "--every %v: write %v or more", every, minTickEvery)
			case repeated && c.asJSON():
				return usage(cmd, "-o json prints one document; leave out --every")
			}
			return c.with(cmd.Context(), func(s *server) error {
				if repeated {
					return c.ticker(cmd.Context(), s, every)
				}
				return c.tickOnce(cmd.Context(), s)
			})
		},
	}
	cmd.Flags().DurationVar(&every, "every", 0, "tick again and again, so long after the last tick began")
	_ = cmd.RegisterFlagCompletionFunc("every", cobra.NoFileCompletions)
	return cmd
}

func (c *console) tickOnce(ctx context.Context, s *server) error {
	report, err := s.Tick(ctx)
	var failed *api.TickError
	if err != nil && !errors.As(err, &failed) {
		return err
	}
	if c.asJSON() {
		if printErr := c.printJSON(report); printErr != nil {
			return printErr
		}
	} else if report.Passes > 0 {
		c.printReport(report)
	}
	if failed == nil {
		return nil
	}
	return fmt.Errorf("some phases failed:\n%s", strings.Join(failed.Errors, "\n"))
}

func (c *console) printReport(r api.TickReport) {
	passes := "1 pass"
	if r.Passes != 1 {
		passes = number(r.Passes) + " passes"
	}
	fmt.Fprintf(c.out, "%s moved in %s, %s\n", number(r.Moved), passes, exact(time.Duration(r.TookMS)*time.Millisecond))
	t := newTable(c.StdoutWidth, column{name: "PHASE"}, column{name: "MOVED", right: true}, column{name: "TOOK", right: true})
	for _, p := range r.Phases {
		t.add(p.Phase, number(p.Moved), fmt.Sprintf("%d ms", p.TookMS))
	}
	if len(r.Phases) > 0 {
		_ = t.flush(c.out) // a failed write is found at the end of the command
	}
	for _, run := range r.Finished {
		fmt.Fprintf(c.out, "ended: %s\n", clean(run))
	}
	switch {
	case r.NextDue != nil:
		fmt.Fprintf(c.out, "next due in %s\n", rough(max(r.NextDue.Sub(c.Now()), 0)))
	case r.Active:
		fmt.Fprintln(c.out, "unfinished runs are left")
	case len(r.Errors) == 0:
		fmt.Fprintln(c.out, "nothing is left to do")
	}
}

// ticker is the Cloud Scheduler of a laptop.
func (c *console) ticker(ctx context.Context, s *server, every time.Duration) error {
	fmt.Fprintf(c.out, "ticking every %v at %s\n", every, clean(s.URL()))
	logErrors := logChanges(c.Stderr)
	c.tickEvery(ctx, s, every, func(r api.TickReport, err error) {
		logErrors(r, err)
		if r.Moved > 0 || len(r.Finished) > 0 {
			fmt.Fprintln(c.out, reportLine(r))
		}
	})
	return nil
}

func reportLine(r api.TickReport) string {
	said := []string{fmt.Sprintf("tick: %d moved in %s", r.Moved, exact(time.Duration(r.TookMS)*time.Millisecond))}
	for _, run := range r.Finished {
		said = append(said, clean(run))
	}
	return strings.Join(said, ", ")
}

// tickEvery ticks until ctx ends: the next tick starts an interval after the last began, or when it ends if that is later.
func (c *console) tickEvery(ctx context.Context, s *server, interval time.Duration, after func(api.TickReport, error)) {
	for ctx.Err() == nil {
		began := c.Now()
		report, err := s.Tick(ctx)
		if ctx.Err() != nil {
			return
		}
		after(report, err)
		if rest := interval - c.Now().Sub(began); rest > 0 {
			c.Pause(ctx, rest)
		}
	}
}

// logChanges logs each error of a series of ticks once, until it changes or ends.
func logChanges(w io.Writer) func(api.TickReport, error) {
	last := ""
	return func(_ api.TickReport, err error) {
		said := ""
		if err != nil {
			said = clean(err.Error())
		}
		switch {
		case said == last:
		case said == "":
			fmt.Fprintln(w, "tick works again")
		default:
			fmt.Fprintf(w, "error: %s\n", said)
		}
		last = said
	}
}
