//go:build crashpoints

package store

import (
	"context"
	"regexp"
	"runtime"
	"strings"

	"cloud-run-orchestrator/internal/crash"

	"github.com/jackc/pgx/v5"
)

// mortal gives connections their crash points: before and after each commit, named after the method of Store that it belongs to.
// Every statement passes here, so no commit can be without points.
func mortal(cfg *pgx.ConnConfig) { cfg.Tracer = tracer{} }

type tracer struct{}

type commitKey struct{}

// writes finds statements that change something; outside a transaction each commits by itself.
var writes = regexp.MustCompile(`\b(INSERT INTO|DELETE FROM)\b|(?s)\bUPDATE\s+\w+.*?\bSET\b`)

func (tracer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	const outside = 'I' // no transaction is open
	if q.SQL != "commit" && (conn.PgConn().TxStatus() != outside || !writes.MatchString(q.SQL)) {
		return ctx
	}
	method := caller()
	crash.Before(ctx, method)
	return context.WithValue(ctx, commitKey{}, method)
}

// What ends a transaction is an effect; a statement by itself is one where it found rows.
func (tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryEndData) {
	if method, ok := ctx.Value(commitKey{}).(string); ok {
		crash.After(ctx, method, q.CommandTag.String() == "COMMIT" || q.CommandTag.RowsAffected() > 0)
	}
}

// caller is the exported method of Store that is at work.
func caller() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		frame, more := frames.Next()
		if _, method, ok := strings.Cut(frame.Function, "/store.(*Store)."); ok && method[0] >= 'A' && method[0] <= 'Z' {
			method, _, _ = strings.Cut(method, ".") // a closure's name goes on
			return method
		}
		if !more {
			return "unknown"
		}
	}
}
