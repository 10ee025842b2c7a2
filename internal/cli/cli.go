// Package cli is the command orchestrator: it asks the four functions and shows their answers.
package cli

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// Options are what the commands need from their process.
type Options struct {
	Version string // shown by --version and sent as user agent
	Local   Local  // what only a program with the whole orchestrator in it can do

	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// StdoutWidth and StderrWidth are the columns of the terminal that the stream is, 0 where it is none.
	StdoutWidth, StderrWidth int
	Getenv                   func(name string) string

	// DefaultURL is where an orchestrator is looked for when ORCHESTRATOR_URL is not set; empty is http://localhost:8080.
	DefaultURL string
	// Now is the clock for relative times; nil is time.Now.
	Now func() time.Time
	// Pause waits between two requests, or until ctx ends; nil waits in real time.
	Pause func(ctx context.Context, d time.Duration)
}

// console is what all commands of one process share.
type console struct {
	Options
	out    *checkedWriter // Stdout
	format string         // table or json
}

// New makes the command with all its subcommands.
func New(o Options) *cobra.Command {
	_, root := build(o)
	return root
}

// Run runs one command line and answers its exit code: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 conflict;
// for a run that was waited for 10 failed, 11 cancelled, 12 not ended in time. SIGINT and SIGTERM end ctx; a second one ends the process.
func Run(ctx context.Context, args []string, o Options) (exitCode int) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()

	c, root := build(o)
	defer func() {
		if bug := recover(); bug != nil {
			exitCode = c.fail(fmt.Errorf("this is a bug in orchestrator %s: %v", o.Version, bug))
		}
	}()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if c.out.err != nil {
		err = fmt.Errorf("cannot write the output: %w", c.out.err)
	}
	if err != nil {
		return c.fail(err)
	}
	return exitOK
}

func build(o Options) (*console, *cobra.Command) {
	if o.DefaultURL == "" {
		o.DefaultURL = "http://localhost:8080"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Pause == nil {
		o.Pause = pause
	}
	c := &console{Options: o, out: &checkedWriter{w: o.Stdout}, format: formatTable}
	return c, c.root()
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// checkedWriter remembers the first error, so that a full disk is not a success.
type checkedWriter struct {
	w   io.Writer
	err error
}

func (c *checkedWriter) Write(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.w.Write(p)
	c.err = err
	return n, err
}
