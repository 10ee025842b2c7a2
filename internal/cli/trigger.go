package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"cloud-run-orchestrator/internal/api"

	"github.com/spf13/cobra"
)

const (
	// A trigger whose answer was lost is repeated so often, after pauses that double: 25 s in all, enough for a server to restart.
	maxRepeats  = 7
	firstRepeat = 200 * time.Millisecond
)

// triggering is one use of the command trigger.
type triggering struct {
	workflow   string
	params     []string
	paramsFile string
	key        string
	wait       bool
	timeout    time.Duration
}

func (c *console) triggerCommand() *cobra.Command {
	var t triggering
	cmd := &cobra.Command{
		Use:   "trigger WORKFLOW",
		Short: "Start a run of a workflow",
		Long: `Start a run of a workflow.

With --wait the exit code is 0 when the run succeeded, 10 when it failed, 11 when it was cancelled and 12 when --timeout passed first.
Ctrl-C stops the waiting, never the run.`,
		Example: `  orchestrator trigger example-workflow
  orchestrator trigger nightly-report --param date=2026-01-31 --wait --timeout 2h`,
		Args:              exactly("the name of a workflow"),
		ValidArgsFunction: c.completeWorkflows,
		RunE: func(cmd *cobra.Command, args []string) error {
			t.workflow = args[0]
			if cmd.Flags().Changed("timeout") && (!t.wait || t.timeout <= 0) {
				return usage(cmd, "--timeout must be above 0, and comes with --wait")
			}
			params, err := c.readParams(cmd, t)
			if err != nil {
				return err
			}
			return c.with(cmd.Context(), func(s *server) error { return c.trigger(cmd.Context(), s, t, params) })
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&t.params, "param", nil, "a param as NAME=VALUE; may be repeated")
	f.StringVar(&t.paramsFile, "params-file", "", "file with params as a JSON object, - for the standard input; --param overrides it")
	f.StringVar(&t.key, "key", "", "idempotency key: the same key and params never start a second run")
	f.BoolVar(&t.wait, "wait", false, "wait until the run has ended")
	f.DurationVar(&t.timeout, "timeout", 0, "wait no longer than this")
	for _, name := range []string{"param", "key", "timeout"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return cmd
}

func (c *console) readParams(cmd *cobra.Command, t triggering) (map[string]json.RawMessage, error) {
	params := map[string]json.RawMessage{}
	if t.paramsFile != "" {
		doc, err := c.readInput(t.paramsFile, api.MaxBodyBytes)
		if err != nil {
			return nil, usage(cmd, "--params-file: %s", err)
		}
		if err := json.Unmarshal(doc, &params); err != nil || params == nil {
			return nil, usage(cmd, "--params-file: %s does not hold a JSON object, as in {\"date\": \"2026-01-31\"}", t.paramsFile)
		}
	}
	for _, p := range t.params {
		name, value, err := parseParam(p)
		if err != nil {
			return nil, usage(cmd, "%s", err)
		}
		params[name] = value
	}
	return params, nil
}

func (c *console) trigger(ctx context.Context, s *server, t triggering, params map[string]json.RawMessage) error {
	if t.key == "" {
		t.key = rand.Text()
	}
	run, err := c.start(ctx, s, t, api.TriggerRequest{Params: params})
	if err != nil {
		return err
	}
	if t.wait {
		return c.waitFor(ctx, s, run, t.timeout)
	}
	if s.inProcess {
		fmt.Fprintln(c.Stderr, `nothing moves this run until "orchestrator run" or "orchestrator tick"`)
	}
	if c.asJSON() {
		return c.printJSON(run)
	}
	fmt.Fprintln(c.out, started(run))
	c.next("orchestrator status " + run.Name)
	return nil
}

func started(run api.Run) string {
	verb := "started"
	if run.Replayed {
		verb = "was started before under this key"
	}
	return fmt.Sprintf("run %s %s (%s%s)", clean(run.Name), verb, plural(run.TaskCount, "task"), unlessLive(", %s", run.Mode))
}

// start posts the trigger, and again under the same key while its answer is lost on the way. A server that never answered is not waited for.
func (c *console) start(ctx context.Context, s *server, t triggering, r api.TriggerRequest) (api.Run, error) {
	maybe := false // an attempt may have started the run
	for attempt := 0; ; attempt++ {
		run, err := s.Trigger(ctx, t.workflow, r, t.key)
		if err == nil {
			run.Replayed = run.Replayed && !maybe // the earlier request was this command's own
			return run, nil
		}
		maybe = maybe || mayHaveStarted(err)
		again := api.Temporary(err) && (maybe || s.answered || !errors.Is(err, api.ErrUnreachable))
		if !again || attempt == maxRepeats || ctx.Err() != nil {
			return api.Run{}, c.notStarted(ctx, err, t, maybe)
		}
		if attempt == 0 {
			fmt.Fprintf(c.Stderr, "%s; trying again under the same key\n", clean(err.Error()))
		}
		c.Pause(ctx, firstRepeat<<attempt)
	}
}

// mayHaveStarted says whether the request could have been carried out although it brought this error.
func mayHaveStarted(err error) bool {
	var unreachable *api.UnreachableError
	var problem *api.Problem
	var foreign *api.Foreign
	switch {
	case errors.As(err, &unreachable):
		return !unreachable.NeverSent()
	case errors.As(err, &problem):
		return problem.Status >= http.StatusInternalServerError
	case errors.As(err, &foreign):
		return foreign.Status < 300 || foreign.Status >= http.StatusInternalServerError
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// notStarted is the error of a trigger without an answer; where the run may exist all the same, it says how to find out without starting a second one.
func (c *console) notStarted(ctx context.Context, err error, t triggering, maybe bool) error {
	if !maybe {
		return err
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted before the answer came")
	}
	return advise(err, "it is not known whether the run was started; this repeats the request and starts no second run:", "orchestrator "+t.String())
}

// String is the command line that repeats the request.
func (t triggering) String() string {
	said := "trigger " + quote(t.workflow)
	if t.paramsFile != "" {
		said += " --params-file " + quote(t.paramsFile)
	}
	for _, p := range t.params {
		said += " --param " + quote(p)
	}
	return said + " --key " + quote(t.key)
}

// quote makes a word safe to paste into a shell.
func quote(s string) string {
	plain := func(r rune) bool {
		return (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || (r >= '0' && r <= '9') || strings.ContainsRune("-_./=:,@", r)
	}
	if s != "" && strings.TrimFunc(s, plain) == "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func (c *console) cancelCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cancel RUN",
		Short: "Stop a run",
		Long: `Stop a run: what was not sent to Cloud Run ends at once, and what runs there is asked to stop.

A run that has ended stays as it is, which is a conflict (exit code 4).`,
		Example:           "  orchestrator cancel example-workflow.12",
		Args:              exactly("the name or id of a run"),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(s *server) error { return c.cancel(cmd.Context(), s, args[0]) })
		},
	}
}

func (c *console) cancel(ctx context.Context, s *server, ref string) error {
	run, err := s.Cancel(ctx, ref, api.CancelRequest{})
	if err != nil {
		return err
	}
	if c.asJSON() {
		return c.printJSON(run)
	}
	if run.Stopping {
		fmt.Fprintf(c.out, "run %s is being stopped\n", clean(run.Name))
	} else {
		fmt.Fprintf(c.out, "run %s is %s\n", clean(run.Name), c.painted(run.Status))
	}
	c.next("orchestrator status " + run.Name)
	return nil
}
