package e2e_test

import (
	"syscall"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
)

// ways are the two ways in which a command reaches the functions.
var ways = []struct {
	name  string
	begin func(*world)
}{
	{"over HTTP", func(w *world) { w.runAll() }},
	{"in this process", func(*world) {}},
}

func TestTheExitCodeTellsHowAWaitedRunEnded(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, lifecycle.Emulator)
			way.begin(w)
			w.workflow("good", "instant", 2)
			w.workflow("bad", "failing", 2)
			w.workflow("long", "slow", 2)
			w.workflow("nowhere", "no-such-job", 2)

			w.cli("trigger", "good", "--wait").ends(0).shows("run good.1  success", "(emulator)")
			w.cli("trigger", "bad", "--wait").ends(10).shows("run bad.1  failed", "next: orchestrator tasks bad.1 --status failed")
			w.cli("tasks", "bad.1", "--status", "failed").ok().shows("exit code 1")
			w.cli("trigger", "nowhere", "--wait").ends(10).shows("run nowhere.1  failed", "no-such-job")
			w.cli("trigger", "long", "--wait", "--timeout", "2s").ends(12).tells("the timeout passed", "orchestrator status long.1")

			waiting := w.command("trigger", "long", "--wait")
			w.awaitStarted(4)
			w.cli("cancel", "long.2").ok().shows("long.2 is being stopped")
			waiting.wait().ends(11).shows("run long.2  cancelled")
			w.cli("cancel", "long.2").refused(4, "long.2")
			w.cli("status", "long.2").ok().shows("cancelled")

			w.cli("trigger", "goood").refused(3, `there is no workflow "goood"`, `did you mean "good"?`)
			w.cli("status", "good.7").refused(3, "good.7")
			w.cli("trigger").refused(2, "trigger needs the name of a workflow")
			w.cli("frobnicate").refused(2, `there is no command "frobnicate"`)
			w.cli("create-workflow", "--name", "good", "--job-name", "instant", "--task-count", "3").refused(4, `"good"`)
			if way.name == "over HTTP" {
				w.cli("status", "long.1").ok().shows("running")
			}
		})
	}
}

// awaitStarted waits until the emulator has started so many tasks of the job slow.
func (w *world) awaitStarted(n int) {
	w.t.Helper()
	const sql = `SELECT count(*) FROM tasks WHERE status = 'running'`
	eventually(w.t, "running tasks", func() (bool, string) { return query[int](w, sql) >= n, "" })
}

func TestCtrlCStopsTheWaitingAndNotTheRun(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, lifecycle.Emulator)
			way.begin(w)
			w.workflow("long", "slow", 1)
			waiting := w.command("trigger", "long", "--wait")
			w.awaitStarted(1)
			began := time.Now()
			waiting.signal(syscall.SIGINT)
			o := waiting.wait().ends(1).tells("interrupted", "run long.1", "orchestrator status long.1")
			checkWords(t, o.stderr)
			t.Logf("ended %v after Ctrl-C", time.Since(began).Round(time.Millisecond))
			w.cli("status", "long.1").ok().shows("running")
			w.cli("cancel", "long.1").ok()
			if w.url == "" {
				w.cli("tick").ok()
			}
			eventually(t, "the end of a cancelled run", func() (bool, string) {
				status := query[string](w, `SELECT status FROM runs`)
				return status == "cancelled", status
			})
		})
	}
}
