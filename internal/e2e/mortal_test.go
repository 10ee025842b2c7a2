package e2e_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"
	"cloud-run-orchestrator/internal/workflow"
)

// mortals is an installation whose process is killed at chosen points, and started again, while a scenario goes on. The database and Cloud Run follow
// a clock that is put forward whenever nothing can be done but wait, so that a scenario takes as long as its work.
type mortals struct {
	*world
	client  *api.Client
	rules   *store.Store // checks the rules of the data
	run     *emulator.Server
	offset  atomic.Int64 // of the clock
	deaths  []string     // points at which the processes to come die, in this order
	died    int
	process *process
	passed  string // the file in which processes note the points that they pass

	mu      sync.Mutex
	calls   map[string]int // by method and job
	disturb disturber
	gate    chan struct{} // the job wait ends when it is closed
}

// disturber says how a call is disturbed: the n-th of a method on a job.
type disturber func(method, job string, n int) emulator.Fault

// mortalSettings are short where real time counts, and in an order that a slow machine keeps. A tick never naps.
var mortalSettings = []string{
	"ORCHESTRATOR_CALL_DEADLINE=5s", "ORCHESTRATOR_CLAIM=10s", "ORCHESTRATOR_SETTLE_WINDOW=20s", "ORCHESTRATOR_TICK_BUDGET=900ms",
	"ORCHESTRATOR_CONCURRENCY=2", "ORCHESTRATOR_POOL_SIZE=2", "ORCHESTRATOR_PROJECT=p", "ORCHESTRATOR_REGION=europe-west1", "LOG_LEVEL=error",
}

func newMortals(t *testing.T, dbs *databases, disturb disturber, deaths ...string) *mortals {
	t.Helper()
	db := dbs.take(t)
	m := &mortals{
		world: &world{t: t, db: db.DB, address: freeAddress(t)}, rules: db.store,
		deaths: deaths, calls: map[string]int{}, disturb: disturb, gate: make(chan struct{}),
	}
	m.url = "http://" + m.address
	var err error
	if m.client, err = api.NewClient(api.Options{URL: m.url}); err != nil {
		t.Fatal(err)
	}
	m.run, err = emulator.New(emulator.Options{Jobs: m.jobs(), Grace: time.Millisecond, Now: m.now, Intercept: m.intercept})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.run.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = m.run.Serve(l) }()
	m.env = append([]string{
		"DATABASE_URL=" + m.db.DSN, "ORCHESTRATOR_MODE=" + string(lifecycle.Emulator), "CLOUD_RUN_EMULATOR_HOST=" + l.Addr().String(), "ORCHESTRATOR_LISTEN=" + m.address,
	}, mortalSettings...)
	return m
}

// jobs: ok succeeds, odd fails with every other task, again would be repeated by Cloud Run, wait ends when told to.
func (m *mortals) jobs() emulator.Jobs {
	ok := func(context.Context, emulator.Task) emulator.Result { return emulator.Result{} }
	odd := func(_ context.Context, t emulator.Task) emulator.Result {
		if strings.HasSuffix(t.Env["ORCHESTRATOR_TASK_INDEX"], "1") {
			return emulator.Result{ExitCode: 7}
		}
		return emulator.Result{}
	}
	wait := func(ctx context.Context, _ emulator.Task) emulator.Result {
		select {
		case <-m.gate:
			return emulator.Result{}
		case <-ctx.Done():
			return emulator.Result{Signal: 15}
		}
	}
	return emulator.Jobs{"ok": {Func: ok}, "odd": {Func: odd}, "again": {Func: ok, MaxRetries: 2}, "wait": {Func: wait}}
}

func (m *mortals) intercept(_ context.Context, c emulator.Call) emulator.Fault {
	_, job, _ := strings.Cut(c.Name, "/jobs/")
	job, _, _ = strings.Cut(job, "/")
	m.mu.Lock()
	m.calls[c.Method+" "+job]++
	n := m.calls[c.Method+" "+job]
	m.mu.Unlock()
	if m.disturb == nil {
		return emulator.Fault{}
	}
	return m.disturb(c.Method, job, n)
}

// now is Cloud Run's time, and the database's.
func (m *mortals) now() time.Time { return time.Now().Add(time.Duration(m.offset.Load())) }

// advance puts the clock forward.
func (m *mortals) advance(d time.Duration) {
	m.t.Helper()
	m.offset.Add(int64(d))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := m.db.Pool.Exec(ctx, `UPDATE installation SET clock_offset = $1::interval`, time.Duration(m.offset.Load())); err != nil {
		m.t.Fatal(err)
	}
}

// alive makes sure that a process answers. Where one has ended, it must have been killed at its point.
func (m *mortals) alive() {
	m.t.Helper()
	if m.process != nil && !m.process.over() {
		return
	}
	env := m.env
	if m.passed != "" {
		env = m.with("CRASH_LOG=" + m.passed)
	}
	if m.process != nil {
		m.buried()
	}
	if m.died < len(m.deaths) {
		env = append(env, "CRASH_AT="+m.deaths[m.died])
	}
	m.process = start(m.t, mortal, env)
	m.awaitAnswer(m.process)
}

// buried demands that the process died where it should.
func (m *mortals) buried() {
	m.t.Helper()
	<-m.process.ended
	status, ok := m.process.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL || m.died == len(m.deaths) {
		m.t.Fatalf("the process ended by itself (%v): %s", m.process.cmd.ProcessState, tail(m.process.stderr.String()))
	}
	m.died++
}

// insist makes a request until it is answered, by whatever process lives then. What is asked for must bear repetition.
func (m *mortals) insist(ask func(context.Context) error) error {
	m.t.Helper()
	for {
		m.alive()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := ask(ctx)
		cancel()
		if !errors.Is(err, api.ErrUnreachable) {
			return err
		}
		m.buryOrFail(err)
	}
}

// buryOrFail waits for the end of a process that broke off its answer.
func (m *mortals) buryOrFail(err error) {
	m.t.Helper()
	select {
	case <-m.process.ended:
	case <-time.After(patience):
		m.t.Fatalf("the process lives and does not answer: %v", err)
	}
}

func (m *mortals) apply(yaml string) {
	m.t.Helper()
	doc, err := workflow.Parse("scenario.yaml", []byte(yaml))
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.insist(func(ctx context.Context) error {
		_, _, err := m.client.PutWorkflow(ctx, doc.Name(), doc.JSON(), false)
		return err
	}); err != nil {
		m.t.Fatal(err)
	}
}

// trigger starts a run under a key, so that it may be repeated.
func (m *mortals) trigger(name string) (ref string) {
	m.t.Helper()
	err := m.insist(func(ctx context.Context) error {
		run, err := m.client.Trigger(ctx, name, api.TriggerRequest{}, "the-only-one")
		ref = run.Name
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return ref
}

func (m *mortals) cancel(ref string) {
	m.t.Helper()
	err := m.insist(func(ctx context.Context) error {
		_, err := m.client.Cancel(ctx, ref, api.CancelRequest{Reason: "enough"})
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

// tick is one tick, which may be cut off by a death. Where it found nothing to do, the clock is put forward to what is due next.
func (m *mortals) tick() {
	m.t.Helper()
	m.alive()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	report, err := m.client.Tick(ctx)
	var failed *api.TickError
	switch {
	case errors.Is(err, api.ErrUnreachable):
		m.buryOrFail(err)
		return
	case err != nil && !errors.As(err, &failed):
		m.t.Fatal(err)
	case report.Moved > 0:
		return
	}
	const least = 100 * time.Millisecond
	if report.NextDue == nil {
		m.advance(time.Second)
		return
	}
	m.advance(max(report.NextDue.Sub(m.now()), 0) + least)
}

// mostTicks is more than any scenario needs.
const mostTicks = 400

// tickUntil ticks until something holds.
func (m *mortals) tickUntil(what string, holds func() bool) {
	m.t.Helper()
	for range mostTicks {
		if holds() {
			return
		}
		m.tick()
	}
	m.t.Fatalf("%d ticks were not enough for: %s", mostTicks, what)
}

// status is a run as the functions show it.
func (m *mortals) status(ref string) (run api.Run) {
	m.t.Helper()
	if err := m.insist(func(ctx context.Context) (err error) {
		run, err = m.client.Run(ctx, ref)
		return err
	}); err != nil {
		m.t.Fatal(err)
	}
	return run
}

// runs says whether something holds of a run r and of its steps' sums s. It asks the database: the functions would take as long as the tick.
func (m *mortals) runs(ref, holds string) bool {
	m.t.Helper()
	name, number, _ := strings.Cut(ref, ".")
	return query[bool](m.world, `SELECT `+holds+` FROM runs r JOIN workflows w ON w.id = r.workflow_id
		CROSS JOIN LATERAL (SELECT sum(running) AS running FROM steps WHERE run_id = r.id) s WHERE w.name = $1 AND r.number::text = $2`, name, number)
}

// finish ticks until a run is final, and demands its status.
func (m *mortals) finish(ref, status string) api.Run {
	m.t.Helper()
	m.tickUntil(ref+" ends", func() bool { return m.runs(ref, `r.finished_at IS NOT NULL`) })
	run := m.status(ref)
	if run.Status != status {
		m.t.Errorf("%s ended as %s, want %s: %s", ref, run.Status, status, run.Reason)
	}
	return run
}

// called says how often a method was called on a job.
func (m *mortals) called(method, job string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[method+" "+job]
}
