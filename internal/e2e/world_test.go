package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/testdb"

	"github.com/google/go-cmp/cmp"
)

// world is one installation and the processes around it.
type world struct {
	t        *testing.T
	db       *testdb.DB
	env      []string // of every process
	cloudRun string   // the emulator's host:port
	url      string   // of the functions, once some are served
	address  string   // host:port of url
}

// windows make a crash a matter of seconds.
var windows = []string{"ORCHESTRATOR_CALL_DEADLINE=1s", "ORCHESTRATOR_CLAIM=2s", "ORCHESTRATOR_SETTLE_WINDOW=4s"}

// jobs are the emulator's.
const jobs = `
jobs:
  instant: {command: ["true"], max_retries: 0}
  failing: {command: [sh, -c, "exit 1"], max_retries: 0}
  slow: {command: [sleep, "600"], max_retries: 0}
  hardened: {command: ["true"], max_retries: 0, denied: [run.jobs.runWithOverrides]}
`

// newWorld makes an installation of this mode. In emulator mode an emulator is started, too.
func newWorld(t *testing.T, mode lifecycle.Mode) *world {
	t.Helper()
	w := &world{t: t, db: testdb.New(t, testdb.Mode(mode)), address: freeAddress(t)}
	w.env = append([]string{"DATABASE_URL=" + w.db.DSN, "ORCHESTRATOR_MODE=" + string(mode)}, windows...)
	if mode == lifecycle.Emulator {
		w.cloudRun = startEmulator(t)
		w.env = append(w.env, "CLOUD_RUN_EMULATOR_HOST="+w.cloudRun)
	}
	return w
}

// startEmulator has no quotas: hundreds of tasks, each an execution of its own, would wait minutes for 180 a minute.
func startEmulator(t *testing.T) (host string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "jobs.yaml")
	if err := os.WriteFile(file, []byte(jobs), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, orchestrator, nil, "emulator", "--jobs", file, "--listen", "127.0.0.1:0", "--limits", "off").says(`listens on (\S+)`)
}

// with is the environment with further settings; the last of one name counts.
func (w *world) with(more ...string) []string {
	return append(append([]string{}, w.env...), more...)
}

// serve starts the functions, all in one process, and waits until they answer. They do not tick.
func (w *world) serve(more ...string) *process {
	w.t.Helper()
	w.url = "http://" + w.address
	p := start(w.t, server, w.with(append([]string{"ORCHESTRATOR_LISTEN=" + w.address}, more...)...))
	w.awaitAnswer(p)
	return p
}

// runAll starts the whole orchestrator in one process and waits until it answers.
func (w *world) runAll(args ...string) *process {
	w.t.Helper()
	w.url = "http://" + w.address
	p := start(w.t, orchestrator, w.env, append([]string{"run", "--every", "1s", "--listen", w.address}, args...)...)
	w.awaitAnswer(p)
	return p
}

func (w *world) awaitAnswer(p *process) {
	w.t.Helper()
	eventually(w.t, p.String()+" answers", func() (bool, string) {
		if p.over() {
			w.t.Fatalf("%s ended (%v): %s", p, p.cmd.ProcessState, p.stderr.String())
		}
		res, err := http.Get(w.url + "/status/")
		if err != nil {
			return false, err.Error()
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK, res.Status
	})
}

// ticker starts a ticker for the functions.
func (w *world) ticker() *process {
	w.t.Helper()
	return start(w.t, orchestrator, []string{"ORCHESTRATOR_URL=" + w.url}, "tick", "--every", "1s")
}

// cli runs a command against the functions, or in its own process where none are served.
func (w *world) cli(args ...string) outcome {
	w.t.Helper()
	return w.command(args...).wait()
}

// command starts such a command.
func (w *world) command(args ...string) *process {
	w.t.Helper()
	if w.url == "" {
		return start(w.t, apart, w.env, args...)
	}
	return start(w.t, orchestrator, []string{"ORCHESTRATOR_URL=" + w.url}, args...)
}

// workflow creates a workflow.
func (w *world) workflow(name, job string, tasks int) {
	w.t.Helper()
	w.cli("create-workflow", "--name", name, "--job-name", job, "--task-count", fmt.Sprint(tasks)).ok()
}

// run reads a run. A server that does not answer is asked again.
func (w *world) run(ref string) api.Run {
	w.t.Helper()
	client, err := api.NewClient(api.Options{URL: w.url})
	if err != nil {
		w.t.Fatal(err)
	}
	var got api.Run
	eventually(w.t, "the status of "+ref, func() (bool, string) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		got, err = client.Run(ctx, ref)
		return err == nil, fmt.Sprint(err)
	})
	return got
}

// awaitRun waits until a run is as it should be.
func (w *world) awaitRun(ref, what string, is func(api.Run) bool) api.Run {
	w.t.Helper()
	var got api.Run
	eventually(w.t, "run "+ref+" "+what, func() (bool, string) {
		got = w.run(ref)
		return is(got), fmt.Sprintf("%s %+v, waiting for %q", got.Status, got.Counts, got.Waiting)
	})
	return got
}

func final(r api.Run) bool { return r.FinishedAt != nil }

// started is what the emulator has started: how often each task, as RUN/STEP/INDEX.
func (w *world) started() map[string]int {
	w.t.Helper()
	var record struct{ Started []emulator.Started }
	body := get(w.t, "http://"+w.cloudRun+"/_emulator/started", http.StatusOK)
	if err := json.Unmarshal([]byte(body), &record); err != nil {
		w.t.Fatal(err)
	}
	times := map[string]int{}
	for _, s := range record.Started {
		times[s.Env["ORCHESTRATOR_RUN_ID"]+"/"+s.Env["ORCHESTRATOR_STEP"]+"/"+s.Env["ORCHESTRATOR_TASK_INDEX"]]++
	}
	return times
}

// startedOnce demands that the emulator has started each task of the run exactly once, and nothing else.
func (w *world) startedOnce(run api.Run, tasks int) {
	w.t.Helper()
	times := w.started()
	for i := range tasks {
		task := fmt.Sprintf("%s/main/%d", run.ID, i)
		if times[task] != 1 {
			w.t.Errorf("task %s was started %d times", task, times[task])
		}
		delete(times, task)
	}
	for task, n := range times {
		w.t.Errorf("%q is no task of the run, and was started %d times", task, n)
	}
}

// get reads an address and demands its status.
func get(t *testing.T, url string, status int) (body string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status {
		t.Fatalf("GET %s: %s %s (%v)", url, res.Status, text, err)
	}
	return string(text)
}

// Ports are given out one after the other, so that two tests never get the same; where to begin is chosen by chance, for other processes give out some, too.
var (
	firstPort = rand.IntN(20000)
	nextPort  atomic.Int64
)

// freeAddress is a loopback address that nobody listens on. It lies below the ports that systems give out, so that it is still free when a
// process listens there again after a restart.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 12000+(firstPort+int(nextPort.Add(1)))%20000)
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("there is no free port")
	return ""
}

const tablesSQL = `
SELECT tablename::text
FROM pg_tables
WHERE schemaname = 'public'
ORDER BY 1`

// dump is everything in the database, but for the time of the last tick.
func (w *world) dump() string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	rows, err := w.db.Pool.Query(ctx, tablesSQL)
	if err != nil {
		w.t.Fatal(err)
	}
	var tables []string
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			w.t.Fatal(err)
		}
		tables = append(tables, table)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	var all strings.Builder
	for _, table := range tables {
		var text string
		sql := fmt.Sprintf(`SELECT coalesce(jsonb_pretty(jsonb_agg(to_jsonb(x) - 'last_tick_at' ORDER BY to_jsonb(x)::text)), '') FROM %q x`, table)
		if err := w.db.Pool.QueryRow(ctx, sql).Scan(&text); err != nil {
			w.t.Fatalf("dump %s: %v", table, err)
		}
		fmt.Fprintf(&all, "%s: %s\n", table, text)
	}
	return all.String()
}

// unchanged demands that the database is as it was.
func (w *world) unchanged(before string) {
	w.t.Helper()
	if diff := cmp.Diff(before, w.dump()); diff != "" {
		w.t.Errorf("the database was changed:\n%s", diff)
	}
}

// query asks the database for one value.
func query[T any](w *world, sql string, args ...any) (value T) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.db.Pool.QueryRow(ctx, sql, args...).Scan(&value); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return value
}

// exec changes the database behind the orchestrator's back.
func (w *world) exec(sql string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := w.db.Pool.Exec(ctx, sql); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}
