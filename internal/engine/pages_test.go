package engine

import (
	"errors"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/uuid"
)

// FuzzParseToken: what a caller sends as a page token is one of ours, or refused in our words; nothing in between reaches the database.
func FuzzParseToken(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		for _, at := range []any{
			&struct{ Step, Index int32 }{},
			&struct {
				At time.Time
				ID uuid.UUID
			}{},
			&struct{ ID *uuid.UUID }{},
			&struct{ Seq int64 }{},
			&struct{ Name string }{},
			&struct{ Version int32 }{},
		} {
			err := parseToken(text, at)
			var fault *lifecycle.Fault
			switch {
			case err != nil && (!errors.Is(err, lifecycle.ErrInvalid) || !errors.As(err, &fault)):
				t.Fatalf("%q: %v", text, err)
			case err == nil && text != "" && token(at) != text:
				t.Fatalf("%q is read as %+v, which is %q", text, at, token(at))
			}
		}
	})
}
