package engine

import (
	"context"
	"log/slog"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"
)

const (
	// stuckAfter is how long something may stand still that nothing holds, before its run counts as stuck.
	stuckAfter = time.Hour
	// pulseTime is how long counting may take: a tick's line without the counts is better than none.
	pulseTime = 5 * time.Second
	// reasonShown is how much of a reason is logged, in bytes. It may hold words from outside.
	reasonShown = 500
)

// logTick writes the one line of a tick. Where every tick has one, metrics are made of them. Elsewhere an idle tick is nothing to look at, and one
// that failed is told by whoever asked for it.
func (e *Engine) logTick(ctx context.Context, by string, r Report, err error) {
	level := slog.LevelInfo
	switch {
	case !e.LogEveryTick && r.Moved == 0:
		level = slog.LevelDebug
	case err != nil:
		level = slog.LevelError
	}
	if !e.Log.Enabled(ctx, level) {
		return
	}
	errs := len(r.Errors)
	if err != nil {
		errs = max(errs, 1)
	}
	attrs := []slog.Attr{
		slog.Int("passes", r.Passes), slog.Int("moved", r.Moved), slog.Int64("took_ms", r.Took.Milliseconds()), slog.Int("errors", errs), slog.String("by", store.Clean(by, 200)),
	}
	if r.Passes > 0 { // else the database did not even let it begin
		attrs = append(attrs, e.pulse(ctx)...)
	}
	e.Log.LogAttrs(ctx, level, "tick", attrs...)
}

// pulse is how the installation stands after a tick. What could not be counted is left out, so that no metric takes it for 0.
func (e *Engine) pulse(ctx context.Context) []slog.Attr {
	limit, cancel := context.WithTimeout(ctx, pulseTime)
	defer cancel()
	p, err := e.Store.Pulse(limit, stuckAfter, e.Claim)
	if err != nil {
		return []slog.Attr{slog.Any("not_counted", err)}
	}
	return []slog.Attr{
		slog.Int("unfinished_runs", p.UnfinishedRuns), slog.Int("stuck_runs", p.StuckRuns), slog.Int("unknown_launches", p.UnknownLaunches),
		slog.Bool("launch_blocked", p.LaunchBlocked),
	}
}

// logFinished writes the one line of a run that has become final. It comes after the commit; should the process die in between there is none, and the
// run's event tells.
func (e *Engine) logFinished(ctx context.Context, f Finished) {
	level := slog.LevelInfo
	if f.Status == lifecycle.Failed {
		level = slog.LevelError
	}
	e.Log.LogAttrs(ctx, level, "run finished", slog.String("workflow", f.Workflow), slog.String("run", f.Run), slog.String("run_id", f.ID.String()), slog.String("status", string(f.Status)),
		slog.String("reason", store.Clean(f.Reason, reasonShown)), slog.Int("tasks", f.Tasks), slog.Int("failed_tasks", f.FailedTasks))
}
