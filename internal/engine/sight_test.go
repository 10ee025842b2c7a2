package engine

import (
	"testing"
	"time"

	"cloud-run-orchestrator/internal/cloudrun"
	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/uuid"
)

// What starts while pages are read moves the list on.
func TestAnExecutionThatIsListedTwiceIsSeenOnce(t *testing.T) {
	t.Parallel()
	here := uuid.New()
	marker := lifecycle.Marker{Installation: here, Row: uuid.New(), Send: 1}.String()
	f := found{names: map[string]bool{}}
	endless := &turn{spent: func() bool { return false }}
	for _, name := range []string{"report-2", "report-1", "report-1", "report-0"} {
		(&Engine{}).sight(t.Context(), endless, here, lifecycle.Facts{Name: name, Marker: marker}, &f)
	}
	if len(f.ours) != 3 || f.ours[1].facts.Name != "report-1" || f.ours[2].facts.Name != "report-0" {
		t.Errorf("seen: %+v", f.ours)
	}
}

func TestAnExecutionOfUnknownAgeThatHidesItsEnvironmentIsReadByItself(t *testing.T) {
	t.Parallel()
	nobody, err := cloudrun.New(t.Context(), cloudrun.Options{Endpoint: "127.0.0.1:1", CallDeadline: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nobody.Close() })
	e := New(Options{CloudRun: nobody})
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, x := range []struct {
		name    string
		created time.Time
		read    bool
	}{
		{"younger than the send", since.Add(time.Second), true},
		{"of unknown age", time.Time{}, true},
		{"much older", since.Add(-time.Hour), false},
	} {
		f := found{search: search{since: since, reads: 1}, names: map[string]bool{}}
		e.sight(t.Context(), &turn{spent: func() bool { return false }}, uuid.New(), lifecycle.Facts{Name: "report-1", EnvHidden: true, CreatedAt: x.created}, &f)
		if unread := f.listing.Unread || !f.listing.UnreadAt.IsZero(); unread != x.read {
			t.Errorf("%s: unread %t, want %t", x.name, unread, x.read)
		}
	}
}
