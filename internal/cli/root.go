package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	formatTable = "table"
	formatJSON  = "json"
)

const longHelp = `orchestrator runs workflows of many tasks as Google Cloud Run jobs.

It talks to the functions at ORCHESTRATOR_URL, or at http://localhost:8080 when that is not set.
When nothing answers there it does the work in its own process, over the database that "orchestrator config" shows.`

const rootExample = `  orchestrator init
  orchestrator create-workflow --name hello --job-name hello --task-count 5
  orchestrator trigger hello --wait`

func (c *console) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "orchestrator",
		Short:         "Run workflows of many tasks as Google Cloud Run jobs",
		Long:          longHelp,
		Example:       rootExample,
		Version:       c.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	root.SetIn(c.Stdin)
	root.SetOut(c.out)
	root.SetErr(c.Stderr)
	root.SetVersionTemplate("orchestrator {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	root.PersistentFlags().VarP(newChoice(&c.format, formatTable, formatJSON), "output", "o", "how to print: table or json")
	_ = root.RegisterFlagCompletionFunc("output", completeWords(formatTable, formatJSON))
	root.AddCommand(
		c.initCommand(), c.runCommand(),
		c.createWorkflowCommand(), c.listWorkflowsCommand(), c.applyCommand(),
		c.triggerCommand(), c.cancelCommand(), c.statusCommand(), c.tasksCommand(),
		c.tickCommand(), c.doctorCommand(), c.emulatorCommand(), c.configCommand(), c.demoCommand(),
	)
	return root
}

// knownCommand refuses what is no command, with the commands that may have been meant.
func knownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if near := root.SuggestionsFor(args[0]); len(near) > 0 {
		return usage(root, "there is no command %q; did you mean %q?", args[0], near[0])
	}
	return usage(root, "there is no command %q", args[0])
}

// exactly demands one argument for each name.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usage(cmd, "%s needs %s", cmd.Name(), names[len(args)])
		}
		return atMost(len(names))(cmd, args)
	}
}

func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usage(cmd, "%s does not know what to do with %q", cmd.Name(), args[n])
		}
		return nil
	}
}

// flagError turns the flag parser's words into ours.
func flagError(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return err
	case errors.As(err, &missing):
		return usage(cmd, "--%s needs a value", missing.GetFlag().Name)
	case errors.As(err, &invalid):
		return usage(cmd, "--%s %q: %s", invalid.GetFlag().Name, invalid.GetValue(), allowedValue(invalid))
	}
	return usage(cmd, "%s", err)
}

func allowedValue(invalid *pflag.InvalidValueError) string {
	switch invalid.GetFlag().Value.Type() {
	case "int":
		return "write a whole number"
	case "duration":
		return "write a duration, as in 5s, 10m or 1h30m"
	}
	return errors.Unwrap(invalid).Error()
}

// choice is a flag with a few possible values.
type choice struct {
	value   *string
	allowed []string
}

func newChoice(value *string, allowed ...string) *choice { return &choice{value, allowed} }

func (c *choice) String() string { return *c.value }
func (c *choice) Type() string   { return "string" }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.allowed, s) {
		return fmt.Errorf("write %s", orList(c.allowed))
	}
	*c.value = s
	return nil
}

// orList is "a, b or c".
func orList(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
