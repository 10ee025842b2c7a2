package engine_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/store"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// journal keeps log lines.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

// lines are those with a message since the last call, without what differs from run to run.
func (j *journal) lines(t *testing.T, message string) []map[string]any {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []map[string]any
	for line := range strings.Lines(j.text.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		if fields["msg"] != message {
			continue
		}
		for _, changing := range []string{"time", "took_ms", "run_id"} {
			if _, ok := fields[changing]; !ok && (changing == "time" || (changing == "took_ms") == (message == "tick")) {
				t.Errorf("a line has no %s: %s", changing, line)
			}
			delete(fields, changing)
		}
		delete(fields, "msg")
		list = append(list, fields)
	}
	j.text.Reset()
	return list
}

// logging has the engine write into a journal.
func logging(j *journal, level slog.Level, everyTick bool) option {
	return func(o *engine.Options) {
		o.Log, o.LogEveryTick = slog.New(slog.NewJSONHandler(j, &slog.HandlerOptions{Level: level})), everyTick
	}
}

func idleTick(level string) map[string]any {
	return map[string]any{
		"level": level, "passes": 1.0, "moved": 0.0, "errors": 0.0, "by": "test",
		"unfinished_runs": 0.0, "stuck_runs": 0.0, "unknown_launches": 0.0, "launch_blocked": false,
	}
}

func TestEveryTickHasOneLine(t *testing.T) {
	t.Parallel()
	var j journal
	w := newWorld(t, logging(&j, slog.LevelInfo, true))
	if _, err := w.tick(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]map[string]any{idleTick("INFO")}, j.lines(t, "tick")); d != "" {
		t.Errorf("an idle tick -want +got\n%s", d)
	}
	w.simple("nightly", "wait", 2)
	run := w.trigger("nightly")
	r, err := w.tick()
	if err != nil {
		t.Fatal(err)
	}
	want := idleTick("INFO")
	want["passes"], want["moved"], want["unfinished_runs"] = float64(r.Passes), float64(r.Moved), 1.0
	if d := cmp.Diff([]map[string]any{want}, j.lines(t, "tick")); d != "" || r.Moved == 0 {
		t.Errorf("a tick that moved something -want +got\n%s", d)
	}
	w.release()
	w.finish(run)
}

func TestAnIdleTickIsForDebuggingWhereNoMetricsAreMade(t *testing.T) {
	t.Parallel()
	var j journal
	w := newWorld(t, logging(&j, slog.LevelDebug, false))
	if _, err := w.tick(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]map[string]any{idleTick("DEBUG")}, j.lines(t, "tick")); d != "" {
		t.Errorf("an idle tick -want +got\n%s", d)
	}
	w.simple("nightly", "ok", 1)
	w.trigger("nightly")
	if r, err := w.tick(); err != nil || r.Moved == 0 {
		t.Fatalf("%+v %v", r, err)
	}
	if lines := j.lines(t, "tick"); len(lines) != 1 || lines[0]["level"] != "INFO" {
		t.Errorf("a tick that moved something: %v", lines)
	}
}

func TestATickThatFailsIsAnErrorOfWhichTheRestIsCounted(t *testing.T) {
	t.Parallel()
	var every, some journal
	w := newWorld(t, logging(&every, slog.LevelInfo, true))
	exec := func(sql string) {
		t.Helper()
		if _, err := w.db.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`ALTER TABLE orphans RENAME TO hidden`)
	r, err := w.tick()
	if err == nil || len(r.Errors) == 0 {
		t.Fatalf("%+v %v", r, err)
	}
	want := idleTick("ERROR")
	want["errors"] = float64(len(r.Errors))
	if d := cmp.Diff([]map[string]any{want}, every.lines(t, "tick")); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if _, err := w.newEngine(logging(&some, slog.LevelInfo, false)).Tick(t.Context(), "test"); err == nil {
		t.Fatal("no error")
	}
	if lines := some.lines(t, "tick"); len(lines) != 0 {
		t.Errorf("whoever asked tells it, and so does %v", lines)
	}
	exec(`ALTER TABLE hidden RENAME TO orphans`)
}

func TestATickThatCannotBeginIsAnErrorWithoutCounts(t *testing.T) {
	t.Parallel()
	var j journal
	w := newWorld(t)
	closed, err := store.Open(t.Context(), store.Options{URL: w.db.DSN})
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	e := w.newEngine(logging(&j, slog.LevelInfo, true), func(o *engine.Options) { o.Store = closed })
	if _, err := e.Tick(t.Context(), "test"); err == nil {
		t.Fatal("no error")
	}
	want := []map[string]any{{"level": "ERROR", "passes": 0.0, "moved": 0.0, "errors": 1.0, "by": "test"}}
	if d := cmp.Diff(want, j.lines(t, "tick")); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestALaunchOfWhichNobodyKnowsIsCounted(t *testing.T) {
	t.Parallel()
	var j journal
	w := newWorld(t, logging(&j, slog.LevelInfo, true))
	w.simple("nightly", "ok", 1)
	w.loseAnswers()
	w.disturb("ListExecutions", emulator.Fault{Before: status.Error(codes.Unavailable, "not now")})
	run := w.trigger("nightly")
	for _, want := range []float64{0, 1} { // at first the launch is in flight
		_, _ = w.tick() // the listing fails
		lines := j.lines(t, "tick")
		if len(lines) != 1 || lines[0]["unknown_launches"] != want {
			t.Errorf("%v unknown launches, want %v", lines, want)
		}
		w.later(4 * time.Second)
	}
	w.answer()
	w.disturb("ListExecutions", emulator.Fault{})
	w.finish(run)
}

func TestARunThatEndsHasOneLine(t *testing.T) {
	t.Parallel()
	var j journal
	w := newWorld(t, logging(&j, slog.LevelInfo, false))
	other := w.newEngine(logging(&j, slog.LevelInfo, false)) // ticks at the same time
	finish := func(run string) {
		t.Helper()
		var all sync.WaitGroup
		all.Go(func() {
			for w.detail(run).Run.FinishedAt == nil {
				_, _ = other.Tick(t.Context(), "other")
			}
		})
		w.finish(run)
		all.Wait()
	}
	w.simple("good", "ok", 2)
	w.simple("bad", "odd", 2)
	w.simple("long", "wait", 1)
	finish(w.trigger("good"))
	finish(w.trigger("bad"))
	run := w.trigger("long")
	if _, err := w.tick(); err != nil {
		t.Fatal(err)
	}
	reason := "wrong\nday\x00" + strings.Repeat("é", 400)
	if _, err := w.engine.Cancel(t.Context(), run, reason, "test"); err != nil {
		t.Fatal(err)
	}
	finish(run)
	want := []map[string]any{
		{"level": "INFO", "workflow": "good", "run": "good.1", "status": "success", "reason": "", "tasks": 2.0, "failed_tasks": 0.0},
		{"level": "ERROR", "workflow": "bad", "run": "bad.1", "status": "failed", "reason": "step main: 1 of 2 tasks failed", "tasks": 2.0, "failed_tasks": 1.0},
		{"level": "INFO", "workflow": "long", "run": "long.1", "status": "cancelled", "reason": "wrong\nday" + strings.Repeat("é", 245), "tasks": 1.0, "failed_tasks": 0.0},
	}
	if d := cmp.Diff(want, j.lines(t, "run finished")); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestThatALocationTakesLaunchesIsWrittenDownOnceAMinute(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var ahead time.Duration
	begun := time.Now()
	w := newWorld(t, func(o *engine.Options) {
		o.Clock = func() (time.Time, time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Round(0).Add(ahead), time.Since(begun) + ahead
		}
	})
	w.simple("nightly", "ok", 2)
	launched := func() (at time.Time) {
		t.Helper()
		w.finish(w.trigger("nightly"))
		err := w.db.Pool.QueryRow(t.Context(), `SELECT launched_at FROM quotas WHERE name = 'run:projects/test-project/locations/europe-west1'`).Scan(&at)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	first := launched()
	w.later(time.Hour)
	if again := launched(); !again.Equal(first) {
		t.Errorf("it was written at %s, and a moment later at %s", first, again)
	}
	mu.Lock()
	ahead = time.Minute
	mu.Unlock()
	if again := launched(); again.Sub(first) < time.Hour {
		t.Errorf("it was written at %s, and a minute later at %s", first, again)
	}
}
