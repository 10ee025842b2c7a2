package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/uuid"
)

const hour = time.Hour

func (f *fixture) exec(sql string, args ...any) {
	f.t.Helper()
	_, err := f.db.Pool.Exec(f.t.Context(), sql, args...)
	f.must(err)
}

func (f *fixture) later(d time.Duration) {
	f.t.Helper()
	f.exec(`UPDATE installation SET clock_offset = clock_offset + $1::interval`, d)
}

// pulse has launches in flight for a minute.
func (f *fixture) pulse() Pulse {
	f.t.Helper()
	p, err := f.Pulse(f.t.Context(), hour, time.Minute)
	f.must(err)
	return p
}

// looked claims what is to be looked at; the next look is far away.
func (f *fixture) looked(settled bool) {
	f.t.Helper()
	c := Claim{Token: uuid.Must(uuid.NewV7()), Length: time.Minute, Limit: 10, Due: f.now()}
	rows, err := f.ClaimDueLooks(f.t.Context(), c)
	f.must(err)
	for _, x := range rows {
		f.must(f.Release(f.t.Context(), []uuid.UUID{x.ID}, Undecided{Claim: c.Token, After: 5 * hour, Looked: !settled}))
	}
	if len(rows) == 0 {
		f.t.Fatal("there was nothing to look at")
	}
}

// asked stops a run and asks its executions to end.
func (f *fixture) asked(run uuid.UUID) {
	f.t.Helper()
	f.stop(run)
	_, err := f.MarkStopping(f.t.Context(), 10)
	f.must(err)
	c := Claim{Token: uuid.Must(uuid.NewV7()), Length: time.Minute, Limit: 10, Due: f.now()}
	rows, err := f.ClaimCancels(f.t.Context(), c)
	f.must(err)
	for _, x := range rows {
		f.must(f.RecordCancels(f.t.Context(), []CancelSent{{ID: x.ID, Claim: c.Token, OK: true, Again: 5 * hour}}))
	}
	f.exec(`UPDATE executions SET next_look_at = next_look_at + interval '5 hours'`)
}

func (f *fixture) stop(run uuid.UUID) {
	f.t.Helper()
	_, err := f.StopRun(f.t.Context(), run, lifecycle.Cancelled, "test", "test")
	f.must(err)
}

// ready makes a run whose step is ready and has no tasks yet.
func (f *fixture) ready() uuid.UUID {
	f.t.Helper()
	id := f.runOf(NewStep{Name: "main", Job: testJob, TaskCount: 1})
	_, err := f.Unblock(f.t.Context(), f.now(), 10)
	f.must(err)
	return id
}

// planned makes a run with one planned execution.
func (f *fixture) planned() uuid.UUID {
	f.t.Helper()
	id := f.run(1)
	f.pack()
	return id
}

// underLimit makes one live and one planned execution of two runs of a workflow, of a step's two tasks where ofStep is set.
func (f *fixture) underLimit(limit int, ofStep bool) {
	f.t.Helper()
	if ofStep {
		id := f.run(2)
		f.exec(`UPDATE steps SET max_executions = 2 WHERE run_id = $1`, id)
	} else {
		f.run(1)
		f.run(1)
		f.exec(`UPDATE runs SET max_executions = 2`)
	}
	f.pack()
	rows, err := f.ClaimLimited(f.t.Context(), LaunchClaim{Claim: uuid.Must(uuid.NewV7()), Length: time.Minute, Limit: 1, Workflow: f.wf})
	f.must(err)
	f.name(rows...)
	f.looked(true)
	f.exec(`UPDATE steps SET max_executions = $1 WHERE max_executions IS NOT NULL`, limit)
	f.exec(`UPDATE runs SET max_executions = $1 WHERE max_executions IS NOT NULL`, limit)
}

func (f *fixture) launchedIn(location string) {
	f.t.Helper()
	f.must(f.RecordAnswers(f.t.Context(), location, Answers{Launched: true}))
}

func TestARunIsStuckWhenSomethingOfItStandsStillForAnHourAndNothingHoldsIt(t *testing.T) {
	t.Parallel()
	const location = "projects/p/locations/l"
	for _, c := range []struct {
		name  string
		setUp func(*fixture)
		then  func(*fixture) // half an hour later
		want  Pulse          // after an hour; before it nothing is stuck
	}{
		{"nothing is there", func(*fixture) {}, nil, Pulse{}},
		{"a launch that nobody answers", func(f *fixture) { f.planned(); f.claimPlanned(1, time.Minute) }, nil, Pulse{UnfinishedRuns: 1, StuckRuns: 1, UnknownLaunches: 1}},
		{"an execution at which nobody looks", func(f *fixture) { f.launched(1) }, nil, Pulse{UnfinishedRuns: 1, StuckRuns: 1}},
		{"looks that settle nothing", func(f *fixture) { f.launched(1); f.looked(false) }, nil, Pulse{UnfinishedRuns: 1, StuckRuns: 1}},
		{"an execution that runs for long", func(f *fixture) { f.launched(1); f.looked(true) }, nil, Pulse{UnfinishedRuns: 1}},
		{"an execution that does not end when it is asked to", func(f *fixture) { f.asked(f.launched(1)[0].RunID) }, nil, Pulse{UnfinishedRuns: 1, StuckRuns: 1}},
		{"a step that gets no tasks", func(f *fixture) { f.ready() }, nil, Pulse{UnfinishedRuns: 1, StuckRuns: 1}},
		{"a stopping run", func(f *fixture) { f.stop(f.ready()); f.stop(f.planned()) }, nil, Pulse{UnfinishedRuns: 2}},
		{"a paused run", func(f *fixture) { f.ready(); f.planned(); f.exec(`UPDATE runs SET paused_at = clock()`) }, nil, Pulse{UnfinishedRuns: 2}},
		{"a paused installation", func(f *fixture) { f.ready(); f.planned(); f.exec(`UPDATE installation SET paused_at = clock()`) }, nil, Pulse{UnfinishedRuns: 2}},
		{"an execution that nobody launches", func(f *fixture) { f.planned() }, nil, Pulse{UnfinishedRuns: 1, StuckRuns: 1}},
		{"a quota that refuses for ever", func(f *fixture) {
			f.planned()
			f.exec(`UPDATE executions SET not_before = clock() + interval '2 hours'`)
		}, nil, Pulse{UnfinishedRuns: 1, StuckRuns: 1}},
		{"a queue that moves", func(f *fixture) { f.planned() }, func(f *fixture) { f.launchedIn(location) }, Pulse{UnfinishedRuns: 1}},
		{"a queue elsewhere that moves", func(f *fixture) { f.planned() }, func(f *fixture) { f.launchedIn(location + "2") }, Pulse{UnfinishedRuns: 1, StuckRuns: 1}},
		{"a queue that has moved before", func(f *fixture) { f.launchedIn(location); f.planned() }, nil, Pulse{UnfinishedRuns: 1, StuckRuns: 1}},
		{"an execution that was planned a moment ago", func(f *fixture) { f.run(1) }, func(f *fixture) { f.pack() }, Pulse{UnfinishedRuns: 1}},
		{"launching is blocked", func(f *fixture) { f.planned(); f.must(f.BlockLaunch(f.t.Context(), "restored")) }, nil, Pulse{UnfinishedRuns: 1, LaunchBlocked: true}},
		{"a limit of the workflow that is reached", func(f *fixture) { f.underLimit(1, false) }, nil, Pulse{UnfinishedRuns: 2}},
		{"a limit of the workflow with room", func(f *fixture) { f.underLimit(2, false) }, nil, Pulse{UnfinishedRuns: 2, StuckRuns: 1}},
		{"a limit of the step that is reached", func(f *fixture) { f.underLimit(1, true) }, nil, Pulse{UnfinishedRuns: 1}},
		{"a limit of the step with room", func(f *fixture) { f.underLimit(2, true) }, nil, Pulse{UnfinishedRuns: 1, StuckRuns: 1}},
		{"two of one run and one of another", func(f *fixture) { f.run(2); f.pack(); f.claimPlanned(1, time.Minute); f.ready() }, nil, Pulse{UnfinishedRuns: 2, StuckRuns: 2, UnknownLaunches: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			c.setUp(f)
			if p := f.pulse(); p.StuckRuns != 0 || p.UnknownLaunches != 0 {
				t.Errorf("at once: %+v", p)
			}
			f.later(hour / 2)
			if c.then != nil {
				c.then(f)
			}
			f.later(hour/2 - 30*time.Second)
			if p := f.pulse(); p.StuckRuns != 0 || p.UnknownLaunches != c.want.UnknownLaunches {
				t.Errorf("just before the hour: %+v", p)
			}
			f.later(time.Minute)
			if p := f.pulse(); p != c.want {
				t.Errorf("after an hour: %+v, want %+v", p, c.want)
			}
		})
	}
}

// plan is as much of EXPLAIN's answer as the test looks at.
type plan struct {
	Type     string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Hit      int    `json:"Shared Hit Blocks"`
	Read     int    `json:"Shared Read Blocks"`
	Plans    []plan
}

func (p plan) all() []plan {
	list := []plan{p}
	for _, below := range p.Plans {
		list = append(list, below.all()...)
	}
	return list
}

func TestThePulseReadsNothingOfWhatHasEnded(t *testing.T) {
	f := newFixture(t)
	f.exec(`INSERT INTO runs (id, workflow_id, number, version, status, mode, origin, scheduled_at, created_by, created_at, started_at, finished_at)
		SELECT gen_random_uuid(), id, n, 1, 'success', 'emulator', 'trigger', clock(), 'test', clock(), clock(), clock() FROM workflows, generate_series(1000, 1999) AS n`)
	f.exec(`INSERT INTO steps (run_id, step_no, name, status, job, task_count, expanded, started_at, finished_at)
		SELECT id, 0, 'main', 'success', 'projects/p/locations/l/jobs/j', 0, 0, clock(), clock() FROM runs WHERE number >= 1000`)
	f.exec(`INSERT INTO executions (id, workflow_id, run_id, step_no, job, location, status, outcome, indexes, task_count, not_before, cloud_run_execution_name, created_at, launched_at, started_at, finished_at)
		SELECT gen_random_uuid(), r.workflow_id, r.id, 0, 'projects/p/locations/l/jobs/j', 'projects/p/locations/l', 'finished', 'success',
		       int4multirange(int4range(i, i, '[]')), 1, clock(), 'projects/p/locations/l/jobs/j/executions/old-' || r.number || '-' || i, clock(), clock(), clock(), clock()
		FROM runs r, generate_series(0, 29) AS i WHERE r.number >= 1000`)
	f.launched(3)
	f.planned()
	f.ready()
	f.exec(`VACUUM ANALYZE`)
	f.later(2 * hour)
	if p := f.pulse(); p.StuckRuns != 3 {
		t.Fatalf("%+v", p)
	}
	var text string
	f.must(f.db.Pool.QueryRow(t.Context(), fmt.Sprintf("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) %s", pulseSQL), hour, time.Minute).Scan(&text))
	var answer []struct{ Plan plan }
	f.must(json.Unmarshal([]byte(text), &answer))
	for _, node := range answer[0].Plan.all() {
		if node.Type == "Seq Scan" && slices.Contains([]string{"runs", "steps", "executions", "tasks"}, node.Relation) {
			t.Errorf("it reads all of %s", node.Relation)
		}
	}
	const most = 150 // 30,000 executions are some 900 blocks
	if n := answer[0].Plan.Hit + answer[0].Plan.Read; n > most {
		t.Errorf("it reads %d blocks\n%s", n, text)
	}
	f.exec(`DELETE FROM runs WHERE number >= 1000`) // they have no tasks, which the rules of the data would tell
}
