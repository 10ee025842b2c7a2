package localpg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// Explain turns an error of connecting to PostgreSQL into one sentence with the server's place and no password; what it wraps stays
// visible to errors.Is and errors.As. Every other error comes back as it is, nil included.
func Explain(err error) error {
	var unreadable *pgconn.ParseConfigError
	if errors.As(err, &unreadable) {
		return &connectionError{"the database URL cannot be read; write it as postgres://user:password@host:5432/database", err}
	}
	var failed *pgconn.ConnectError
	if !errors.As(err, &failed) {
		return err
	}
	where := place(failed.Config.Host, failed.Config.Port)
	if refusal := pgError(err); refusal != nil {
		return &connectionError{refused(where, failed.Config, refusal), err}
	}
	if strings.HasPrefix(failed.Config.Host, cloudSQLHost) {
		return &connectionError{fmt.Sprintf("cannot reach %s: %s", where, connectorWords(err)), err}
	}
	return &connectionError{fmt.Sprintf("cannot reach PostgreSQL at %s: %s", where, reason(err)), err}
}

// SQLSTATEs of a refused login.
const (
	codeNoLogin       = "28000"
	codeWrongPassword = "28P01"
	codeMayNot        = "42501"
)

// cloudSQLHost begins the host of a connection string for a Cloud SQL instance.
const cloudSQLHost = "/cloudsql/"

// connectorWords are what the Cloud SQL connector says: its causes lie in credentials and APIs, not at the server, so the innermost one misleads.
func connectorWords(err error) string {
	text := err.Error()
	if _, after, ok := strings.Cut(text, "dial error: "); ok {
		text = after
	}
	return strings.Join(strings.Fields(text), " ")
}

type connectionError struct {
	text string
	err  error
}

func (e *connectionError) Error() string { return e.text }

func (e *connectionError) Unwrap() error { return e.err }

// pgError is the server's own answer within err, or nil.
func pgError(err error) *pgconn.PgError {
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) {
		return refusal
	}
	return nil
}

// place is how people call a server's address.
func place(host string, port uint16) string {
	if instance, ok := strings.CutPrefix(host, cloudSQLHost); ok {
		return "Cloud SQL instance " + instance
	}
	if strings.HasPrefix(host, "/") {
		return "the socket in " + host
	}
	return net.JoinHostPort(host, fmt.Sprint(port))
}

func refused(where string, cfg *pgconn.Config, refusal *pgconn.PgError) string {
	switch refusal.Code {
	case codeWrongPassword, codeNoLogin, codeMayNot:
		if strings.HasPrefix(cfg.Host, cloudSQLHost) {
			return fmt.Sprintf(`%s does not let user %q into database %q: %s; it must be an IAM user of the instance, and the migration job ("migrate up") makes its grants`,
				where, cfg.User, cfg.Database, refusal.Message)
		}
		if refusal.Code == codeMayNot {
			return fmt.Sprintf("PostgreSQL at %s does not let user %q into database %q: %s", where, cfg.User, cfg.Database, refusal.Message)
		}
		return fmt.Sprintf("PostgreSQL at %s does not let user %q in: %s; check user and password", where, cfg.User, refusal.Message)
	case codeNoDatabase:
		return fmt.Sprintf(`PostgreSQL at %s has no database %q; "orchestrator init" or "migrate up" makes it`, where, cfg.Database)
	default:
		return fmt.Sprintf("PostgreSQL at %s refuses the connection: %s", where, refusal.Message)
	}
}

// reason is the innermost cause in a few words.
func reason(err error) string {
	var unknown *net.DNSError
	switch {
	case errors.As(err, &unknown):
		return fmt.Sprintf("the host %q is not known", unknown.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused; is the server running there?"
	case errors.Is(err, syscall.ENOENT):
		return "there is no socket; is the server running?"
	case errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err):
		return "no answer in time"
	default:
		return innermost(err)
	}
}

func innermost(err error) string {
	for {
		switch wrapper := err.(type) {
		case interface{ Unwrap() error }:
			if wrapper.Unwrap() == nil {
				return lastLine(err.Error())
			}
			err = wrapper.Unwrap()
		case interface{ Unwrap() []error }:
			all := wrapper.Unwrap()
			if len(all) == 0 {
				return lastLine(err.Error())
			}
			err = all[0]
		default:
			return lastLine(err.Error())
		}
	}
}
