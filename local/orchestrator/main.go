// Command orchestrator is the orchestrator on a laptop: the command line, and everything that Cloud Run would run, in one program.
package main

import (
	"context"
	"os"
	"runtime/debug"

	"cloud-run-orchestrator/internal/cli"

	"golang.org/x/term"
)

// release is what the build was made from, as in v1.2.3; the linker sets it: -ldflags "-X main.release=v1.2.3".
var release string

func main() {
	os.Exit(cli.Run(context.Background(), os.Args[1:], cli.Options{
		Version:     version(),
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

// version is the release, the module's version, or the commit that the program was built from.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
