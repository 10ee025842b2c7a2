package functions

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"cloud-run-orchestrator/internal/api"
)

// requestTime is how long any request but a tick may take.
const requestTime = 30 * time.Second

// protect is what every request passes, from the outside in.
func (f *Functions) protect(h http.Handler) http.Handler {
	h = f.checkOrigin(h)
	h = f.checkHost(h)
	h = securityHeaders(h)
	h = f.gate.wrap(h)
	return f.watch(h)
}

// watch logs each request and turns a panic into an answer.
func (f *Functions) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		r = r.WithContext(withTrace(r.Context(), r.Header))
		out := &recorder{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				f.panicked(out, r, p)
			}
			f.log.DebugContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path, "status", out.code, "bytes", out.bytes, "took", time.Since(began))
		}()
		next.ServeHTTP(out, r)
	})
}

// panicked answers a panic with a problem. Where an answer has begun already the connection is cut, so that nobody takes the half for the whole.
func (f *Functions) panicked(out *recorder, r *http.Request, p any) {
	if p == http.ErrAbortHandler {
		panic(p)
	}
	if out.failed != nil { // huma panics where an answer cannot be sent
		f.log.DebugContext(r.Context(), "the caller has gone", "method", r.Method, "path", r.URL.Path, "error", out.failed)
		out.cut()
		panic(http.ErrAbortHandler)
	}
	id := newID()
	f.log.ErrorContext(r.Context(), "panic", "id", id, "method", r.Method, "path", r.URL.Path, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if out.code != 0 {
		out.cut()
		panic(http.ErrAbortHandler)
	}
	writeProblem(out, internalProblem(id))
}

// newID is the name of one failure, shown to the caller and written to the log.
func newID() string { return strings.ToLower(rand.Text()[:12]) }

// recorder remembers what went out.
type recorder struct {
	http.ResponseWriter
	code   int
	bytes  int
	failed error // the last write did not reach the caller
}

func (w *recorder) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += n
	w.failed = err
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// cut closes the connection, because whatever recovers the panic outside may write to it otherwise.
func (w *recorder) cut() {
	if conn, _, err := http.NewResponseController(w.ResponseWriter).Hijack(); err == nil {
		_ = conn.Close()
	}
}

func securityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// checkHost refuses names that are not ours off Cloud Run, where a web page could otherwise point a name of its own at 127.0.0.1.
func (f *Functions) checkHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !f.cloud && !f.hosts[hostname(r.Host)] {
			writeProblem(w, newProblem(http.StatusMisdirectedRequest,
				"this server does not answer to the host %s; use localhost, 127.0.0.1 or [::1], or add the name to ORCHESTRATOR_HOSTS", shown(r.Host)))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostname is a Host header's value without port and brackets, in lower case.
func hostname(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	return strings.ToLower(host)
}

// checkOrigin refuses writes that a browser sends on behalf of another site.
func (f *Functions) checkOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.origin.Check(r) != nil {
			writeProblem(w, newProblem(http.StatusForbidden, "a page of another site may not change anything here; send the request from this site or without a browser"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isWrite(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// limit bounds a request's time. A tick, and doctor, is bounded by its own budget instead, and by a drain; a caller who hangs up does not stop it,
// because work that was begun must be recorded.
func (f *Functions) limit(r *http.Request) (context.Context, context.CancelFunc) {
	if tick := "/" + api.FunctionTick; r.URL.Path != tick && r.URL.Path != tick+"/doctor" {
		return context.WithTimeout(r.Context(), requestTime)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	release := context.AfterFunc(f.gate.ctx, cancel)
	return ctx, func() {
		release()
		cancel()
	}
}

// fail logs an error that is nobody's fault but ours, under an id that the caller sees too.
func (f *Functions) fail(ctx context.Context, operation string, err error) (id string) {
	id = newID()
	f.log.LogAttrs(ctx, slog.LevelError, "request failed", slog.String("id", id), slog.String("operation", operation), slog.Any("error", err))
	return id
}
