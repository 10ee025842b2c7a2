package model

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/store"
	"cloud-run-orchestrator/internal/testdb"
	"cloud-run-orchestrator/internal/workflow"
)

const (
	project  = "test-project"
	region   = "europe-west1"
	patience = 20 * time.Second // of real time, for what must settle by itself
)

// world is a whole orchestrator, several processes of it, with its database and its Cloud Run, in a time that only the test moves.
type world struct {
	t         testing.TB
	ctx       context.Context
	db        *testdb.DB
	clock     *testdb.Clock
	run       *emulator.Server
	store     *store.Store // the test's own
	front     *process     // which triggers and cancels, and never ticks
	processes []*process

	generation int
	calls      atomic.Int64 // that reached Cloud Run or ended there
	gates      gates
	script     script
	truth      truth
	ledger     snapshot // after the action before
	keys       map[string]keyUse
	happened   map[string]int
	released   bool      // a call that hung had its effect since the look before
	thawed     bool      // a process went on since the check before
	rest       time.Time // when nothing disturbed any more
	born       time.Time
}

// keyUse is what an idempotency key was used for.
type keyUse struct{ run string }

// newWorld has the jobs alpha and beta, whose executions end when the test says, and stubborn, whose executions also outlive a cancel until then.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, keys: map[string]keyUse{}, happened: map[string]int{}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	w.ctx = ctx
	w.db = testdb.New(t)
	w.clock = w.db.VirtualClock(t, time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC))
	w.born = w.clock.Now()
	w.gates.open = map[string]*gate{}
	w.truth = newTruth()
	var err error
	w.run, err = emulator.New(emulator.Options{
		Grace: time.Millisecond, Now: w.clock.Now, Intercept: w.intercept,
		Jobs: emulator.Jobs{
			"alpha":    {Func: w.gates.run},
			"beta":     {Func: w.gates.run},
			"stubborn": {Func: w.gates.runStubborn},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.store, err = store.Open(ctx, store.Options{URL: w.db.DSN}); err != nil {
		t.Fatal(err)
	}
	w.front = w.start("front", 1, 0)
	t.Cleanup(func() {
		cancel()
		w.script.releaseAll()
		w.gates.close()
		for _, p := range append(w.processes, w.front) {
			p.kill()
		}
		w.run.Close()
		w.store.Close()
	})
	w.ledger = w.read()
	return w
}

// apply stores a definition.
func (w *world) apply(yaml string) {
	w.t.Helper()
	doc, err := workflow.Parse("model.yaml", []byte(yaml))
	if err != nil {
		w.t.Fatalf("%v\n%s", err, yaml)
	}
	if _, err := w.front.engine.Apply(w.ctx, engine.Apply{Name: doc.Name(), Document: doc.JSON(), Actor: "model"}); err != nil {
		w.t.Fatal(err)
	}
}

// advance moves the time on.
func (w *world) advance(d time.Duration) {
	w.t.Helper()
	w.clock.Advance(w.t, d)
}

// waitFor waits until something settles that needs no further action.
func (w *world) waitFor(what string, done func() bool) {
	w.t.Helper()
	for limit := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			w.t.Fatalf("%s: not after %s", what, patience)
		}
	}
}
