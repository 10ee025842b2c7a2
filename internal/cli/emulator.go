package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (c *console) emulatorCommand() *cobra.Command {
	var r EmulatorRequest
	cmd := &cobra.Command{
		Use:   "emulator --jobs FILE",
		Short: "Run an offline Cloud Run whose jobs are commands on this machine",
		Long: `Run an offline Cloud Run whose jobs are commands on this machine.

It has Cloud Run's limits for each project and region: 180 runs and 3,000 reads a minute, 1,000 running executions, and of each job the last 1,000
finished executions. --limits run=60,read=600,running=100 changes some of them, each may be off, and --limits off has none of them. What one
execution may have is always limited: 10,000 tasks, 1,000 environment variables, 32 KiB in each.

--faults FILE is a script of what goes wrong: lost answers, calls that hang, cut connections, late lists, refusals and more, by rate, by the numbers
of calls, or in windows of time. The same script disturbs the same calls every time.

GET /_emulator/calls tells every call and what was done to it, /_emulator/started every task that was started, and /_emulator/executions every
execution that was accepted.`,
		Example: `  orchestrator emulator --jobs local/examples/jobs.yaml --listen 127.0.0.1:8085
  orchestrator emulator --jobs local/examples/jobs.yaml --faults local/examples/faults.yaml --limits run=60,read=600
  CLOUD_RUN_EMULATOR_HOST=127.0.0.1:8085 orchestrator run`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case c.Local.Emulator == nil:
				return missing(cmd)
			case r.Jobs == "":
				return usage(cmd, "emulator needs --jobs FILE")
			}
			r.Ready = c.printEmulator
			return c.Local.Emulator(cmd.Context(), r)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.Jobs, "jobs", "", "file with the jobs (required)")
	f.StringVar(&r.Faults, "faults", "", "file with a script of faults")
	f.StringVar(&r.Limits, "limits", "on", "on, off, or some of run=N,read=N,running=N with a number or off")
	f.StringVar(&r.Listen, "listen", "127.0.0.1:8085", "HOST:PORT to listen on")
	f.StringVar(&r.LogDir, "log-dir", "", "folder for the tasks' output")
	for _, name := range []string{"jobs", "faults"} {
		_ = cmd.MarkFlagFilename(name, "yaml", "yml", "json")
	}
	_ = cmd.MarkFlagDirname("log-dir")
	_ = cmd.RegisterFlagCompletionFunc("limits", completeWords("on", "off"))
	_ = cmd.RegisterFlagCompletionFunc("listen", cobra.NoFileCompletions)
	return cmd
}

func (c *console) printEmulator(i EmulatorInfo) {
	c.field("emulator", "listens on "+i.Address)
	c.field("limits", i.Limits)
	if i.Faults != "" {
		c.field("faults", i.Faults)
	}
	c.next(fmt.Sprintf("CLOUD_RUN_EMULATOR_HOST=%s orchestrator run", i.Address))
}
