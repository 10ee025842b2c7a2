package e2e_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"
)

// many is the size of the runs that are disturbed.
const many = 500

// distance is the time to Cloud Run and back again, halved: calls are in flight whenever a process dies.
const distance = 5 * time.Millisecond

// launched counts the executions that were sent, as far as the ledger knows.
const launched = `SELECT count(*) FROM executions WHERE cloud_run_execution_name IS NOT NULL`

// points are where a run is disturbed, as numbers of launched executions; the last leaves enough of the run for it to be in the middle.
func points(seed uint64, n int) []int {
	random := rand.New(rand.NewPCG(seed, seed))
	at := make([]int, n)
	for i := range at {
		at[i] = 10 + random.IntN(many*2/3)
	}
	slices.Sort(at)
	return at
}

// disturb calls f each time that so many executions are launched. The run must not be over by then.
func (w *world) disturb(ref string, at []int, f func(i int)) {
	w.t.Helper()
	for i, n := range at {
		eventually(w.t, "launches before a kill", func() (bool, string) {
			return query[int](w, launched) >= n, w.run(ref).Status
		})
		f(i)
		if sent := query[int](w, launched); sent >= many {
			w.t.Fatalf("kill %d at %d came after the last launch", i, n)
		}
	}
}

func TestARunSurvivesTheDeathOfTheFunctionsAndOfTheTicker(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Emulator)
	w.farAway()
	functions := w.serve()
	ticker := w.ticker()
	w.workflow("many", "instant", many)
	w.cli("trigger", "many").ok()
	w.disturb("many.1", points(1, 4), func(i int) {
		if i%2 == 1 {
			ticker.kill()
			ticker = w.ticker()
		}
		functions.kill()
		functions = w.serve()
	})
	w.succeeds("many.1")
}

func TestARunSurvivesTheDeathOfTheWholeOrchestrator(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Emulator)
	w.farAway()
	all := w.runAll()
	w.workflow("many", "instant", many)
	w.cli("trigger", "many").ok()
	w.disturb("many.1", points(2, 2), func(int) {
		all.kill()
		all = w.runAll()
	})
	w.succeeds("many.1")
}

// Three tickers in two processes: that of "run", one more for its functions, and one for functions that a second process serves. With one call
// at a time the launches take long enough for all of them to meet.
func TestTickersAtTheSameTimeStartNothingTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Emulator)
	w.farAway()
	w.env = w.with("ORCHESTRATOR_CONCURRENCY=1", "ORCHESTRATOR_TICK_BUDGET=2s")
	w.runAll()
	w.workflow("many", "instant", many)
	second := *w
	second.address = freeAddress(t)
	second.serve()
	tickers := []*process{w.ticker(), second.ticker()}
	w.cli("trigger", "many", "--wait").ok()
	w.succeeds("many.1")
	for _, ticker := range tickers {
		ticker.says(`tick: [1-9]\d* moved`)
		if ticker.stderr.String() != "" {
			t.Errorf("%s had trouble: %s", ticker, ticker.stderr.String())
		}
	}
}

// farAway puts a distance between the orchestrator and Cloud Run.
func (w *world) farAway() {
	w.env = w.with("CLOUD_RUN_EMULATOR_HOST=" + newWire(w.t, address(w.cloudRun), distance).address)
}

// succeeds waits for the end of a disturbed run, and demands that nothing was lost or done twice.
func (w *world) succeeds(ref string) {
	w.t.Helper()
	run := w.awaitRun(ref, "ends", final)
	if run.Status != "success" || run.Counts != (api.Counts{Success: many}) {
		w.t.Errorf("%s ended as %s with %+v: %s", ref, run.Status, run.Counts, run.Reason)
	}
	w.startedOnce(run, many)
	if n := query[int](w, `SELECT count(*) FROM orphans`); n != 0 {
		w.t.Errorf("%d executions belong to no row", n)
	}
	w.consistent()
	w.t.Logf("%s: %d executions, %d of them lost before they were sent", ref, run.Executions, query[int](w, `SELECT count(*) FROM executions WHERE outcome = 'lost'`))
}

// consistent demands what must be true of the data at any time.
func (w *world) consistent() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	st, err := store.Open(ctx, store.Options{URL: w.db.DSN})
	if err != nil {
		w.t.Fatal(err)
	}
	defer st.Close()
	broken, err := st.Invariants(ctx)
	if err != nil || len(broken) > 0 {
		w.t.Errorf("the data breaks its rules: %+v %v", broken, err)
	}
}
