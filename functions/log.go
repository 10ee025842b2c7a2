package functions

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
)

// NewLogger writes plain text, or on Cloud Run JSON with the names that Cloud Logging knows.
// With a project, lines of a request carry its trace, so that Cloud Logging shows them together. Keep groups out: the trace would land inside them.
func NewLogger(w io.Writer, level slog.Leveler, onCloudRun bool, project string) *slog.Logger {
	if !onCloudRun {
		return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
	}
	json := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, AddSource: true, ReplaceAttr: cloudName})
	return slog.New(&traceHandler{Handler: json, project: project})
}

func cloudName(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.LevelKey:
		level, _ := a.Value.Any().(slog.Level)
		return slog.String("severity", severity(level))
	case slog.MessageKey:
		a.Key = "message"
	case slog.SourceKey:
		a.Key = "logging.googleapis.com/sourceLocation"
	}
	return a
}

func severity(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "DEBUG"
	case l < slog.LevelWarn:
		return "INFO"
	case l < slog.LevelError:
		return "WARNING"
	}
	return "ERROR"
}

// traceHandler adds the trace of the request that a line belongs to.
type traceHandler struct {
	slog.Handler
	project string
}

// Handle writes one line.
func (h *traceHandler) Handle(ctx context.Context, r slog.Record) error {
	if t, ok := ctx.Value(traceKey{}).(trace); ok && h.project != "" {
		r = r.Clone()
		r.AddAttrs(slog.String("logging.googleapis.com/trace", "projects/"+h.project+"/traces/"+t.id))
		if t.span != "" {
			r.AddAttrs(slog.String("logging.googleapis.com/spanId", t.span))
		}
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs keeps the trace.
func (h *traceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &traceHandler{Handler: h.Handler.WithAttrs(attrs), project: h.project}
}

// WithGroup keeps the trace, though inside the group.
func (h *traceHandler) WithGroup(name string) slog.Handler {
	return &traceHandler{Handler: h.Handler.WithGroup(name), project: h.project}
}

type traceKey struct{}

type trace struct{ id, span string }

// withTrace takes the trace from the W3C header (00-TRACE-SPAN-FLAGS), else from Google's own (TRACE/SPAN;o=1).
func withTrace(ctx context.Context, h http.Header) context.Context {
	parts := strings.Split(h.Get("Traceparent"), "-")
	if len(parts) == 4 && isHex(parts[1], 32) && isHex(parts[2], 16) {
		return context.WithValue(ctx, traceKey{}, trace{id: parts[1], span: parts[2]})
	}
	id, _, _ := strings.Cut(h.Get("X-Cloud-Trace-Context"), "/")
	if isHex(id, 32) {
		return context.WithValue(ctx, traceKey{}, trace{id: id})
	}
	return ctx
}

func isHex(s string, length int) bool {
	return len(s) == length && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}
