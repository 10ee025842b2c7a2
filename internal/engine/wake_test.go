package engine_test

import (
	"context"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/engine"
)

func TestATickThatPausesGoesOnAtOnceWhenItIsWoken(t *testing.T) {
	t.Parallel()
	woken := make(chan struct{})
	w := newWorld(t, func(o *engine.Options) { o.Budget, o.Woken = time.Minute, woken })
	w.simple("long", "wait", 1)
	run := w.trigger("long")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reports := make(chan engine.Report, 1)
	go func() {
		r, _ := w.engine.Tick(ctx, "test")
		reports <- r
	}()
	began := time.Now()
	const rings = 20
	for range rings { // each is heard by a pause, of which one lasts a second at least
		select {
		case woken <- struct{}{}:
		case <-time.After(10 * time.Second):
			t.Fatal("the tick does not listen")
		}
	}
	took := time.Since(began)
	cancel()
	if r := <-reports; r.Passes <= rings || took > 10*time.Second {
		t.Errorf("%d passes for %d rings, in %s", r.Passes, rings, took)
	}
	w.release()
	w.finish(run)
}
