package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"cloud-run-orchestrator/internal/api"

	"github.com/spf13/cobra"
)

const (
	demoFile = "local/examples/primes.yaml"
	// demoLimit and demoPrimes: there are 50,847,534 primes below 10^9, as published in tables of the prime-counting function.
	demoLimit  = 1_000_000_000
	demoPrimes = 50_847_534
)

func (c *console) demoCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:    "demo",
		Short:  "Count primes with real processes, and check the result",
		Hidden: true,
		Long: `Start everything on this machine, apart from all else on it: a PostgreSQL, an emulator of Cloud Run, the functions and a ticker.
Then count the primes below 1,000,000,000 in many tasks, each a process of its own, and compare the sum with the published number.`,
		Example: "  make demo",
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.Local.Demo == nil {
				return missing(cmd)
			}
			doc, err := c.readInput(file, api.MaxDefinitionBytes)
			if err != nil {
				return advise(fmt.Errorf("the demonstration needs its example: %w", err), "start it in the repository's folder, as make demo does")
			}
			primes, err := parseDefinition(file, doc)
			if err != nil {
				return err
			}
			return c.demo(cmd.Context(), primes)
		},
	}
	cmd.Flags().StringVar(&file, "file", demoFile, "the workflow to run")
	return cmd
}

func (c *console) demo(ctx context.Context, primes definition) error {
	env, err := c.Local.Demo(ctx, DemoRequest{Say: func(line string) { fmt.Fprintln(c.out, clean(line)) }})
	if err != nil {
		return err
	}
	defer env.Close()
	client, err := c.client(env.URL, env.Transport)
	if err != nil {
		return err
	}
	s := &server{Client: client, answered: true, close: func() {}}
	run, err := c.demoRun(ctx, s, primes)
	if err != nil {
		return err
	}
	sum, err := addUp(env.ResultsDir, run.TaskCount)
	if err != nil {
		return err
	}
	return c.compare(sum)
}

// demoRun applies and triggers the workflow and waits until the run has succeeded.
func (c *console) demoRun(ctx context.Context, s *server, primes definition) (api.Run, error) {
	w, _, err := s.PutWorkflow(ctx, primes.name, primes.json, false)
	if err != nil {
		return api.Run{}, err
	}
	if w.TaskCount == 0 {
		return api.Run{}, fmt.Errorf("%s has no tasks", w.Name)
	}
	fmt.Fprintf(c.out, "\napplied %s (version %d): %s, each counts the primes in %s numbers\n",
		clean(w.Name), w.Version, plural(w.TaskCount, "task"), number(demoLimit/w.TaskCount))
	run, err := s.Trigger(ctx, w.Name, api.TriggerRequest{}, "")
	if err != nil {
		return api.Run{}, err
	}
	fmt.Fprintf(c.out, "run %s started\n\n", clean(run.Name))
	p := c.newProgress()
	last, err := c.follow(ctx, s, run.ID, p)
	p.end()
	if err != nil {
		return api.Run{}, fmt.Errorf("run %s: %w", run.Name, err)
	}
	c.printEnd(last)
	if last.Status != "success" {
		return api.Run{}, fmt.Errorf("run %s should have succeeded but is %s", last.Name, last.Status)
	}
	return last, nil
}

// compare is an error unless the sum is the published number.
func (c *console) compare(sum int) error {
	verdict := "equal"
	if sum != demoPrimes {
		verdict = "NOT EQUAL"
	}
	fmt.Fprintf(c.out, "primes below %s: %s   (published: %s)  %s\n", number(demoLimit), number(sum), number(demoPrimes), verdict)
	if sum != demoPrimes {
		return fmt.Errorf("the tasks counted %s primes, which differs from the published number by %s", number(sum), number(sum-demoPrimes))
	}
	return nil
}

// addUp adds the numbers that tasks 0 to n-1 wrote, each into a file named after its index. Every file must be there and hold one number that is not negative;
// all that is wrong is said at once.
func addUp(dir string, n int) (sum int, err error) {
	var missing []string
	var faults []error
	for i := range n {
		text, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(i)))
		if errors.Is(err, os.ErrNotExist) {
			missing = append(missing, strconv.Itoa(i))
			continue
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("result of task %d: %w", i, err))
			continue
		}
		value, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
		if err != nil {
			faults = append(faults, fmt.Errorf("result of task %d is %q, not a number", i, cut(string(text), 40)))
			continue
		}
		sum += int(value)
	}
	if len(missing) > 0 {
		faults = append(faults, fmt.Errorf("%s of %d without a result: %s", plural(len(missing), "task"), n, cut(strings.Join(missing, ", "), 60)))
	}
	return sum, errors.Join(faults...)
}
