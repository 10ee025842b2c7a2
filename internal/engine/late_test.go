package engine_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/cloudrun"
	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/lifecycle"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// through is an engine's way to Cloud Run that passes what stands in it.
func (w *world) through(between grpc.UnaryClientInterceptor) option {
	w.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	go w.run.Serve(ln) // until the emulator is closed; a failure shows in the calls
	conn, err := grpc.NewClient(ln.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUnaryInterceptor(between))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	client, err := cloudrun.New(w.t.Context(), cloudrun.Options{Conn: conn, CallDeadline: time.Minute})
	if err != nil {
		w.t.Fatal(err)
	}
	return func(o *engine.Options) { o.CloudRun = client }
}

// held is a tick whose calls of one method have their effect, while their answers are on the way until they are released.
type held struct {
	w        *world
	answered chan struct{} // one for every answer that is on the way
	done     chan struct{}
	release  func() // lets them arrive, and waits until they are recorded
}

func (w *world) tickHolding(method string) held {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	arrive := make(chan struct{})
	h := held{w: w, answered: make(chan struct{}, 1000), done: make(chan struct{})}
	e := w.newEngine(patient, w.through(func(ctx context.Context, name string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		err := invoke(ctx, name, req, reply, cc, opts...)
		if strings.HasSuffix(name, "/"+method) {
			h.answered <- struct{}{}
			<-arrive
		}
		return err
	}))
	go func() {
		defer close(h.done)
		_, _ = e.Tick(ctx, "test") // what it did shows in the ledger
	}()
	h.release = sync.OnceFunc(func() {
		cancel() // it begins nothing more
		close(arrive)
		<-h.done
	})
	w.t.Cleanup(h.release)
	return h
}

// await waits for so many answers that are on the way.
func (h held) await(n int) {
	h.w.t.Helper()
	for range n {
		select {
		case <-h.answered:
		case <-h.done:
			h.w.t.Fatal("the tick ended without its calls")
		}
	}
}

// patient ticks have the time for what they have to do, also on a busy machine.
func patient(o *engine.Options) { o.Budget = time.Minute }

func (w *world) calls(method string) int { return w.run.Calls().Count[method] }

// ledger is a text of the rows of executions and tasks that a condition chooses, to see whether anything changed.
func (w *world) ledger(where string) (text string) {
	w.t.Helper()
	err := w.db.Pool.QueryRow(w.t.Context(), `
		SELECT coalesce(string_agg(x::text || coalesce(t::text, ''), E'\n' ORDER BY x.id, t.task_index), '')
		FROM executions x LEFT JOIN tasks t ON t.execution_id = x.id WHERE `+where).Scan(&text)
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

// count asks the database for a number.
func (w *world) count(sql string, args ...any) (n int) {
	w.t.Helper()
	if err := w.db.Pool.QueryRow(w.t.Context(), sql, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) anyLaunching() (some bool) {
	err := w.db.Pool.QueryRow(context.WithoutCancel(w.t.Context()), `SELECT EXISTS (SELECT FROM executions WHERE status = 'launching')`).Scan(&some)
	return err == nil && some
}

func TestATickThatWakesAfterItsRowWasLostSendsNothingAndChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("sleepy", "wait", 1)
	run := w.trigger("sleepy")

	asleep, wake, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var slept atomic.Bool
	began := time.Now()
	sleeper := w.newEngine(patient, func(o *engine.Options) { // so that only the claim's age speaks against sending
		o.Concurrency = 1
		o.Clock = func() (time.Time, time.Duration) { // suspended as soon as its claim is committed; the wall clock goes on meanwhile
			if !slept.Load() && w.anyLaunching() && !slept.Swap(true) {
				close(asleep)
			}
			if slept.Load() {
				<-wake
				return time.Now().Add(time.Hour), time.Since(began)
			}
			return time.Now(), time.Since(began)
		}
	})
	go func() {
		_, err := sleeper.Tick(t.Context(), "test")
		done <- err
	}()
	select {
	case <-asleep:
	case err := <-done:
		t.Fatalf("the tick ended without a claim: %v", err)
	}
	w.later(20 * time.Second) // past claim and settle window
	w.tickUntil(run, "running in another execution", func(d engine.RunDetail) bool { return d.Run.Counts.Running == 1 })
	w.later(10 * time.Minute) // from now on looks are half a minute apart, and the sleeper waits for none
	if _, err := w.tick(); err != nil {
		t.Fatal(err)
	}
	lost, sent := w.ledger(`x.outcome = 'lost'`), w.calls("RunJob")
	if lost == "" || sent != 1 {
		t.Fatalf("after %d calls the ledger's lost rows are %q", sent, lost)
	}
	close(wake)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := w.calls("RunJob"); n != sent {
		t.Errorf("%d calls were made by a tick that woke up after its row was lost", n-sent)
	}
	if now := w.ledger(`x.outcome = 'lost'`); now != lost {
		t.Errorf("the lost row was changed from\n%s\nto\n%s", lost, now)
	}
	w.release()
	w.later(time.Minute)
	if d := w.finish(run); d.Run.Status != lifecycle.Success {
		t.Errorf("run %s", d.Run.Status)
	}
	w.startedOnce(1)
}

func TestAnAnswerThatComesAfterItsRowWasClaimedAgainNamesTheRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("slow", "wait", 1)
	run := w.trigger("slow")
	w.disturb("RunJob", emulator.Fault{HideFor: time.Hour})
	sender := w.tickHolding("RunJob")
	sender.await(1)
	w.answer()
	w.later(20 * time.Second)
	reader := w.tickHolding("ListExecutions")
	reader.await(1) // it has claimed the row, and its listing is complete and does not show the execution
	sender.release()
	named := w.ledger(`x.status = 'launched' AND x.claim IS NULL`)
	if !strings.Contains(named, w.run.Started()[0].Execution) {
		t.Errorf("the answer did not name the row: %q", named)
	}
	reader.release()
	if n := w.count(`SELECT count(*) FROM executions WHERE cloud_run_execution_name IS NOT NULL AND outcome IS NULL`); n != 1 {
		t.Errorf("%d rows are live, want the one of the answer", n)
	}
	w.release()
	if d := w.finish(run); d.Run.Status != lifecycle.Success || d.Executions != 1 {
		t.Errorf("run %s with %d executions", d.Run.Status, d.Executions)
	}
	if n := w.calls("RunJob"); n != 1 || w.event(run, "orphan") != nil || w.calls("CancelExecution") != 0 {
		t.Errorf("%d launches, event %v, %d cancels", n, w.event(run, "orphan"), w.calls("CancelExecution"))
	}
	w.startedOnce(1)
}

func TestAnAnswerThatComesAfterItsRowWasLostNamesAnOrphanAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("overdue", "wait", 3)
	run := w.trigger("overdue")
	w.disturb("RunJob", emulator.Fault{HideFor: time.Hour})
	sender := w.tickHolding("RunJob")
	sender.await(3)
	w.answer()
	const first = `(SELECT id FROM executions ORDER BY id LIMIT 1)`
	if _, err := w.db.Pool.Exec(t.Context(), `UPDATE executions SET claim_expires_at = claim_expires_at + interval '1 hour' WHERE id <> `+first); err != nil {
		t.Fatal(err)
	}
	w.later(20 * time.Second)
	w.tickUntil(run, "sent again in part", func(engine.RunDetail) bool { return len(w.run.Started()) == 4 })
	sender.release() // three answers in one group: two name their rows, one comes too late
	if n := w.count(`SELECT count(*) FROM executions WHERE status IN ('launched', 'running') AND cloud_run_execution_name IS NOT NULL`); n != 3 {
		t.Errorf("%d rows are live, want 3", n)
	}
	orphaned := func() int {
		return w.count(`SELECT count(*) FROM orphans o JOIN executions x USING (cloud_run_execution_name)
			WHERE o.execution_id = x.id AND x.outcome = 'lost' AND x.id = ` + first)
	}
	if all := w.count(`SELECT count(*) FROM orphans`); all != 1 || orphaned() != 1 {
		t.Fatalf("%d orphans, %d of them the lost row's", all, orphaned())
	}
	w.tickUntil(run, "rid of the orphan", func(engine.RunDetail) bool {
		w.later(time.Minute)
		return w.count(`SELECT count(*) FROM orphans WHERE ended_at IS NOT NULL`) == 1
	})
	w.later(2 * time.Hour) // now the lists show it too
	if _, err := w.tick(); err != nil {
		t.Error(err)
	}
	if events := w.count(`SELECT count(*) FROM events WHERE kind = 'orphan'`); events != 1 || orphaned() != 1 {
		t.Errorf("%d events, %d orphans; want one of each", events, orphaned())
	}
	for _, c := range w.run.Calls().Last {
		if c.Method == "CancelExecution" && w.count(`SELECT count(*) FROM orphans WHERE cloud_run_execution_name = $1`, c.Name) != 1 {
			t.Errorf("%s was cancelled and is no orphan", c.Name)
		}
	}
	w.release()
	w.later(time.Minute) // looks at old executions are half a minute apart
	d := w.finish(run)
	if d.Run.Status != lifecycle.Success || d.Run.Counts.Success != 3 || w.calls("RunJob") != 4 {
		t.Errorf("run %s with %+v after %d launches", d.Run.Status, d.Run.Counts, w.calls("RunJob"))
	}
}

func TestALaunchThatIsAcceptedLongAfterItWasGivenUpIsCancelledAtTheFirstLook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("stuck", "wait", 1)
	run := w.trigger("stuck")
	deliver, delivered := make(chan struct{}), make(chan error, 1)
	ctx, hangUp := context.WithCancel(t.Context())
	stuck := w.newEngine(patient, w.through(func(ctx context.Context, name string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if !strings.HasSuffix(name, "/RunJob") {
			return invoke(ctx, name, req, reply, cc, opts...)
		}
		hangUp()    // the tick begins nothing more
		go func() { // the request is somewhere on the way
			<-deliver
			delivered <- invoke(context.WithoutCancel(ctx), name, req, reply, cc)
		}()
		return status.Error(codes.DeadlineExceeded, "no answer")
	}))
	if _, err := stuck.Tick(ctx, "test"); err != nil {
		t.Fatal(err)
	}
	w.later(20 * time.Second)
	w.tickUntil(run, "running in another execution", func(d engine.RunDetail) bool { return d.Run.Counts.Running == 1 })
	close(deliver)
	if err := <-delivered; err != nil {
		t.Fatal(err)
	}
	if n := w.calls("CancelExecution"); n != 0 || len(w.run.Started()) != 2 {
		t.Fatalf("%d cancels, %d started", n, len(w.run.Started()))
	}
	w.later(2 * time.Minute) // the watch looks once a minute
	look, stop := context.WithCancel(t.Context())
	looker := w.newEngine(patient, w.through(func(ctx context.Context, name string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if strings.HasSuffix(name, "/CancelExecution") {
			stop() // one look is enough
		}
		return invoke(ctx, name, req, reply, cc, opts...)
	}))
	if _, err := looker.Tick(look, "test"); err != nil {
		t.Fatal(err)
	}
	late := w.run.Started()[1].Execution
	if e := w.event(run, "orphan"); e == nil || !strings.Contains(e.Subject, late) || w.calls("CancelExecution") != 1 {
		t.Errorf("after one look: event %v, %d cancels", e, w.calls("CancelExecution"))
	}
	w.tickUntil(run, "rid of the late one", func(engine.RunDetail) bool {
		w.later(time.Minute)
		return w.orphanEnded(late)
	})
	w.release()
	d := w.finish(run)
	if d.Run.Status != lifecycle.Success || d.Run.Counts.Success != 1 || d.Executions != 2 {
		t.Errorf("run %s with %+v in %d executions", d.Run.Status, d.Run.Counts, d.Executions)
	}
	if task := w.tasks(run)[0]; task.ExecutionName == late || task.Returns != 1 || task.Attempt != 1 {
		t.Errorf("task %+v", task)
	}
}
