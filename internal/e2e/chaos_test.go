package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/localpg"
	"cloud-run-orchestrator/internal/workflow"
	"cloud-run-orchestrator/migrations"

	"github.com/jackc/pgx/v5/pgxpool"
)

// make chaos sets these.
var (
	chaosDuration = flag.Duration("chaos.duration", 4*time.Second, "how long everything is disturbed")
	chaosSeed     = flag.Uint64("chaos.seed", 1, "chooses what is disturbed")
	chaosReport   = flag.String("chaos.report", "", "file for the report, JSON")
)

// The windows of the processes under chaos.
const (
	chaosCall   = 1200 * time.Millisecond
	chaosClaim  = 2500 * time.Millisecond
	chaosSettle = 6 * time.Second
	chaosLag    = 2 * time.Second // the longest that the script hides an accepted execution
	chaosTick   = time.Second     // between the ends of ticks and the beginnings of the next, at most
)

// TestChaos lets several orchestrators work on hundreds of runs while PostgreSQL is stopped and started, connections are cut, processes are killed and
// frozen, and Cloud Run goes wrong in every way that its script knows. Afterwards everything must have come to its true end, and nothing twice.
func TestChaos(t *testing.T) {
	t.Parallel()
	c := newChaos(t)
	c.begin()
	limit := time.Now().Add(*chaosDuration)
	for time.Now().Before(limit) {
		c.sleep(min(time.Until(limit), 20*time.Second))
		c.measureRecovery()
	}
	c.calmDown()
	truth := c.compare()
	c.report(truth)
}

// chaos is one installation with several processes, and everything that befalls it.
type chaos struct {
	t       *testing.T
	dir     string // of PostgreSQL
	run     *emulator.Server
	script  *emulator.Faults
	quiet   atomic.Bool  // the script is silent
	offset  atomic.Int64 // of the clock of database and Cloud Run
	env     []string
	dsn     string
	victims []*victim

	forces sync.RWMutex // held for reading by whatever disturbs, for writing by whoever measures
	stop   context.CancelFunc
	ctx    context.Context
	all    sync.WaitGroup

	mu       sync.Mutex
	random   *rand.Rand
	postgres *localpg.Server
	db       *pgxpool.Pool
	runs     map[string]string // run by key
	stats    struct{ Kills, Freezes, LongFreezes, DatabaseStops, ConnectionsCut, Cancels int }
	recovery recovery
}

func newChaos(t *testing.T) *chaos {
	t.Helper()
	c := &chaos{t: t, random: rand.New(rand.NewPCG(*chaosSeed, *chaosSeed)), runs: map[string]string{}}
	var err error
	if c.dir, err = os.MkdirTemp(localpg.TestBase(), "orchestrator-chaos-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(c.dir) })
	c.startDatabase()
	if t.Failed() {
		t.FailNow()
	}
	t.Cleanup(c.endDatabase)
	c.dsn = c.postgres.DSN("orchestrator_emulator")
	if _, err := localpg.EnsureDatabase(t.Context(), c.dsn); err != nil {
		t.Fatal(err)
	}
	if _, err := migrations.Up(t.Context(), migrations.Target{DSN: c.dsn}, lifecycle.Emulator); err != nil {
		t.Fatal(err)
	}
	cfg, err := pgxpool.ParseConfig(c.dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = 6
	if c.db, err = pgxpool.NewWithConfig(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.db.Close)
	c.env = []string{
		"PATH=" + os.Getenv("PATH"), "DATABASE_URL=" + c.dsn, "ORCHESTRATOR_MODE=emulator", "CLOUD_RUN_EMULATOR_HOST=" + c.startCloudRun(),
		"ORCHESTRATOR_CALL_DEADLINE=" + chaosCall.String(), "ORCHESTRATOR_CLAIM=" + chaosClaim.String(), "ORCHESTRATOR_SETTLE_WINDOW=" + chaosSettle.String(),
		"ORCHESTRATOR_TICK_BUDGET=3s", "ORCHESTRATOR_HISTORY_KEPT=350", "ORCHESTRATOR_PROJECT=p", "LOG_LEVEL=error",
	}
	return c
}

// startCloudRun serves jobs that take moments: ok succeeds, odd fails with every other task, slow takes seconds.
func (c *chaos) startCloudRun() (host string) {
	c.t.Helper()
	text, err := os.ReadFile("testdata/chaos.yaml")
	if err != nil {
		c.t.Fatal(err)
	}
	if c.script, err = emulator.ParseFaults("chaos.yaml", text); err != nil {
		c.t.Fatal(err)
	}
	take := func(least, most time.Duration, end func(emulator.Task) emulator.Result) func(context.Context, emulator.Task) emulator.Result {
		return func(ctx context.Context, task emulator.Task) emulator.Result {
			select {
			case <-time.After(least + rand.N(most-least)):
				return end(task)
			case <-ctx.Done():
				return emulator.Result{Signal: 15}
			}
		}
	}
	ok := func(emulator.Task) emulator.Result { return emulator.Result{} }
	odd := func(task emulator.Task) emulator.Result {
		if strings.HasSuffix(task.Env["ORCHESTRATOR_TASK_INDEX"], "1") {
			return emulator.Result{ExitCode: 7}
		}
		return emulator.Result{}
	}
	c.run, err = emulator.New(emulator.Options{
		Jobs: emulator.Jobs{
			"ok":    {Func: take(0, 500*time.Millisecond, ok)},
			"okay":  {Func: take(0, 2*time.Second, ok)},
			"odd":   {Func: take(0, time.Second, odd)},
			"slow":  {Func: take(5*time.Second, 10*time.Second, ok)},
			"sweet": {Func: take(0, 3*time.Second, ok)},
		},
		Grace: 10 * time.Millisecond, HistoryKept: c.script.Keep,
		Now: func() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) },
		Intercept: func(ctx context.Context, call emulator.Call) emulator.Fault {
			if c.quiet.Load() {
				return emulator.Fault{}
			}
			return c.script.Intercept(ctx, call)
		},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(c.run.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	go func() { _ = c.run.Serve(l) }()
	return l.Addr().String()
}

// chaosWorkflows are of one and several steps, with limits and with failures.
var chaosWorkflows = []string{
	"name: one\njob: {name: ok}\ntasks: {count: 1}\n",
	"name: ten\njob: {name: okay}\ntasks: {count: 10}\n",
	"name: lenient\njob: {name: odd}\ntasks: {count: 4}\ntolerate: 50%\n",
	"name: strict\njob: {name: odd}\ntasks: {count: 3}\n",
	"name: limited\njob: {name: sweet}\ntasks: {count: 6}\nmax_executions: 2\n",
	"name: lasting\njob: {name: slow}\ntasks: {count: 3}\n",
	`
name: chain
steps:
  first: {job: {name: ok}, tasks: {count: 3}}
  second: {needs: [first], job: {name: odd}, tasks: {count: 2}, tolerate: 1}
  third: {needs: [first, second], job: {name: sweet}, tasks: {count: 2}}
`,
}

// begin starts the processes, and everything that disturbs them.
func (c *chaos) begin() {
	c.t.Helper()
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.t.Cleanup(c.stop)
	for range 4 {
		v := &victim{c: c}
		if err := v.start(); err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(v.end)
		c.victims = append(c.victims, v)
	}
	for _, yaml := range chaosWorkflows {
		doc, err := workflow.Parse("chaos.yaml", []byte(yaml))
		if err != nil {
			c.t.Fatal(err)
		}
		if err := c.insist(func(ctx context.Context, client *api.Client) error {
			_, _, err := client.PutWorkflow(ctx, doc.Name(), doc.JSON(), false)
			return err
		}); err != nil {
			c.t.Fatal(err)
		}
	}
	for _, v := range c.victims {
		c.all.Go(v.tick)
	}
	c.again(300*time.Millisecond, 900*time.Millisecond, c.triggerOne)
	c.again(400*time.Millisecond, 1500*time.Millisecond, c.kill)
	c.again(2*time.Second, 6*time.Second, c.freeze)
	c.again(8*time.Second, 16*time.Second, c.stopDatabase)
	c.again(time.Second, 4*time.Second, c.cutConnections)
}

// again does something after random pauses until the chaos is over, and not while somebody measures.
func (c *chaos) again(least, most time.Duration, do func()) {
	c.all.Go(func() {
		for c.sleep(c.between(least, most)) {
			c.forces.RLock()
			if c.ctx.Err() == nil {
				do()
			}
			c.forces.RUnlock()
		}
	})
}

func (c *chaos) between(least, most time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return least + time.Duration(c.random.Int64N(int64(most-least)))
}

func (c *chaos) choose(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.IntN(n)
}

// sleep is false when the chaos is over.
func (c *chaos) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-c.ctx.Done():
		return false
	}
}

// insist asks one process after the other until one answers. What is asked for must bear repetition.
func (c *chaos) insist(ask func(context.Context, *api.Client) error) error {
	limit := time.Now().Add(2 * patience)
	for {
		v := c.victims[c.choose(len(c.victims))]
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := ask(ctx, v.client())
		cancel()
		var problem *api.Problem
		if err == nil || errors.As(err, &problem) && problem.Status < 500 || time.Now().After(limit) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// triggerOne starts a run under a key of its own, and sometimes cancels it soon.
func (c *chaos) triggerOne() {
	workflows := []string{"one", "ten", "lenient", "strict", "limited", "lasting", "chain"}
	name := workflows[c.choose(len(workflows))]
	key := fmt.Sprintf("%s-%d", name, time.Now().UnixNano())
	var run api.Run
	if err := c.insist(func(ctx context.Context, client *api.Client) (err error) {
		run, err = client.Trigger(ctx, name, api.TriggerRequest{}, key)
		return err
	}); err != nil {
		c.t.Errorf("trigger %s: %v", name, err)
		return
	}
	c.mu.Lock()
	c.runs[key] = run.ID
	c.mu.Unlock()
	if c.choose(12) == 0 {
		c.all.Go(func() { c.cancelSoon(run.Name) })
	}
}

func (c *chaos) cancelSoon(ref string) {
	c.sleep(c.between(0, 5*time.Second))
	err := c.insist(func(ctx context.Context, client *api.Client) error {
		_, err := client.Cancel(ctx, ref, api.CancelRequest{})
		return err
	})
	var problem *api.Problem
	if err != nil && !(errors.As(err, &problem) && problem.Status == 409) { // it may have ended
		c.t.Errorf("cancel %s: %v", ref, err)
	}
	c.count(&c.stats.Cancels)
}

func (c *chaos) count(n *int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
}

// report prints what happened, as JSON.
func (c *chaos) report(truth truth) {
	c.t.Helper()
	text, err := json.MarshalIndent(map[string]any{
		"duration_seconds": chaosDuration.Seconds(), "seed": *chaosSeed, "disturbed": c.stats, "cloud_run_faults": c.faults(),
		"result": truth, "recovery": c.recovery.summary(),
	}, "", "  ")
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Logf("%s", text)
	if *chaosReport != "" {
		if err := os.WriteFile(*chaosReport, append(text, '\n'), 0o600); err != nil {
			c.t.Error(err)
		}
	}
}
