package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cloud-run-orchestrator/internal/api"

	"github.com/spf13/cobra"
)

const defaultRunLimit = 50

func (c *console) statusCommand() *cobra.Command {
	var workflow string
	var limit int
	cmd := &cobra.Command{
		Use:   "status [RUN]",
		Short: "Show the runs, or one run",
		Long:  `Show the newest runs, or everything about one run. The exit code does not depend on how a run ended.`,
		Example: `  orchestrator status
  orchestrator status --workflow example-workflow
  orchestrator status example-workflow.12`,
		Args:              atMost(1),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && (workflow != "" || cmd.Flags().Changed("limit")):
				return usage(cmd, "--workflow and --limit choose from the list of runs; leave out %q", args[0])
			case limit < 0:
				return usage(cmd, "--limit %d: write 0 or more", limit)
			}
			return c.with(cmd.Context(), func(s *server) error {
				if len(args) == 1 {
					return c.runStatus(cmd.Context(), s, args[0])
				}
				return c.listRuns(cmd.Context(), s, workflow, limit)
			})
		},
	}
	cmd.Flags().StringVar(&workflow, "workflow", "", "only runs of this workflow")
	cmd.Flags().IntVar(&limit, "limit", defaultRunLimit, "show so many, the newest; 0 shows all")
	_ = cmd.RegisterFlagCompletionFunc("workflow", c.completeWorkflows)
	_ = cmd.RegisterFlagCompletionFunc("limit", cobra.NoFileCompletions)
	return cmd
}

func (c *console) listRuns(ctx context.Context, s *server, workflow string, limit int) error {
	size := api.MaxPageSize
	if limit > 0 {
		size = min(limit+1, size)
	}
	more := false
	runs := func(yield func(api.Run, error) bool) {
		n := 0
		for run, err := range s.AllRuns(ctx, api.RunFilter{Workflow: workflow, Page: api.Page{Size: size}}) {
			if more = err == nil && limit > 0 && n == limit; more || !yield(run, err) {
				return
			}
			n++
		}
		if n == 0 && workflow != "" { // a misspelled name is not an empty list
			if _, err := s.Workflow(ctx, workflow); err != nil {
				yield(api.Run{}, err)
			}
		}
	}
	show := c.printRuns
	if c.asJSON() {
		show = func(runs func(func(api.Run, error) bool)) error { return printJSONList(c, "runs", runs) }
	}
	if err := show(runs); err != nil {
		return err
	}
	if more {
		fmt.Fprintln(c.Stderr, "there are older runs; --limit 0 shows all")
	}
	return nil
}

func (c *console) printRuns(runs func(func(api.Run, error) bool)) error {
	t := newTable(c.StdoutWidth, column{name: "RUN"}, column{name: "STATUS", paint: c.paintStatus()}, column{name: "MODE"}, column{name: "DONE"},
		column{name: "FAILED", right: true}, column{name: "STARTED"}, column{name: "TOOK"}, column{name: "WAITING FOR", flex: true})
	n := 0
	for run, err := range runs {
		if err != nil {
			return err
		}
		t.add(c.runRow(run)...)
		if n++; n%api.MaxPageSize == 0 {
			if err := t.flush(c.out); err != nil {
				return err
			}
		}
	}
	if n == 0 {
		fmt.Fprintln(c.out, "there are no runs yet")
		c.next("orchestrator trigger WORKFLOW")
		return nil
	}
	return t.flush(c.out)
}

func (c *console) runRow(run api.Run) []string {
	started, took := unknown, ""
	if run.StartedAt != nil {
		started = c.ago(*run.StartedAt)
	}
	if run.FinishedAt != nil {
		took = c.tookOrUnknown(run)
	}
	status := run.Status
	if run.Stopping {
		status += " (stopping)"
	}
	done := number(run.Counts.Final()) + "/" + number(run.TaskCount)
	return []string{run.Name, status, run.Mode, done, number(run.Counts.Failed), started, took, strings.Join(run.Waiting, "; ")}
}

func (c *console) tookOrUnknown(run api.Run) string {
	if d, known := c.took(run.StartedAt, run.FinishedAt); known {
		return rough(d)
	}
	return unknown
}

func (c *console) runStatus(ctx context.Context, s *server, ref string) error {
	run, err := s.Run(ctx, ref)
	if err != nil {
		return err
	}
	if c.asJSON() {
		return c.printJSON(run)
	}
	c.printRun(run)
	return nil
}

// printRun prints everything about one run.
func (c *console) printRun(run api.Run) {
	c.field("run", fmt.Sprintf("%s   %s   (%s)", run.Name, run.ID, run.Mode))
	c.field("version", fmt.Sprint(run.Version))
	if len(run.Params) > 0 {
		c.field("params", params(run))
	}
	fmt.Fprintf(c.out, "%-10s%s%s\n", "status", c.painted(run.Status), c.when(run))
	c.printSteps(run)
	for _, waiting := range run.Waiting {
		c.field("waiting", waiting)
	}
	for _, warning := range run.Warnings {
		c.field("warning", warning)
	}
	for _, reason := range reasons(run) {
		fmt.Fprintln(c.out, reason)
	}
	c.nextAfter(run)
}

// field prints a line with its name before it; further lines of the text stand below each other.
func (c *console) field(name, text string) {
	for _, line := range cleanLines(text) {
		fmt.Fprintf(c.out, "%-10s%s\n", name, line)
		name = ""
	}
}

func (c *console) when(run api.Run) string {
	said := ""
	switch {
	case run.FinishedAt != nil:
		said = " " + c.ago(*run.FinishedAt) + ", took " + c.tookOrUnknown(run)
	case run.StartedAt != nil:
		said = " for " + rough(c.Now().Sub(*run.StartedAt))
	default:
		said = " for " + rough(c.Now().Sub(run.CreatedAt))
	}
	if run.Stopping {
		said += ", stopping"
	}
	return said
}

func params(run api.Run) string {
	var said []string
	for name, value := range run.Params {
		said = append(said, name+"="+string(value))
	}
	slices.Sort(said)
	return strings.Join(said, " ")
}

// printSteps prints a row for each step; the rarer statuses only where there are such tasks.
func (c *console) printSteps(run api.Run) {
	type count struct {
		name string
		of   func(api.Counts) int
		rare bool
	}
	counts := []count{
		{name: "PENDING", of: func(n api.Counts) int { return n.Pending }},
		{name: "DISPATCHED", of: func(n api.Counts) int { return n.Dispatched }},
		{name: "RUNNING", of: func(n api.Counts) int { return n.Running }},
		{name: "SUCCESS", of: func(n api.Counts) int { return n.Success }},
		{name: "FAILED", of: func(n api.Counts) int { return n.Failed }},
		{name: "CANCELLED", of: func(n api.Counts) int { return n.Cancelled }, rare: true},
		{name: "SKIPPED", of: func(n api.Counts) int { return n.Skipped }, rare: true},
	}
	counts = slices.DeleteFunc(counts, func(k count) bool { return k.rare && k.of(run.Counts) == 0 })
	columns := []column{{name: "step    "}, {name: "STATUS", paint: c.paintStatus()}}
	for _, k := range counts {
		columns = append(columns, column{name: k.name, right: true})
	}
	t := newTable(c.StdoutWidth, columns...)
	for _, s := range run.Steps {
		status := s.Status
		if s.Stopping {
			status += " (stopping)"
		}
		cells := []string{s.Name, status}
		for _, k := range counts {
			cells = append(cells, number(k.of(s.Counts)))
		}
		t.add(cells...)
	}
	_ = t.flush(c.out) // a failed write is found at the end of the command
}

// reasons are the lines that say why a run did not succeed, with its steps before the whole; further lines of a reason are indented.
func reasons(run api.Run) []string {
	var said []string
	add := func(reason string) {
		for i, line := range cleanLines(reason) {
			if i > 0 {
				line = "       " + line
			}
			said = append(said, line)
		}
	}
	for _, s := range run.Steps {
		if s.Reason != "" {
			add(fmt.Sprintf("step %s %s: %s", s.Name, s.Status, s.Reason))
		}
	}
	ofStep := strings.HasPrefix(run.Reason, "step ") && len(said) > 0 // said above already
	if run.Reason != "" && !ofStep && !strings.Contains(strings.Join(said, "\n"), run.Reason) {
		add("reason: " + run.Reason)
	}
	return said
}
