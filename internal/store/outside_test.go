package store

import (
	"math"
	"strings"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/uuid"
)

// One value that the database refuses would take a whole group's record with it, again and again.
func TestWhateverThePlatformSaysCanBeWritten(t *testing.T) {
	f := newFixture(t)
	f.launched(2)
	rows, err := f.ClaimDueLooks(t.Context(), Claim{Token: uuid.Must(uuid.NewV7()), Length: time.Minute, Limit: 2, Due: f.now()})
	f.must(err)
	text := "\x00\xff" + strings.Repeat("é", 1<<20)
	first, last := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	var moves []lifecycle.Move
	for i, n := range []int{math.MaxInt32, math.MinInt32} {
		m := endOf(rows[i], false, first)
		m.Reason, m.Image, m.LogURI, m.StartedAt = text, text, text, &last
		m.Progress = lifecycle.Progress{Running: n, Succeeded: n, Failed: n, Cancelled: n, Retried: n}
		m.Tasks[0].Reason, m.Tasks[0].ExitCode, m.Tasks[0].Signal, m.Tasks[0].StartedAt = text, &n, &n, &last
		moves = append(moves, m)
	}
	done, err := f.RecordMoves(t.Context(), moves, map[uuid.UUID]StepStop{rows[0].ID: {As: lifecycle.Failed, Reason: text}})
	if err != nil || len(done) != 2 {
		t.Errorf("%d of 2 moves were written: %v", len(done), err)
	}
	f.must(f.RecordJob(t.Context(), lifecycle.JobFacts{
		Job: testJob, Containers: []string{text}, Image: text, MaxRetries: math.MaxInt32, Parallelism: math.MaxInt32, Timeout: math.MaxInt32 * time.Second,
	}))
}

func TestAnExecutionThatARowHasTakenIsNoOrphan(t *testing.T) {
	f := newFixture(t)
	rows := f.launched(2)
	own, other := nameOf(rows[0].ID), nameOf(rows[0].ID)+"-late"
	f.must(f.RecordOrphan(t.Context(), rows[0].ID, own, false))
	f.must(f.RecordOrphan(t.Context(), rows[1].ID, own, false))
	for range 2 {
		f.must(f.RecordOrphan(t.Context(), rows[0].ID, other, false))
	}
	orphans, err := f.ClaimOrphans(t.Context(), time.Minute, 10)
	f.must(err)
	if len(orphans) != 1 || orphans[0].Name != other || orphans[0].Row != rows[0].ID {
		t.Errorf("orphans %+v", orphans)
	}
	events := 0
	f.must(f.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM events WHERE kind = 'orphan'`).Scan(&events))
	if events != 1 {
		t.Errorf("%d events, want 1", events)
	}
}
