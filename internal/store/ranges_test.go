package store

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloud-run-orchestrator/internal/lifecycle"
)

// FuzzMultirange: a set of indexes has one text for people, one for PostgreSQL, and neither loses anything.
func FuzzMultirange(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		if rs, err := parseMultirange(text); err == nil {
			if back := multirange(rs); back != text {
				t.Fatalf("%q is written back as %q", text, back)
			}
			again, err := lifecycle.ParseRanges(rs.String())
			if diff := cmp.Diff(rs, again); err != nil || diff != "" {
				t.Fatalf("%q is no set of indexes: %v\n%s", text, err, diff)
			}
		}
		rs, err := lifecycle.ParseRanges(text)
		if err != nil {
			return
		}
		again, err := parseMultirange(multirange(rs))
		if diff := cmp.Diff(rs, again); err != nil || diff != "" {
			t.Fatalf("%q does not survive (%v) (-want +got):\n%s", text, err, diff)
		}
	})
}
