package cli

import (
	"context"
	"fmt"
	"strings"

	"cloud-run-orchestrator/internal/api"

	"github.com/spf13/cobra"
)

func (c *console) tasksCommand() *cobra.Command {
	var f api.TaskFilter
	cmd := &cobra.Command{
		Use:   "tasks RUN",
		Short: "List the tasks of a run",
		Example: `  orchestrator tasks example-workflow.12
  orchestrator tasks nightly-report.311 --step transform --status failed`,
		Args:              exactly("the name or id of a run"),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(s *server) error { return c.listTasks(cmd.Context(), s, args[0], f) })
		},
	}
	cmd.Flags().StringVar(&f.Step, "step", "", "only tasks of this step")
	cmd.Flags().StringVar(&f.Status, "status", "", "only tasks with this status")
	_ = cmd.RegisterFlagCompletionFunc("status", completeWords("pending", "dispatched", "running", "success", "failed", "cancelled", "skipped"))
	_ = cmd.RegisterFlagCompletionFunc("step", c.completeSteps)
	return cmd
}

func (c *console) listTasks(ctx context.Context, s *server, ref string, f api.TaskFilter) error {
	f.Page.Size = api.MaxPageSize
	if c.asJSON() {
		return printJSONList(c, "tasks", s.AllTasks(ctx, ref, f))
	}
	run, err := s.Run(ctx, ref)
	if err != nil {
		return err
	}
	t, manySteps := c.taskTable(run), len(run.Steps) > 1
	n := 0
	for task, err := range s.AllTasks(ctx, ref, f) {
		if err != nil {
			return err
		}
		t.add(c.taskRow(task, manySteps)...)
		if n++; n%api.MaxPageSize == 0 { // a million tasks are shown as they come
			if err := t.flush(c.out); err != nil {
				return err
			}
		}
	}
	if n == 0 {
		fmt.Fprintln(c.out, noTasks(run, f))
		return nil
	}
	return t.flush(c.out)
}

func noTasks(run api.Run, f api.TaskFilter) string {
	switch {
	case f.Step != "" || f.Status != "":
		return fmt.Sprintf("no task of %s is like that", clean(run.Name))
	case run.FinishedAt == nil:
		return fmt.Sprintf("%s has no tasks yet", clean(run.Name))
	}
	return fmt.Sprintf("%s has no tasks", clean(run.Name))
}

func (c *console) taskTable(run api.Run) *table {
	columns := []column{{name: "INDEX", right: true}, {name: "STATUS", paint: c.paintStatus()}, {name: "ATTEMPT", right: true},
		{name: "REASON", flex: true}, {name: "TOOK", right: true}, {name: "EXECUTION"}}
	if len(run.Steps) > 1 {
		columns = append([]column{{name: "STEP"}}, columns...)
	}
	return newTable(c.StdoutWidth, columns...)
}

func (c *console) taskRow(t api.Task, withStep bool) []string {
	took := unknown
	if d, known := c.took(t.StartedAt, t.FinishedAt); known {
		took = rough(d)
	}
	row := []string{fmt.Sprint(t.TaskIndex), t.Status, fmt.Sprint(t.Attempt), taskReason(t), took, short(t.CloudRunExecutionName)}
	if withStep {
		row = append([]string{t.Step}, row...)
	}
	return row
}

// taskReason puts a task's reason, exit code and signal into words: out of memory (exit code 137).
func taskReason(t api.Task) string {
	var facts []string
	if t.ExitCode != nil && *t.ExitCode != 0 {
		facts = append(facts, fmt.Sprintf("exit code %d", *t.ExitCode))
	}
	if t.Signal != nil && *t.Signal != 0 {
		facts = append(facts, fmt.Sprintf("signal %d", *t.Signal))
	}
	fact := strings.Join(facts, ", ")
	switch {
	case t.Status == "success":
		return ""
	case fact == "":
		return strings.ReplaceAll(t.Reason, "_", " ")
	case t.Reason == "" || t.Reason == "exit_code" || t.Reason == "signal":
		return fact
	}
	return fmt.Sprintf("%s (%s)", strings.ReplaceAll(t.Reason, "_", " "), fact)
}
