package cli

import (
	"context"
	"fmt"

	"cloud-run-orchestrator/internal/api"

	"github.com/spf13/cobra"
)

const createExample = `  orchestrator create-workflow --name example-workflow --description "Example workflow" \
    --job-name my-cloud-run-job --project my-gcp-project --region us-central1 --task-count 5`

func (c *console) createWorkflowCommand() *cobra.Command {
	var s simple
	cmd := &cobra.Command{
		Use:   "create-workflow --name NAME --job-name JOB",
		Short: "Create a workflow of equal tasks on one Cloud Run job",
		Long: `Create a workflow of equal tasks on one Cloud Run job.

A workflow with this name and the same definition is left as it is; with another definition it is a conflict:
change an existing workflow with "orchestrator apply". Project and region, when left out, are the orchestrator's own.`,
		Example: createExample,
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.name == "" || s.jobName == "" {
				return usage(cmd, "create-workflow needs --name and --job-name")
			}
			return c.with(cmd.Context(), func(sv *server) error { return c.createWorkflow(cmd.Context(), sv, s) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.name, "name", "", "name of the workflow (required)")
	f.StringVar(&s.description, "description", "", "what it is for")
	f.StringVar(&s.jobName, "job-name", "", "short name of the Cloud Run job (required)")
	f.StringVar(&s.project, "project", "", "Google Cloud project of the job")
	f.StringVar(&s.region, "region", "", "region of the job")
	f.IntVar(&s.taskCount, "task-count", 1, "number of tasks, 1 to 1,000,000")
	for _, name := range []string{"name", "description", "job-name", "project", "region", "task-count"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return cmd
}

func (c *console) createWorkflow(ctx context.Context, s *server, what simple) error {
	w, created, err := s.PutWorkflow(ctx, what.name, what.definition(), true)
	if exitCode(err) == exitConflict {
		return advise(err, fmt.Sprintf("change it with %q, or choose another name", "orchestrator apply -f FILE"))
	}
	if err != nil {
		return err
	}
	c.printWarnings(definition{}, w.Warnings)
	if c.asJSON() {
		return c.printJSON(w)
	}
	if !created {
		fmt.Fprintf(c.out, "%s exists already with this definition (version %d); nothing changed\n", clean(w.Name), w.Version)
	} else {
		fmt.Fprintf(c.out, "created %s (version %d): %s\n", clean(w.Name), w.Version, contents(w))
	}
	c.next("orchestrator trigger " + w.Name)
	return nil
}

// contents is a workflow's size and place: 5 tasks on my-job in us-central1.
func contents(w api.Workflow) string {
	said := plural(w.TaskCount, "task")
	if len(w.Steps) == 1 {
		return fmt.Sprintf("%s on %s in %s", said, clean(w.Steps[0].Job), clean(w.Steps[0].Region))
	}
	return fmt.Sprintf("%s in %s", said, plural(len(w.Steps), "step"))
}

// next says which command comes now.
func (c *console) next(command string) { fmt.Fprintf(c.out, "next: %s\n", clean(command)) }

func (c *console) listWorkflowsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list-workflows",
		Short:   "List the workflows",
		Example: "  orchestrator list-workflows",
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(s *server) error { return c.listWorkflows(cmd.Context(), s) })
		},
	}
}

func (c *console) listWorkflows(ctx context.Context, s *server) error {
	if c.asJSON() {
		return printJSONList(c, "workflows", s.AllWorkflows(ctx))
	}
	t := newTable(c.StdoutWidth, column{name: "NAME"}, column{name: "VERSION", right: true}, column{name: "TASKS", right: true},
		column{name: "JOB", flex: true}, column{name: "LAST RUN", paint: c.paintStatus()})
	some := false
	for w, err := range s.AllWorkflows(ctx) {
		if err != nil {
			return err
		}
		some = true
		t.add(w.Name, fmt.Sprint(w.Version), number(w.TaskCount), jobs(w), c.lastRun(w.LastRun))
	}
	if !some {
		fmt.Fprintln(c.out, "there are no workflows yet")
		c.next("orchestrator create-workflow --name hello --job-name hello --task-count 5")
		return nil
	}
	return t.flush(c.out)
}

func jobs(w api.Workflow) string {
	if len(w.Steps) == 1 {
		return w.Steps[0].Job + " " + w.Steps[0].Region
	}
	return plural(len(w.Steps), "step")
}

func (c *console) lastRun(r *api.RunRef) string {
	if r == nil {
		return unknown
	}
	at := r.CreatedAt
	if r.FinishedAt != nil {
		at = *r.FinishedAt
	}
	return r.Status + unlessLive(" (%s)", r.Mode) + " " + c.ago(at)
}

// unlessLive names a mode in which nothing ran on Cloud Run, so that a simulated success is never taken for a real one.
func unlessLive(format, mode string) string {
	if mode == "" || mode == "live" {
		return ""
	}
	return fmt.Sprintf(format, clean(mode))
}
