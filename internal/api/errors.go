package api

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// ErrUnreachable is found in every error of a request that got no whole answer. Whether the request was carried out is then unknown.
var ErrUnreachable = errors.New("cannot reach the orchestrator")

// UnreachableError says where nothing answered, and why.
type UnreachableError struct {
	URL   string
	Cause error
}

// Error names the place and the innermost cause, as in: cannot reach the orchestrator at http://localhost:8080: connection refused.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%v at %s: %s", ErrUnreachable, e.URL, e.reason())
}

// Unwrap makes errors.Is find ErrUnreachable and the cause.
func (e *UnreachableError) Unwrap() []error { return []error{ErrUnreachable, e.Cause} }

// NeverSent says that no connection came about, so the request cannot have been carried out.
func (e *UnreachableError) NeverSent() bool {
	var op *net.OpError
	return errors.As(e.Cause, &op) && op.Op == "dial"
}

func (e *UnreachableError) reason() string {
	var errno syscall.Errno
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(e.Cause, &errno):
		return errno.Error()
	case errors.As(e.Cause, &dns) && dns.IsNotFound:
		return fmt.Sprintf("there is no host %q", dns.Name)
	case errors.Is(e.Cause, io.EOF), errors.Is(e.Cause, io.ErrUnexpectedEOF):
		return "the connection broke"
	case errors.As(e.Cause, &timeout) && timeout.Timeout():
		return "no answer in time"
	}
	return innermost(e.Cause).Error()
}

func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// Error is the problem in one sentence; the faults of single fields follow after semicolons.
func (p *Problem) Error() string {
	said := p.Sentence()
	for _, f := range p.Errors {
		said += "; " + f.String()
	}
	return said
}

// Sentence is the problem without the faults of single fields.
func (p *Problem) Sentence() string {
	said := p.Detail
	if said == "" {
		said = strings.ToLower(p.Title)
	}
	if p.ID != "" {
		said += fmt.Sprintf(" (id %s in its log)", p.ID)
	}
	return said
}

func (f ProblemField) String() string {
	path := strings.TrimPrefix(strings.TrimPrefix(f.Location, "body"), ".")
	if path == "" {
		return f.Message
	}
	return path + ": " + f.Message
}

// Foreign is an answer that an orchestrator would not give: it comes from a proxy in front of it, or from another program at its address.
type Foreign struct {
	URL    string
	Status int
	Media  string // the answer's media type, empty when it had none
}

// Error says what answered, in one sentence.
func (f *Foreign) Error() string {
	status := fmt.Sprintf("%d %s", f.Status, http.StatusText(f.Status))
	switch {
	case f.Refused():
		return fmt.Sprintf("%s refused the request before it reached the orchestrator (%s)", f.URL, status)
	case f.Temporary():
		return fmt.Sprintf("the orchestrator behind %s is not available at the moment (%s)", f.URL, status)
	case f.Status >= 300 && f.Status < 400:
		return fmt.Sprintf("%s sends us elsewhere (%s), which an orchestrator never does", f.URL, status)
	case f.Media == "":
		return fmt.Sprintf("%s does not answer like an orchestrator (%s)", f.URL, status)
	}
	return fmt.Sprintf("%s does not answer like an orchestrator (%s, %s)", f.URL, status, f.Media)
}

// Refused says that the caller's identity was missing or not allowed.
func (f *Foreign) Refused() bool {
	return f.Status == http.StatusUnauthorized || f.Status == http.StatusForbidden
}

// Temporary says that the same request may well succeed later.
func (f *Foreign) Temporary() bool { return temporary(f.Status) }

func temporary(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// Temporary says whether the same request may well succeed later: the server was not reached, or said that it is not available at the moment.
func Temporary(err error) bool {
	var foreign *Foreign
	var problem *Problem
	switch {
	case errors.Is(err, ErrUnreachable):
		return true
	case errors.As(err, &foreign):
		return foreign.Temporary()
	case errors.As(err, &problem):
		return temporary(problem.Status)
	}
	return false
}

// TickError says that phases of a tick failed; the others ran.
type TickError struct {
	Errors []string
}

// Error joins what went wrong.
func (e *TickError) Error() string { return "tick: " + strings.Join(e.Errors, "; ") }
