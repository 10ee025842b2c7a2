package cli

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"cloud-run-orchestrator/internal/api"

	"github.com/spf13/cobra"
)

// Exit codes. Those from 10 on tell how a run ended that was waited for.
const (
	exitOK           = 0
	exitFailed       = 1 // the outcome of a run that was waited for may be unknown, too; doctor has found something
	exitUsage        = 2
	exitNotFound     = 3
	exitConflict     = 4
	exitRunFailed    = 10
	exitRunCancelled = 11
	exitTimeout      = 12
)

// usageError is a command line, or a definition, that can never work.
type usageError struct {
	message string
	next    string // what to do
}

func (e *usageError) Error() string { return e.message }

func usage(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...), next: fmt.Sprintf("see %q", cmd.CommandPath()+" --help")}
}

// advised is an error with lines that say what to do about it.
type advised struct {
	error
	next []string
}

func (e *advised) Unwrap() error { return e.error }

func advise(err error, next ...string) error { return &advised{err, next} }

// conflict is an error of a command in this process that ends with exit code 4.
type conflict struct{ error }

func (e *conflict) Unwrap() error { return e.error }

// Conflict marks an error of a Local command: the state of what is there forbids it.
func Conflict(err error) error { return &conflict{err} }

// outcome ends a command with an exit code after it has said everything itself.
type outcome int

func (o outcome) Error() string { return fmt.Sprintf("exit code %d", int(o)) }

// exitCode is the one place that maps errors to exit codes.
func exitCode(err error) int {
	var ended outcome
	var wrong *usageError
	var problem *api.Problem
	var forbidden *conflict
	switch {
	case errors.As(err, &ended):
		return int(ended)
	case errors.As(err, &wrong):
		return exitUsage
	case errors.As(err, &forbidden):
		return exitConflict
	case errors.As(err, &problem):
		return problemCode(problem.Status)
	}
	return exitFailed
}

func problemCode(status int) int {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return exitUsage
	case http.StatusNotFound, http.StatusGone:
		return exitNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return exitConflict
	}
	return exitFailed
}

// fail says what went wrong, then what to do, and answers the exit code.
func (c *console) fail(err error) int {
	var ended outcome
	if errors.As(err, &ended) {
		return int(ended)
	}
	prefix := "error: "
	for _, line := range cleanLines(strings.Join(append([]string{sentence(err)}, advice(err)...), "\n")) {
		fmt.Fprintln(c.Stderr, prefix+line)
		prefix = "       "
	}
	return exitCode(err)
}

// sentence is what happened. The faults of single fields are lines of the advice.
func sentence(err error) string {
	var problem *api.Problem
	if !errors.As(err, &problem) {
		return err.Error()
	}
	return strings.Replace(err.Error(), problem.Error(), problem.Sentence(), 1)
}

// advice is what to do.
func advice(err error) []string {
	var lines []string
	var problem *api.Problem
	var foreign *api.Foreign
	var wrong *usageError
	var more *advised
	if errors.As(err, &problem) {
		for _, f := range problem.Errors {
			if !strings.Contains(problem.Sentence(), f.Message) {
				lines = append(lines, f.String())
			}
		}
	}
	if errors.As(err, &wrong) && wrong.next != "" {
		lines = append(lines, wrong.next)
	}
	switch {
	case errors.As(err, &more):
		return append(lines, more.next...)
	case errors.Is(err, api.ErrUnreachable):
		lines = append(lines, `start one with "orchestrator run", or set ORCHESTRATOR_URL`)
	case errors.As(err, &foreign) && foreign.Refused():
		lines = append(lines, `sign in with "gcloud auth login", or set GOOGLE_APPLICATION_CREDENTIALS, as somebody who may invoke this service`)
	case errors.As(err, &foreign) && foreign.Temporary():
		lines = append(lines, "try again in a minute")
	case errors.As(err, &foreign):
		lines = append(lines, "look at ORCHESTRATOR_URL: something else answers there")
	}
	return lines
}
