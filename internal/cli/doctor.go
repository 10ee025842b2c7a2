package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"cloud-run-orchestrator/internal/api"

	"github.com/spf13/cobra"
)

func (c *console) doctorCommand() *cobra.Command {
	var want api.DoctorRequest
	var giveUp bool
	var restoredTo string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Compare the database with its own rules and with Cloud Run",
		Long: `Compare the database with its own rules, and with Cloud Run in both directions, and say what is wrong, since when, and what will happen or is to be done.
It may be used at any time, also while ticks run; launches that are merely in flight are nothing to worry about, and it says nothing of them.

With --fix it does what a tick would do about what it sees: executions whose launch was not answered are given to the rows that wait for them, executions that should
not be there are cancelled, and executions that this database does not know block launching. It ends no row, and never touches what belongs to another installation.

With --cloud it looks at the jobs that the workflows name, too, with two calls for each: whether they are there and ready, whether the account that the orchestrator
runs with has the permissions that it needs on them, whether their retries, containers and timeouts suit the definitions, and whether somebody else runs them now.
It changes nothing about them, and says which command does. Where Cloud Run is simulated (mode mock) there is nothing to look at.

With --restored-to, after the database was restored to an earlier time, it puts back what it has forgotten: executions that were started since. Nothing is launched until
that is done; stop the scheduler and the wake queue first, and make sure that nothing uses the database from before. The time is the point to which it was restored, or
an earlier one; of a backup it is when it was begun. Requests since then (definitions, triggers, cancels) are lost: repeat those cancels after that, and before the scheduler
goes on. What waits for something that will never come, and what cannot be read, --give-up ends as failed: its tasks may have run, and are not run again.

The exit code is 0 where nothing is wrong, or nothing is any more, and 1 otherwise.`,
		Example: `  orchestrator doctor
  orchestrator doctor --fix
  orchestrator doctor --cloud
  orchestrator doctor --restored-to 2026-11-26T03:00:00Z
  orchestrator doctor -o json`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case restoredTo == "" && giveUp:
				return usage(cmd, "--give-up belongs to --restored-to")
			case restoredTo != "" && (want.Fix || want.Cloud):
				return usage(cmd, "--restored-to, and --fix or --cloud, are different things; use one of them")
			}
			var at time.Time
			if restoredTo != "" {
				var err error
				if at, err = time.Parse(time.RFC3339, restoredTo); err != nil {
					return usage(cmd, "--restored-to is %q; it must be a time as in 2026-11-26T03:00:00Z", restoredTo)
				}
			}
			return c.with(cmd.Context(), func(s *server) error {
				if restoredTo != "" {
					return c.restore(cmd.Context(), s, at, giveUp)
				}
				return c.doctor(cmd.Context(), s, want)
			})
		},
	}
	cmd.Flags().BoolVar(&want.Cloud, "cloud", false, "compare the jobs of the workflows with what they need, too")
	cmd.Flags().BoolVar(&want.Fix, "fix", false, "put right what may be put right")
	cmd.Flags().StringVar(&restoredTo, "restored-to", "", "go on from a database that was restored to this time, as in 2026-11-26T03:00:00Z")
	cmd.Flags().BoolVar(&giveUp, "give-up", false, "with --restored-to: give up what cannot be settled, as the command tells it")
	return cmd
}

func (c *console) doctor(ctx context.Context, s *server, want api.DoctorRequest) error {
	report, err := s.Doctor(ctx, want)
	if err != nil {
		return err
	}
	if c.asJSON() {
		err = c.printJSON(report)
	} else {
		c.printDoctor(report)
	}
	if err == nil && report.Unfixed() > 0 {
		return outcome(exitFailed)
	}
	return err
}

// severities are those of findings, in the order in which they are told.
var severities = []string{"error", "warning", "note"}

func (c *console) printDoctor(r api.DoctorReport) {
	c.printChecked(r.Checked)
	if len(r.Findings) == 0 {
		fmt.Fprintln(c.out, "\nnothing is wrong with what was looked at")
		return
	}
	var counted []string
	fixed := len(r.Findings) - r.Unfixed()
	for _, severity := range severities {
		var list []api.DoctorFinding
		for _, f := range r.Findings {
			if f.Severity == severity {
				list = append(list, f)
			}
		}
		if len(list) == 0 {
			continue
		}
		counted = append(counted, plural(len(list), severity))
		fmt.Fprintf(c.out, "\n%ss\n", severity)
		for _, f := range list {
			c.printFinding(f)
		}
	}
	said := strings.Join(counted, ", ")
	if fixed > 0 {
		said += fmt.Sprintf("; %s fixed", number(fixed))
	}
	fmt.Fprintf(c.out, "\n%s\n", said)
}

func (c *console) printChecked(d api.DoctorChecked) {
	fmt.Fprintf(c.out, "installation  %s   (%s)   schema version %d\n", clean(d.Installation), clean(d.Mode), d.SchemaVersion)
	fmt.Fprintf(c.out, "last tick     %s\n", c.lastTick(d))
	fmt.Fprintf(c.out, "checked       %s of the data; %s, %s, %s to Cloud Run; %s\n", plural(d.Rules, "rule"),
		plural(d.Executions, "unsettled execution"), plural(len(d.Jobs), "job"), plural(d.Calls, "call"), exact(time.Duration(d.TookMS)*time.Millisecond))
	if d.ComparedJobs > 0 {
		fmt.Fprintf(c.out, "compared      %s with what their workflows need: settings and permissions\n", plural(d.ComparedJobs, "job"))
	}
	if len(d.Jobs) > 0 {
		t := newTable(c.StdoutWidth, column{name: "JOB", flex: true}, column{name: "LISTED", right: true}, column{name: "BACK TO"})
		for _, j := range d.Jobs {
			back := unknown
			if j.Back != nil {
				back = c.ago(*j.Back)
			}
			if j.Complete {
				back = "all there are"
			}
			t.add(j.Job, number(j.Listed), back)
		}
		_ = t.flush(c.out) // a failed write is found at the end of the command
	}
	for _, what := range d.NotLooked {
		fmt.Fprintf(c.out, "not looked at: %s\n", clean(what))
	}
}

func (c *console) lastTick(d api.DoctorChecked) string {
	switch {
	case d.LastTickAt == nil:
		return unknown
	case d.LastTickBy == "":
		return c.ago(*d.LastTickAt)
	}
	return c.ago(*d.LastTickAt) + ", called by " + clean(d.LastTickBy)
}

func (c *console) printFinding(f api.DoctorFinding) {
	head := clean(f.Subject)
	if f.Run != "" {
		head = "run " + clean(f.Run) + ", " + head
	}
	if f.Since != nil {
		head += ", since " + c.ago(*f.Since)
	}
	if f.Fixed {
		head = "fixed: " + head
	}
	fmt.Fprintf(c.out, "  %s\n    %s\n", head, clean(f.Detail))
	if !f.Fixed {
		fmt.Fprintf(c.out, "    next: %s\n", clean(f.Action))
	}
}
