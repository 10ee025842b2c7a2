package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/lifecycle"

	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// scenario is a story whose end is the same wherever the process dies in it. Together they pass every point.
type scenario struct {
	name    string
	disturb disturber
	play    func(*mortals)
}

var lost = status.Error(codes.Unavailable, "the connection broke")

func refusal() error {
	st, err := status.New(codes.ResourceExhausted, "Quota exceeded for quota metric 'Job run requests'").WithDetails(
		&errdetails.ErrorInfo{Reason: "RATE_LIMIT_EXCEEDED", Domain: "googleapis.com"})
	if err != nil {
		panic(err)
	}
	return st.Err()
}

func scenarios() []scenario {
	return []scenario{
		{"chain", onFirst("GetExecution", "odd", emulator.Fault{Before: status.Error(codes.PermissionDenied, "not yet")}), playChain},
		{"cancel", disturbCancel, playCancel},
		{"lost", disturbLost, playLost},
		{"hidden", onFirst("RunJob", "wait", emulator.Fault{After: lost, HideFor: time.Minute}), playHidden},
		{"tardy", nil, playTardy},
		{"rejected", nil, playRejected},
		{"blocked", onFirst("RunJob", "ok", emulator.Fault{After: lost}), playBlocked},
	}
}

func onFirst(method, job string, f emulator.Fault) disturber {
	return func(m, j string, n int) emulator.Fault {
		if m == method && j == job && n == 1 {
			return f
		}
		return emulator.Fault{}
	}
}

// playChain: three steps, with enough tasks for listings, with a limit, and with a task that fails and is tolerated.
func playChain(m *mortals) {
	m.apply(`
name: chain
steps:
  many: {job: {name: wait}, tasks: {count: 26}}
  few: {needs: [many], job: {name: odd}, tasks: {count: 2}, max_executions: 1, tolerate: 1}
  last: {needs: [few], job: {name: again}, tasks: {count: 1}}
`)
	ref := m.trigger("chain")
	m.tickUntil("many run", func() bool { return m.runs(ref, `s.running = 26`) })
	m.advance(time.Minute) // all are due, so one listing is worth more than a look at each
	m.tick()
	close(m.gate)
	run := m.finish(ref, "success")
	m.counts(run, api.Counts{Success: 28, Failed: 1})
	m.eachStartedOnce(run, 29)
}

// disturbCancel: nothing starts where the quota is used up, and a cancel takes longer than a phase may.
func disturbCancel(method, job string, _ int) emulator.Fault {
	switch {
	case method == "RunJob" && job == "ok":
		return emulator.Fault{Before: refusal()}
	case method == "CancelExecution":
		return emulator.Fault{Delay: 300 * time.Millisecond}
	}
	return emulator.Fault{}
}

// playCancel: one run is cancelled while some of its tasks run and others wait for them, and one while all of it waits for a quota.
func playCancel(m *mortals) {
	m.apply("name: running\njob: {name: wait}\ntasks: {count: 7}\nmax_executions: 4\n")
	m.apply("name: waiting\njob: {name: ok, region: us-east1}\ntasks: {count: 3}\n")
	running, waiting := m.trigger("running"), m.trigger("waiting")
	m.tickUntil("four tasks run, and the quota has refused", func() bool {
		return m.runs(running, `s.running = 4`) && m.called("RunJob", "ok") > 0
	})
	m.cancel(running)
	m.cancel(waiting)
	run := m.finish(running, "cancelled")
	m.counts(run, api.Counts{Cancelled: 7})
	m.eachStartedOnce(run, 4)
	m.counts(m.finish(waiting, "cancelled"), api.Counts{Cancelled: 3})
}

// disturbLost: four answers in a row are lost, of one call without effect and three with it. That closes the location but for one try.
func disturbLost(method, job string, n int) emulator.Fault {
	switch {
	case method == "RunJob" && job == "ok" && n == 1:
		return emulator.Fault{Before: lost}
	case method == "RunJob" && job == "ok" && n <= 4:
		return emulator.Fault{After: lost}
	}
	return emulator.Fault{}
}

// playLost: what was accepted is found, what was not is sent again, and a lost row is looked for once more.
func playLost(m *mortals) {
	m.apply("name: lossy\njob: {name: ok}\ntasks: {count: 6}\n")
	run := m.finish(m.trigger("lossy"), "success")
	m.counts(run, api.Counts{Success: 6})
	m.eachStartedOnce(run, 6)
	for _, later := range []time.Duration{2 * time.Minute, 25 * time.Hour} { // the second time is the last
		m.advance(later)
		m.tickUntil("the lost row was looked for", func() bool {
			return query[int](m.world, `SELECT count(*) FROM executions WHERE next_look_at <= clock()`) == 0
		})
	}
}

// playHidden: Cloud Run shows an accepted launch after the settle window. Its task was sent again by then, so it is cancelled.
func playHidden(m *mortals) {
	m.apply("name: shy\njob: {name: wait}\ntasks: {count: 1}\n")
	ref := m.trigger("shy")
	m.tickUntil("the task was sent twice", func() bool { return len(m.run.Started()) == 2 })
	m.orphanEnds(m.run.Started()[0].Execution)
	close(m.gate)
	m.counts(m.finish(ref, "success"), api.Counts{Success: 1})
	if n := len(m.run.Started()); n != 2 {
		m.t.Errorf("%d tasks were started, want 2", n)
	}
}

// playTardy: a call takes so long that its row is given up before it has its effect, and its answer comes all the same.
func playTardy(m *mortals) {
	arrived, released := make(chan struct{}), make(chan struct{})
	first := onFirst("RunJob", "wait", emulator.Fault{Delay: time.Nanosecond})
	m.setDisturber(func(method, job string, n int) emulator.Fault {
		f := first(method, job, n)
		if f != (emulator.Fault{}) {
			close(arrived)
			<-released
		}
		return f
	})
	m.apply("name: tardy\njob: {name: wait}\ntasks: {count: 1}\n")
	ref := m.trigger("tardy")
	done := make(chan struct{})
	m.tickBeside(arrived, done)
	row := query[uuid.UUID](m.world, `SELECT id FROM executions WHERE status = 'launching'`)
	m.advance(31 * time.Second) // past the claim and the settle window
	m.tickUntil("its row is lost", func() bool {
		return query[string](m.world, `SELECT coalesce(outcome, '') FROM executions WHERE id = $1`, row) == "lost"
	})
	close(released)
	<-done
	m.tickUntil("the task was sent again", func() bool { return len(m.run.Started()) == 2 })
	for _, s := range m.run.Started() {
		if marker, _ := lifecycle.ParseMarker(s.Env[lifecycle.MarkerEnv]); marker.Row == row {
			m.orphanEnds(s.Execution)
		}
	}
	close(m.gate)
	m.counts(m.finish(ref, "success"), api.Counts{Success: 1})
}

// playRejected: the job is not there. What was not sent by then is not sent any more.
func playRejected(m *mortals) {
	m.apply(`
name: nojob
steps:
  first: {job: {name: missing}, tasks: {count: 5}}
  second: {needs: [first], job: {name: ok}, tasks: {count: 1}}
`)
	run := m.finish(m.trigger("nojob"), "failed")
	if c := run.Counts; c.Failed == 0 || c.Failed+c.Cancelled != 5 || c.Skipped != 1 {
		m.t.Errorf("the tasks ended as %+v", c)
	}
	m.eachStartedOnce(run, 0)
}

// playBlocked: a listing shows an execution of ours that the database does not know, as after a restore. Nothing is sent until somebody has looked.
func playBlocked(m *mortals) {
	m.apply("name: restored\njob: {name: ok}\ntasks: {count: 6}\n")
	stray := m.stray("ok")
	ref := m.trigger("restored")
	m.tickUntil("launching is blocked", func() bool {
		return strings.Contains(query[string](m.world, `SELECT launch_blocked_reason FROM installation`), stray)
	})
	before := len(m.run.Started())
	for range 3 {
		m.tick()
	}
	if n := len(m.run.Started()); n != before {
		m.t.Errorf("%d tasks were started while launching was blocked", n-before)
	}
	if _, err := m.run.DeleteExecution(context.Background(), &runpb.DeleteExecutionRequest{Name: stray}); err != nil {
		m.t.Fatal(err)
	}
	m.exec(`UPDATE installation SET launch_blocked_reason = ''`)
	run := m.finish(ref, "success")
	m.counts(run, api.Counts{Success: 6})
	m.eachStartedOnce(run, 6)
}

// stray lets Cloud Run have an execution with our marker that no row knows.
func (m *mortals) stray(job string) (name string) {
	m.t.Helper()
	marker := lifecycle.Marker{Installation: query[uuid.UUID](m.world, `SELECT id FROM installation`), Row: uuid.Must(uuid.NewV7()), Send: 1}
	_, err := m.run.RunJob(context.Background(), &runpb.RunJobRequest{
		Name: "projects/p/locations/europe-west1/jobs/" + job,
		Overrides: &runpb.RunJobRequest_Overrides{ContainerOverrides: []*runpb.RunJobRequest_Overrides_ContainerOverride{{
			Name: job, Env: []*runpb.EnvVar{{Name: lifecycle.MarkerEnv, Values: &runpb.EnvVar_Value{Value: marker.String()}}},
		}}},
	})
	if err != nil {
		m.t.Fatal(err)
	}
	list, err := m.run.ListExecutions(context.Background(), &runpb.ListExecutionsRequest{Parent: "projects/p/locations/europe-west1/jobs/" + job})
	if err != nil || len(list.Executions) != 1 {
		m.t.Fatalf("%v %v", list, err)
	}
	return list.Executions[0].Name
}

func (m *mortals) setDisturber(d disturber) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.disturb = d
}

// tickBeside lets a tick run until it has arrived where its call waits, and goes on while it waits there. A tick that dies before is followed by another.
func (m *mortals) tickBeside(arrived <-chan struct{}, done chan<- struct{}) {
	m.t.Helper()
	for {
		m.alive()
		ended := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			_, err := m.client.Tick(ctx)
			ended <- err
		}()
		select {
		case <-arrived:
			go func() {
				<-ended
				close(done)
			}()
			return
		case err := <-ended:
			if errors.Is(err, api.ErrUnreachable) {
				m.buryOrFail(err)
			}
			m.advance(time.Second)
		}
	}
}

// orphanEnds ticks until an execution that is no row's was cancelled, and the ledger knows it.
func (m *mortals) orphanEnds(name string) {
	m.t.Helper()
	m.tickUntil("the orphan "+name+" has ended", func() bool {
		m.advance(20 * time.Second)
		return query[int](m.world, `SELECT count(*) FROM orphans WHERE cloud_run_execution_name = $1 AND ended_at IS NOT NULL`, name) == 1
	})
	if n := query[int](m.world, `SELECT count(*) FROM events WHERE kind = 'orphan'`); n != 1 {
		m.t.Errorf("%d events tell of the orphan", n)
	}
}

// sound demands what holds after every scenario: the data keeps its rules, each send was accepted once at most, and everything accepted is a row's or an orphan.
func (m *mortals) sound() {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	broken, err := m.rules.Invariants(ctx)
	if err != nil || len(broken) > 0 {
		m.t.Errorf("the data breaks its rules: %+v %v", broken, err)
	}
	const knownSQL = `SELECT coalesce(array_agg(id || ' ' || name), '{}') FROM (
		SELECT id, coalesce(cloud_run_execution_name, '') AS name FROM executions
		UNION ALL SELECT execution_id, cloud_run_execution_name FROM orphans WHERE ended_at IS NOT NULL) x`
	known, rows := map[string]bool{}, map[string]bool{}
	for _, text := range query[[]string](m.world, knownSQL) {
		row, _, _ := strings.Cut(text, " ")
		known[text], rows[row] = true, true
	}
	sends := map[string]int{}
	for _, s := range m.run.Started() {
		marker, ok := lifecycle.ParseMarker(s.Env[lifecycle.MarkerEnv])
		if sends[marker.String()]++; !ok || sends[marker.String()] > 1 {
			m.t.Errorf("%s has the marker %q, which was accepted before, or is none", s.Execution, s.Env[lifecycle.MarkerEnv])
		}
		row := marker.Row.String()
		if rows[row] && !known[row+" "+s.Execution] { // what has no row is a stray one, the scenario's own
			m.t.Errorf("%s was accepted, and the ledger does not have its name", s.Execution)
		}
	}
}

func (m *mortals) counts(run api.Run, want api.Counts) {
	m.t.Helper()
	if run.Counts != want {
		m.t.Errorf("the tasks of %s ended as %+v, want %+v", run.Name, run.Counts, want)
	}
}

// eachStartedOnce demands that so many tasks of a run were started, each once.
func (m *mortals) eachStartedOnce(run api.Run, tasks int) {
	m.t.Helper()
	times := map[string]int{}
	for _, s := range m.run.Started() {
		if s.Env["ORCHESTRATOR_RUN_ID"] == run.ID {
			times[fmt.Sprint(s.Env["ORCHESTRATOR_STEP"], "/", s.Env["ORCHESTRATOR_TASK_INDEX"])]++
		}
	}
	for task, n := range times {
		if n != 1 {
			m.t.Errorf("task %s was started %d times", task, n)
		}
	}
	if len(times) != tasks {
		m.t.Errorf("%d tasks of %s were started, want %d", len(times), run.Name, tasks)
	}
}
