package model

import (
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cloud-run-orchestrator/internal/cloudrun"
	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"
	"cloud-run-orchestrator/internal/workflow"

	"google.golang.org/grpc"
)

// The settings are those of production: time is virtual, so that they cost nothing.
const (
	callDeadline = 30 * time.Second
	claimLength  = time.Minute
	settleWindow = 3 * time.Minute
	historyKept  = 12
	hangs        = 150 * time.Millisecond // of real time, until the client gives a call up
)

// process is one instance of the orchestrator: an engine with its own caches, clocks and connections.
type process struct {
	w      *world
	name   string
	wire   *wire
	store  *store.Store
	conn   *grpc.ClientConn
	engine *engine.Engine

	mu      sync.Mutex
	skew    time.Duration // of its wall clock
	stood   time.Duration // how long its monotonic clock has stood still
	freeze  *freeze
	blocked atomic.Int64 // sends that are frozen now
	ticking chan tickEnd // nil while it does not tick
}

type tickEnd struct {
	report engine.Report
	err    error
}

// pauseKind is what the clocks of a process do while it is frozen.
type pauseKind string

const (
	stopped   pauseKind = "stopped"            // both clocks go on
	suspended pauseKind = "suspended"          // the monotonic clock stands still
	setBack   pauseKind = "clock was set back" // somebody sets the wall clock back meanwhile
)

// freeze stops a process between its claim and its calls, or before a statement.
type freeze struct {
	sends bool
	kind  pauseKind
	since time.Time
	over  chan struct{}
}

// start makes a process. skew is how wrong its wall clock is.
func (w *world) start(name string, concurrency int, skew time.Duration) *process {
	w.t.Helper()
	p := &process{w: w, name: name, wire: newWire(), skew: skew}
	var err error
	if p.store, err = store.Open(w.ctx, store.Options{URL: w.db.DSN, Dial: p.wire.dial}); err != nil {
		w.t.Fatal(err)
	}
	if p.conn, err = w.run.Dial(); err != nil {
		w.t.Fatal(err)
	}
	client, err := cloudrun.New(w.ctx, cloudrun.Options{Conn: p.conn, CallDeadline: hangs})
	if err != nil {
		w.t.Fatal(err)
	}
	p.engine = engine.New(engine.Options{
		Store: p.store, CloudRun: client, Mode: lifecycle.Emulator, Defaults: workflow.Defaults{Project: project, Region: region},
		Log:          slog.New(slog.DiscardHandler),
		CallDeadline: callDeadline, Claim: claimLength, SettleWindow: settleWindow, Budget: 900 * time.Millisecond, HistoryKept: historyKept,
		Concurrency: concurrency, Clock: p.clocks,
	})
	return p
}

// clocks are what the process reads. A frozen one stays in the reading directly before a call.
func (p *process) clocks() (time.Time, time.Duration) {
	p.mu.Lock()
	f := p.freeze
	p.mu.Unlock()
	if f != nil && f.sends && beforeCall() {
		p.blocked.Add(1)
		<-f.over
		p.blocked.Add(-1)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	wall, mono := p.w.clock.Local()
	return wall.Add(p.skew), mono - p.stood
}

// beforeCall says whether the clocks are read by the engine's send, which does so after the claim and before the call.
func beforeCall() bool {
	var pcs [8]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, "engine.(*launcher).send") {
			return true
		}
		if !more {
			return false
		}
	}
}

// frozenTick says whether a tick of it hangs in the middle.
func (p *process) frozenTick() bool { return p.ticking != nil }

// begin starts a tick.
func (p *process) begin() {
	done := make(chan tickEnd, 1)
	p.ticking = done
	go func() {
		r, err := p.engine.Tick(p.w.ctx, "test")
		done <- tickEnd{r, err}
	}()
}

// await waits until the tick ends. A frozen one is left where it is once nothing else of it moves: then ended is false.
func (p *process) await() (end tickEnd, ended bool) {
	p.w.t.Helper()
	const still = 120 * time.Millisecond // longer than answers are gathered
	limit := time.Now().Add(patience)
	seen, since := int64(-1), time.Now()
	for time.Now().Before(limit) {
		select {
		case end = <-p.ticking:
			p.ticking = nil
			return end, true
		case <-time.After(2 * time.Millisecond):
		}
		moved := p.wire.sent.Load() + p.w.calls.Load() + p.stands()
		if moved != seen || p.stands() == 0 {
			seen, since = moved, time.Now()
		} else if time.Since(since) > still {
			return tickEnd{}, false
		}
	}
	buf := make([]byte, 1<<20)
	p.w.t.Fatalf("a tick of %s neither ends nor is frozen after %s\n%s", p.name, patience, buf[:runtime.Stack(buf, true)])
	return tickEnd{}, false
}

// tick is a whole tick of an unfrozen process.
func (p *process) tick() (engine.Report, error) {
	p.w.t.Helper()
	p.begin()
	end, ended := p.await()
	if !ended {
		p.w.t.Fatalf("a tick of %s is frozen", p.name)
	}
	return end.report, end.err
}

// stands is how much of it stands still.
func (p *process) stands() int64 { return p.blocked.Load() + p.wire.blocked.Load() }

// freezeSends makes every send stop between claim and call from now on.
func (p *process) freezeSends(kind pauseKind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.freeze = &freeze{sends: true, kind: kind, since: p.w.clock.Now(), over: make(chan struct{})}
}

// freezeAt makes the process stop before a statement: after n others, of those in which a text stands.
func (p *process) freezeAt(n int, of string, kind pauseKind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.freeze = &freeze{kind: kind, since: p.w.clock.Now(), over: make(chan struct{})}
	p.wire.stallAt(n, of, p.freeze.over)
}

// thaw lets a frozen process go on.
func (p *process) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.freeze
	if f == nil {
		return
	}
	p.freeze = nil
	p.wire.unstall()
	switch away := p.w.clock.Now().Sub(f.since); f.kind {
	case suspended:
		p.stood += away
	case setBack:
		p.skew -= away
	}
	close(f.over)
}

// kill ends a process as SIGKILL does: what it had not said by now it never says.
func (p *process) kill() {
	p.wire.kill()
	p.conn.Close()
	p.thaw()
	if p.ticking != nil {
		p.await()
	}
	p.store.Close()
}

func (p *process) String() string { return p.name }

// restart replaces a process by a fresh one.
func (w *world) restart(i, concurrency int, skew time.Duration) {
	w.t.Helper()
	w.processes[i].kill()
	w.generation++
	w.processes[i] = w.start(fmt.Sprintf("process %d'%d", i, w.generation), concurrency, skew)
}
