package engine_test

import (
	"testing"
	"time"

	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/lifecycle"
)

func BenchmarkRunOf10000SeparateTasks(b *testing.B) {
	for b.Loop() {
		w := newWorld(b, func(o *engine.Options) { o.Budget = 2 * time.Minute })
		w.simple("many", "ok", 10_000)
		run := w.trigger("many")
		began := time.Now()
		r, err := w.tick()
		if err != nil {
			b.Fatal(err)
		}
		d := w.detail(run)
		if d.Run.Status != lifecycle.Success {
			b.Fatalf("run %s: %s", d.Run.Status, d.Run.Reason)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/run")
		for _, p := range r.Phases {
			b.ReportMetric(p.Took.Seconds(), p.Phase+"-s")
		}
		w.startedOnce(10_000)
	}
}

// finishedTasks are in the database while an idle tick is measured.
const finishedTasks = 100_000

func BenchmarkIdleTick(b *testing.B) {
	w := newWorld(b)
	w.fillFinished(finishedTasks)
	if _, err := w.tick(); err != nil { // statements are prepared
		b.Fatal(err)
	}
	for b.Loop() {
		r, err := w.tick()
		if err != nil || r.Moved != 0 || r.Passes != 1 {
			b.Fatalf("%+v %v", r, err)
		}
	}
}
