package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
	"unicode/utf8"
)

// FuzzAnswer: whatever answers at the orchestrator's address, the client gives a result or one of its own errors, in a sentence.
func FuzzAnswer(f *testing.F) {
	f.Fuzz(func(t *testing.T, status int, media string, body []byte) {
		if status < 100 || status > 999 {
			return // no HTTP status
		}
		c, err := NewClient(Options{URL: "http://localhost:1", Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {media}}, Body: io.NopCloser(bytes.NewReader(body))}, nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		for name, call := range map[string]func() error{
			"overview":   func() error { _, err := c.Overview(ctx); return err },
			"workflows":  func() error { _, err := c.Workflows(ctx, Page{}); return err },
			"workflow":   func() error { _, err := c.Workflow(ctx, "w"); return err },
			"put":        func() error { _, _, err := c.PutWorkflow(ctx, "w", []byte("{}"), false); return err },
			"versions":   func() error { _, err := c.WorkflowVersions(ctx, "w", Page{}); return err },
			"run":        func() error { _, err := c.Run(ctx, "w.1"); return err },
			"runs":       func() error { _, err := c.Runs(ctx, RunFilter{}); return err },
			"tasks":      func() error { _, err := c.Tasks(ctx, "w.1", TaskFilter{}); return err },
			"executions": func() error { _, err := c.Executions(ctx, "w.1", Page{}); return err },
			"events":     func() error { _, err := c.Events(ctx, "w.1", Page{}); return err },
			"tick":       func() error { _, err := c.Tick(ctx); return err },
		} {
			err := call()
			var problem *Problem
			var foreign *Foreign
			var tick *TickError
			switch {
			case err == nil:
				if status >= 400 {
					t.Fatalf("%s: status %d is no error", name, status)
				}
			case !errors.As(err, &problem) && !errors.As(err, &foreign) && !errors.As(err, &tick) && !errors.Is(err, ErrUnreachable):
				t.Fatalf("%s: an error of no kind: %v", name, err)
			case err.Error() == "" || !utf8.ValidString(err.Error()):
				t.Fatalf("%s: an error that cannot be shown: %q", name, err)
			}
			_ = Temporary(err)
		}
	})
}
