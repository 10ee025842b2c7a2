package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// missing is the answer of a command that this program was built without.
func missing(cmd *cobra.Command) error {
	return fmt.Errorf("this program was built without the command %q", cmd.Name())
}

func (c *console) initCommand() *cobra.Command {
	var r InitRequest
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the database, or bring it to the newest version",
		Long: `Make the database, or bring it to the newest version. To repeat it does no harm.

A database has one mode: live (Cloud Run), emulator (an offline Cloud Run) or mock (nothing runs).
--mode changes it while no run is unfinished.`,
		Example: `  orchestrator init
  orchestrator init --mode live`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.Local.Init == nil {
				return missing(cmd)
			}
			result, err := c.Local.Init(cmd.Context(), r)
			if err != nil {
				return err
			}
			if c.asJSON() {
				return c.printJSON(result)
			}
			c.printInit(result)
			return nil
		},
	}
	cmd.Flags().Var(newChoice(&r.Mode, "live", "emulator", "mock"), "mode", "mode of the database; the settings decide when left out")
	_ = cmd.RegisterFlagCompletionFunc("mode", completeWords("live", "emulator", "mock"))
	return cmd
}

func (c *console) printInit(r InitResult) {
	state := "is there already"
	if r.Created {
		state = "created"
	}
	c.field("database", fmt.Sprintf("%s   %s (%s)", r.Database, state, r.How))
	switch {
	case r.From == r.To:
		c.field("schema", fmt.Sprintf("version %d, nothing to do", r.To))
	case r.From == 0:
		c.field("schema", fmt.Sprintf("made, version %d", r.To))
	default:
		c.field("schema", fmt.Sprintf("brought from version %d to %d", r.From, r.To))
	}
	c.field("mode", r.Mode)
	c.next("orchestrator create-workflow --name hello --job-name hello --task-count 5")
}

func (c *console) runCommand() *cobra.Command {
	var r ServeRequest
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the whole orchestrator in this process: functions and ticker",
		Long: `Run the whole orchestrator in this process: all functions, and a ticker that moves what is due. A run that is triggered or cancelled is moved at once.

It ends with Ctrl-C or SIGTERM. Nothing is lost by ending it, in whatever way: the next start goes on.`,
		Example: "  orchestrator run",
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case c.Local.Serve == nil:
				return missing(cmd)
			case r.Every < minTickEvery:
				return usage(cmd, "--every %v: write %v or more", r.Every, minTickEvery)
			}
			r.Ready = func(i ServeInfo) { c.printServing(i, r.Every) }
			return c.Local.Serve(cmd.Context(), r)
		},
	}
	cmd.Flags().StringVar(&r.Listen, "listen", "", "HOST:PORT to listen on; the settings decide when left out")
	cmd.Flags().DurationVar(&r.Every, "every", 5*time.Second, "tick so long after the last tick began")
	for _, name := range []string{"listen", "every"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return cmd
}

func (c *console) printServing(i ServeInfo, every time.Duration) {
	c.field("database", i.Database)
	c.field("cloud run", i.CloudRun)
	c.field("functions", i.URL)
	c.field("ticker", fmt.Sprintf("every %v, and at once when something is asked for", every))
}

func (c *console) configCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "config",
		Short:   "Show the settings in force and where they come from",
		Example: "  orchestrator config",
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.Local.Settings == nil {
				return missing(cmd)
			}
			settings, err := c.Local.Settings(cmd.Context())
			if err != nil {
				return err
			}
			if c.asJSON() {
				return c.printJSON(map[string]any{"settings": settings})
			}
			t := newTable(c.StdoutWidth, column{name: "NAME"}, column{name: "VALUE", flex: true}, column{name: "SOURCE"})
			for _, s := range settings {
				t.add(s.Name, s.Value, s.Source)
			}
			return t.flush(c.out)
		},
	}
}
