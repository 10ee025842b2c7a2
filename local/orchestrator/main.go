// Command orchestrator is the orchestrator on a laptop: the command line, and everything that Cloud Run would run, in one program.
package main

import (
	"context"
	"os"

	"cloud-run-orchestrator/internal/cli"
	"cloud-run-orchestrator/internal/release"

	"golang.org/x/term"
)

func main() {
	os.Exit(cli.Run(context.Background(), os.Args[1:], cli.Options{
		Version:     release.String(),
		Local:       local(os.Getenv),
		Stdin:       os.Stdin,
		Stdout:      os.Stdout,
		Stderr:      os.Stderr,
		StdoutWidth: width(os.Stdout),
		StderrWidth: width(os.Stderr),
		Getenv:      os.Getenv,
	}))
}

// width is the columns of a terminal, 0 where the file is none.
func width(f *os.File) int {
	if !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 {
		return 80
	}
	return columns
}
