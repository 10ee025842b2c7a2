package model

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/store"
	"cloud-run-orchestrator/internal/testdb"
	"cloud-run-orchestrator/internal/workflow"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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

// gates are the executions that wait for the test to end them.
type gates struct {
	mu     sync.Mutex
	open   map[string]*gate // by execution
	closed bool
}

type gate struct {
	end      chan emulator.Result
	stubborn bool
}

func (g *gates) run(ctx context.Context, t emulator.Task) emulator.Result {
	return g.wait(ctx, t.Execution, false)
}

func (g *gates) runStubborn(_ context.Context, t emulator.Task) emulator.Result {
	return g.wait(context.Background(), t.Execution, true)
}

func (g *gates) wait(ctx context.Context, execution string, stubborn bool) emulator.Result {
	mine := g.of(execution, stubborn)
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.open, execution)
	}()
	select {
	case r := <-mine.end:
		return r
	case <-ctx.Done():
		return emulator.Result{Signal: 15}
	}
}

func (g *gates) of(execution string, stubborn bool) *gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	mine := &gate{end: make(chan emulator.Result, 1), stubborn: stubborn}
	if g.closed {
		mine.end <- emulator.Result{}
	} else {
		g.open[execution] = mine
	}
	return mine
}

// finish lets an execution end, once.
func (g *gates) finish(execution string, r emulator.Result) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if mine := g.open[execution]; mine != nil {
		delete(g.open, execution)
		mine.end <- r
	}
}

// find is the gate of an execution that runs, nil of one that does not.
func (g *gates) find(execution string) *gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open[execution]
}

func (g *gates) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for execution, mine := range g.open {
		delete(g.open, execution)
		mine.end <- emulator.Result{}
	}
}

// script is what happens to the calls of Cloud Run's API.
type script struct {
	mu    sync.Mutex
	next  map[string][]disturbance // by method: for the next calls of it, one each
	every map[string]disturbance   // by method: for all calls that have none of their own
	held  []*heldCall
	asked []string // executions that the orchestrator has asked to stop
}

// disturbance is one kind of trouble of one call. Kinds are data: see disturbances_test.go.
type disturbance struct {
	name  string
	fault emulator.Fault
	hold  bool // the call hangs until the test lets it go; by then its caller has given up, and the effect comes late
}

// heldCall is a call that hangs.
type heldCall struct {
	call emulator.Call
	let  chan struct{}
}

// intercept obeys the script.
func (w *world) intercept(_ context.Context, c emulator.Call) emulator.Fault {
	w.calls.Add(1)
	s := &w.script
	s.mu.Lock()
	if c.Method == "CancelExecution" {
		s.asked = append(s.asked, c.Name)
	}
	d, ok := s.every[c.Method]
	if list := s.next[c.Method]; len(list) > 0 {
		d, ok = list[0], true
		s.next[c.Method] = list[1:]
	}
	if !ok || !d.hold {
		s.mu.Unlock()
		return d.fault
	}
	h := &heldCall{call: c, let: make(chan struct{})}
	s.held = append(s.held, h)
	s.mu.Unlock()
	<-h.let
	return d.fault
}

// disturb lets the next calls of a method go wrong, one after another.
func (w *world) disturb(method string, list ...disturbance) {
	w.script.mu.Lock()
	defer w.script.mu.Unlock()
	if w.script.next == nil {
		w.script.next = map[string][]disturbance{}
	}
	w.script.next[method] = append(w.script.next[method], list...)
}

// disturbAll lets all calls of a method go wrong until calm.
func (w *world) disturbAll(method string, d disturbance) {
	w.script.mu.Lock()
	defer w.script.mu.Unlock()
	if w.script.every == nil {
		w.script.every = map[string]disturbance{}
	}
	w.script.every[method] = d
}

// calm ends all trouble but that of calls that hang.
func (w *world) calm() {
	w.script.mu.Lock()
	defer w.script.mu.Unlock()
	w.script.next, w.script.every = nil, nil
}

// release lets one hanging call have its effect, now.
func (w *world) release(i int) emulator.Call {
	w.t.Helper()
	w.script.mu.Lock()
	h := w.script.held[i]
	w.script.held = append(w.script.held[:i:i], w.script.held[i+1:]...)
	w.script.mu.Unlock()
	close(h.let)
	w.waitFor("a call that was let go", func() bool {
		for _, r := range w.run.Calls().Last {
			if r.Method == h.call.Method && r.N == h.call.N {
				return true
			}
		}
		return false
	})
	return h.call
}

func (w *world) heldCalls() int {
	w.script.mu.Lock()
	defer w.script.mu.Unlock()
	return len(w.script.held)
}

func (s *script) releaseAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.held {
		close(h.let)
	}
	s.held = nil
}

// unavailable is what a broken connection looks like.
func unavailable(words string) error { return status.Error(codes.Unavailable, words) }
