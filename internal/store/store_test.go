package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/testdb"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

const testJob = "projects/p/locations/l/jobs/j"

// fixture is a store with one workflow.
type fixture struct {
	*Store
	t  *testing.T
	db *testdb.DB
	wf uuid.UUID
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	db := testdb.New(t)
	s, err := Open(t.Context(), Options{URL: db.DSN})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	f := &fixture{Store: s, t: t, db: db, wf: uuid.Must(uuid.NewV7())}
	if _, _, err := f.Apply(t.Context(), Definition{ID: f.wf, Name: "w", Spec: []byte(`{}`), Digest: []byte("1"), Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		broken, err := f.Invariants(context.WithoutCancel(t.Context()))
		if err != nil || len(broken) > 0 {
			t.Errorf("invariants: %v %v", broken, err)
		}
	})
	return f
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// run makes a run of one step with so many tasks, all pending.
func (f *fixture) run(tasks int) uuid.UUID {
	f.t.Helper()
	id := f.runOf(NewStep{Name: "main", Job: testJob, TaskCount: tasks})
	now := f.now()
	_, err := f.Unblock(f.t.Context(), now, 10)
	f.must(err)
	_, err = f.StartRuns(f.t.Context(), now, 10)
	f.must(err)
	_, err = f.Expand(f.t.Context(), Expandable{RunID: id, TaskCount: tasks}, tasks, nil)
	f.must(err)
	return id
}

func (f *fixture) runOf(steps ...NewStep) uuid.UUID {
	f.t.Helper()
	id, _, err := f.CreateRun(f.t.Context(), NewRun{
		ID: uuid.Must(uuid.NewV7()), WorkflowID: f.wf, Workflow: "w", Version: 1, Mode: lifecycle.Emulator, Params: []byte(`{}`), Actor: "test", Steps: steps,
	})
	f.must(err)
	return id
}

func (f *fixture) now() time.Time {
	f.t.Helper()
	now, err := f.Now(f.t.Context())
	f.must(err)
	return now
}

func (f *fixture) pack() int {
	f.t.Helper()
	ids := make([]uuid.UUID, 1000)
	for i := range ids {
		ids[i] = uuid.Must(uuid.NewV7())
	}
	n, err := f.Pack(f.t.Context(), Packing{Now: f.now(), IDs: ids, Window: 1000})
	f.must(err)
	return n
}

func (f *fixture) claimPlanned(n int, length time.Duration) []ToSend {
	f.t.Helper()
	list, err := f.ClaimPlanned(f.t.Context(), LaunchClaim{Claim: uuid.Must(uuid.NewV7()), Length: length, Limit: n})
	f.must(err)
	return list
}

// launched makes a run whose tasks are all in launched executions.
func (f *fixture) launched(tasks int) []ToSend {
	f.t.Helper()
	f.run(tasks)
	f.pack()
	rows := f.claimPlanned(tasks, time.Minute)
	f.name(rows...)
	return rows
}

func (f *fixture) name(rows ...ToSend) []uuid.UUID {
	f.t.Helper()
	named := make([]Named, len(rows))
	for i, r := range rows {
		named[i] = Named{ID: r.ID, Send: r.Send, Name: nameOf(r.ID)}
	}
	done, err := f.RecordNamed(f.t.Context(), named, 0)
	f.must(err)
	return done
}

func nameOf(row uuid.UUID) string { return testJob + "/executions/j-" + row.String() }

func TestTwoClaimsAtOnceNeverShareARow(t *testing.T) {
	f := newFixture(t)
	f.run(200)
	f.pack()
	var mu sync.Mutex
	claimed := map[uuid.UUID]int{}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				rows, err := f.ClaimPlanned(t.Context(), LaunchClaim{Claim: uuid.Must(uuid.NewV7()), Length: time.Minute, Limit: 7})
				if err != nil {
					t.Error(err)
					return
				}
				if len(rows) == 0 {
					return
				}
				mu.Lock()
				for _, r := range rows {
					claimed[r.ID]++
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	for id, n := range claimed {
		if n != 1 {
			t.Errorf("row %s was claimed %d times", id, n)
		}
	}
	if len(claimed) != 200 {
		t.Errorf("%d rows were claimed, want 200", len(claimed))
	}
}

func TestCountersEqualTheirTasksUnderConcurrentWriters(t *testing.T) {
	f := newFixture(t)
	a, b := f.launched(60), f.launched(60)
	var group sync.WaitGroup
	for w := range 3 { // each takes some rows of both runs, in its own order
		group.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(w)))
			for {
				rows, err := f.ClaimDueLooks(t.Context(), Claim{Token: uuid.Must(uuid.NewV7()), Length: time.Minute, Limit: 9, Due: f.now()})
				if err != nil {
					t.Error(err)
					return
				}
				if len(rows) == 0 {
					return
				}
				random.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
				moves := make([]lifecycle.Move, len(rows))
				for i, x := range rows {
					moves[i] = endOf(x, random.IntN(3) > 0, f.now())
				}
				if _, err := f.RecordMoves(t.Context(), moves, nil); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	for _, rows := range [][]ToSend{a, b} {
		steps, err := f.Steps(t.Context(), rows[0].RunID)
		f.must(err)
		if c := steps[0].Counts; c.Success+c.Failed != 60 || c.Open() != 0 {
			t.Errorf("counters %+v", c)
		}
	}
}

// endOf ends an execution with success or a failed task.
func endOf(x lifecycle.Execution, ok bool, now time.Time) lifecycle.Move {
	m := lifecycle.Move{Row: x, Status: lifecycle.Finished, Outcome: lifecycle.OutcomeSuccess, FinishedAt: &now}
	v := lifecycle.Verdict{Indexes: x.Indexes[0], Status: lifecycle.Success, FinishedAt: &now}
	if !ok {
		m.Outcome = lifecycle.OutcomeFailed
		v.Status, v.Reason = lifecycle.Failed, lifecycle.ReasonExitCode
	}
	m.Tasks = []lifecycle.Verdict{v}
	return m
}

func TestAStaleClaimWritesNothing(t *testing.T) {
	f := newFixture(t)
	f.launched(1)
	first, err := f.ClaimDueLooks(t.Context(), Claim{Token: uuid.Must(uuid.NewV7()), Length: 0, Limit: 1, Due: f.now()})
	f.must(err)
	second, err := f.ClaimDueLooks(t.Context(), Claim{Token: uuid.Must(uuid.NewV7()), Length: time.Minute, Limit: 1, Due: f.now()})
	f.must(err)
	if len(first) != 1 || len(second) != 1 {
		t.Fatalf("claimed %d and %d rows", len(first), len(second))
	}
	done, err := f.RecordMoves(t.Context(), []lifecycle.Move{endOf(first[0], false, f.now())}, nil)
	f.must(err)
	if len(done) != 0 {
		t.Error("a move under a lost claim was written")
	}
	done, err = f.RecordMoves(t.Context(), []lifecycle.Move{endOf(second[0], true, f.now())}, nil)
	f.must(err)
	if len(done) != 1 {
		t.Error("a move under the present claim was not written")
	}
}

func TestANameIsRecordedAlsoWhenTheClaimWasLost(t *testing.T) {
	f := newFixture(t)
	f.run(1)
	f.pack()
	row := f.claimPlanned(1, 0)[0]
	taken, err := f.ClaimUnknown(t.Context(), Claim{Token: uuid.Must(uuid.NewV7()), Length: time.Minute, Limit: 10, Due: f.now()})
	f.must(err)
	if len(taken) != 1 {
		t.Fatalf("%d rows are unknown", len(taken))
	}
	if done := f.name(row); len(done) != 1 {
		t.Error("the name was dropped")
	}
	rows, err := f.Rows(t.Context(), []uuid.UUID{row.ID})
	f.must(err)
	if r := rows[row.ID]; r.Status != lifecycle.Launched || r.Name != nameOf(row.ID) {
		t.Errorf("row %+v", r)
	}
}

func TestANameOfAnEarlierSendIsNotTakenForThePresentOne(t *testing.T) {
	f := newFixture(t)
	f.run(1)
	f.pack()
	row := f.claimPlanned(1, time.Minute)[0]
	f.must(f.GiveBack(t.Context(), []BackToPlanned{{ID: row.ID, Claim: row.Claim, Refused: true, Reason: lifecycle.ReasonQuota}}))
	again := f.claimPlanned(1, time.Minute)[0]
	if again.Send != row.Send+1 {
		t.Errorf("send %d after %d", again.Send, row.Send)
	}
	if done := f.name(row); len(done) != 0 {
		t.Error("the name of an earlier send was recorded")
	}
}

func TestAFinalStatusIsRefusedByTheSchema(t *testing.T) {
	f := newFixture(t)
	f.launched(1)
	rows, err := f.ClaimDueLooks(t.Context(), Claim{Token: uuid.Must(uuid.NewV7()), Length: time.Minute, Limit: 1, Due: f.now()})
	f.must(err)
	_, err = f.RecordMoves(t.Context(), []lifecycle.Move{endOf(rows[0], true, f.now())}, nil)
	f.must(err)
	_, err = f.FinishSteps(t.Context(), f.now(), 10)
	f.must(err)
	_, err = f.FinishRuns(t.Context(), f.now(), 10)
	f.must(err)
	try := func(sql string) {
		t.Helper()
		if _, err := f.db.Pool.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "is final") {
			t.Errorf("%s: %v", sql, err)
		}
	}
	for table, kind := range map[string]lifecycle.Kind{
		"runs": lifecycle.KindRun, "steps": lifecycle.KindStep, "tasks": lifecycle.KindTask, "executions": lifecycle.KindExecution,
	} {
		for _, status := range lifecycle.Statuses(kind) {
			if status != lifecycle.Success && status != lifecycle.Finished { // what they are now
				try(fmt.Sprintf(`UPDATE %s SET status = '%s'`, table, status))
				try(fmt.Sprintf(`UPDATE %s SET status = '%s', finished_at = NULL`, table, status))
			}
		}
		try(fmt.Sprintf(`UPDATE %s SET finished_at = finished_at + interval '1 second'`, table))
		try(fmt.Sprintf(`UPDATE %s SET finished_at = NULL`, table))
	}
	for _, outcome := range []lifecycle.Outcome{lifecycle.OutcomeFailed, lifecycle.OutcomeCancelled, lifecycle.OutcomeLost, lifecycle.OutcomeRejected} {
		try(fmt.Sprintf(`UPDATE executions SET outcome = '%s'`, outcome))
	}
}

func TestALimitOfExecutionsHoldsUnderConcurrentClaims(t *testing.T) {
	f := newFixture(t)
	run := f.runOf(NewStep{Name: "main", Job: testJob, TaskCount: 50, MaxExecutions: 3})
	_, err := f.Unblock(t.Context(), f.now(), 10)
	f.must(err)
	_, err = f.Expand(t.Context(), Expandable{RunID: run, TaskCount: 50}, 50, nil)
	f.must(err)
	if n := f.pack(); n != 3 {
		t.Errorf("%d tasks were packed, want as many as may be launched", n)
	}
	var mu sync.Mutex
	total := 0
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			rows, err := f.ClaimLimited(t.Context(), LaunchClaim{Claim: uuid.Must(uuid.NewV7()), Length: time.Minute, Limit: 16, Workflow: f.wf})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			total += len(rows)
			mu.Unlock()
		})
	}
	group.Wait()
	if total != 3 {
		t.Errorf("%d rows were claimed, want 3", total)
	}
	if n := f.pack(); n != 0 {
		t.Errorf("%d more tasks were packed while 3 are live", n)
	}
}

func TestAnIdempotencyKeyMakesOneRun(t *testing.T) {
	f := newFixture(t)
	create := func(body string) (uuid.UUID, bool, error) {
		return f.CreateRun(t.Context(), NewRun{
			ID: uuid.Must(uuid.NewV7()), WorkflowID: f.wf, Workflow: "w", Version: 1, Mode: lifecycle.Emulator, Params: []byte(`{}`), Actor: "test",
			Steps: []NewStep{{Name: "main", Job: testJob, TaskCount: 1}}, Key: "k", Digest: []byte(body),
		})
	}
	var mu sync.Mutex
	ids := map[uuid.UUID]int{}
	made := 0
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			id, replayed, err := create("same")
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			ids[id]++
			if !replayed {
				made++
			}
		})
	}
	group.Wait()
	if len(ids) != 1 || made != 1 {
		t.Errorf("%d runs, %d of them new", len(ids), made)
	}
	if _, _, err := create("other"); !errors.Is(err, lifecycle.ErrConflict) {
		t.Errorf("another body gives %v", err)
	}
}

func TestMultirangesSurviveTheDatabase(t *testing.T) {
	f := newFixture(t)
	for _, text := range []string{"0", "0-4", "0-4,7", "3,5,7-9,100-200"} {
		want, err := lifecycle.ParseRanges(text)
		f.must(err)
		var back string
		f.must(f.db.Pool.QueryRow(t.Context(), `SELECT $1::int4multirange::text`, multirange(want)).Scan(&back))
		got, err := parseMultirange(back)
		f.must(err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestOneBadNameDoesNotTakeTheOthersWithIt(t *testing.T) {
	f := newFixture(t)
	f.run(3)
	f.pack()
	rows := f.claimPlanned(3, time.Minute)
	taken := nameOf(rows[0].ID)
	f.name(rows[0])
	done, err := f.RecordNamed(t.Context(), []Named{
		{ID: rows[1].ID, Send: 1, Name: taken}, // Cloud Run never gives a name twice; should it, the other rows go on
		{ID: rows[2].ID, Send: 1, Name: nameOf(rows[2].ID)},
	}, 0)
	if err == nil || len(done) != 1 || done[0] != rows[2].ID {
		t.Errorf("recorded %v, error %v", done, err)
	}
}

func TestAStoppedStepNeverTakesTasksBack(t *testing.T) {
	f := newFixture(t)
	rows := f.launched(2)
	_, err := f.StopRun(t.Context(), rows[0].RunID, lifecycle.Cancelled, "enough", "test")
	f.must(err)
	looks, err := f.ClaimDueLooks(t.Context(), Claim{Token: uuid.Must(uuid.NewV7()), Length: time.Minute, Limit: 2, Due: f.now()})
	f.must(err)
	now := f.now()
	var moves []lifecycle.Move
	for _, x := range looks {
		moves = append(moves, lifecycle.Move{Row: x, Status: lifecycle.Finished, Outcome: lifecycle.OutcomeFailed, FinishedAt: &now,
			Tasks: []lifecycle.Verdict{{Indexes: x.Indexes[0], Status: lifecycle.Pending, Reason: "platform", DueAt: &now}}})
	}
	_, err = f.RecordMoves(t.Context(), moves, nil)
	f.must(err)
	steps, err := f.Steps(t.Context(), rows[0].RunID)
	f.must(err)
	if diff := cmp.Diff(lifecycle.Counts{Cancelled: 2}, steps[0].Counts); diff != "" {
		t.Error(diff)
	}
}

func TestAStopThatComesTooLateChangesNothingAndIsAnEvent(t *testing.T) {
	f := newFixture(t)
	run := f.run(1)
	_, err := f.db.Pool.Exec(t.Context(), `UPDATE tasks SET status = 'dispatched', execution_id = gen_random_uuid(), due_at = NULL`)
	f.must(err)
	_, err = f.db.Pool.Exec(t.Context(), `UPDATE tasks SET status = 'success', finished_at = now()`)
	f.must(err)
	_, err = f.FinishSteps(t.Context(), f.now(), 10)
	f.must(err)
	_, err = f.FinishRuns(t.Context(), f.now(), 10)
	f.must(err)
	tooLate, err := f.StopRun(t.Context(), run, lifecycle.Cancelled, "enough", "test")
	f.must(err)
	r, err := f.Run(t.Context(), run)
	f.must(err)
	if !tooLate || r.Status != lifecycle.Success || r.Stop.Requested() {
		t.Errorf("too late %v, run %+v", tooLate, r)
	}
	events, err := f.Events(t.Context(), &run, 1<<62, 1)
	f.must(err)
	if events[0].Kind != "stop_too_late" {
		t.Errorf("the newest event is %+v", events[0])
	}
}

func TestCleanMakesTextStorable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain": "plain", "a\x00b": "ab", "\xff\xfe": "\uFFFD", "ääää": "ää",
	} {
		if got := Clean(in, 5); got != want {
			t.Errorf("Clean(%q) is %q, want %q", in, got, want)
		}
	}
}
