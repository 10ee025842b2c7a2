package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/api"
)

// endAfter lets the newest run go on for n polls and end then.
func endAfter(n int, status string) func(*api.Run) {
	return func(run *api.Run) {
		if run.Number < 13 {
			return
		}
		n--
		run.Status, run.StartedAt = "running", before(4*time.Second)
		run.Counts = api.Counts{Success: 2, Running: 1, Pending: 2}
		if n > 0 {
			return
		}
		run.Status, run.FinishedAt, run.Executions = status, before(-7*time.Second), 5
		run.Counts = api.Counts{Success: 5}
		if status == "failed" {
			run.Counts, run.Reason = api.Counts{Success: 4, Failed: 1}, "1 task failed, 0 are tolerated"
		}
	}
}

func TestWaitedRunIsToldAndDecidesTheExitCode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status string
		code   int
	}{{"success", exitOK}, {"failed", exitRunFailed}, {"cancelled", exitRunCancelled}}
	for _, tt := range tests {
		t.Run(tt.status, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.polled = endAfter(3, tt.status)
			tm := at(f.URL)
			args := []string{"trigger", "example-workflow", "--wait"}
			code := tm.run(t, args...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			golden(t, "wait_"+tt.status, tm.transcript(args, code, f.URL))
		})
	}
}

func TestWaitedRunInJSONIsOneDocument(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.polled = endAfter(2, "failed")
	tm := at(f.URL)
	code := tm.run(t, "trigger", "example-workflow", "--wait", "-o", "json")
	var run api.Run
	if err := json.Unmarshal([]byte(tm.out.String()), &run); err != nil || run.Status != "failed" || code != exitRunFailed {
		t.Errorf("exit code %d, %v: %s", code, err, tm.out.String())
	}
}

func TestTimeoutEndsTheWaitingNotTheRun(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	tm := at(f.URL)
	tm.Pause = pause
	code := tm.run(t, "trigger", "example-workflow", "--wait", "--timeout", "50ms")
	if code != exitTimeout || !strings.Contains(tm.err.String(), "run example-workflow.13 goes on\nlook at it: orchestrator status example-workflow.13\n") {
		t.Errorf("exit code %d: %s", code, tm.err.String())
	}
}

func TestWaitOutlivesAServerThatRestarts(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.polled = endAfter(2, "success")
	var polls atomic.Int32
	f.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, "/status/runs/") {
			return false
		}
		switch n := polls.Add(1); {
		case n == 2 || n == 3:
			panic(http.ErrAbortHandler)
		case n == 4:
			http.Error(w, "shutting down", http.StatusServiceUnavailable)
			return true
		}
		return false
	}
	tm := at(f.URL)
	args := []string{"trigger", "example-workflow", "--wait"}
	golden(t, "wait_reconnect", tm.transcript(args, tm.run(t, args...), f.URL))
}

func TestWaitGivesUpOnAServerThatStaysAway(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	tm := at(f.URL)
	code := tm.run(t, "trigger", "example-workflow", "--wait")
	if code != exitFailed || !strings.Contains(tm.err.String(), "error: the outcome of run example-workflow.13 is unknown: cannot reach the orchestrator") ||
		!strings.Contains(tm.err.String(), "look at it later: orchestrator status example-workflow.13") {
		t.Errorf("exit code %d: %s", code, tm.err.String())
	}
	if waited := tm.Now().Sub(noon()); waited < giveUpAfter || waited > 2*giveUpAfter {
		t.Errorf("gave up after %v", waited)
	}
}

// TestMain is the command itself where a test asks for a real process.
func TestMain(m *testing.M) {
	if args := os.Getenv("CLI_TEST_ARGS"); args != "" {
		os.Exit(Run(context.Background(), strings.Fields(args), Options{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}))
	}
	os.Exit(m.Run())
}

// process starts the command as a process of its own.
func process(t *testing.T, url string, args ...string) (*exec.Cmd, *lockedBuffer) {
	t.Helper()
	var out lockedBuffer
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "CLI_TEST_ARGS="+strings.Join(args, " "), urlVariable+"="+url)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &out
}

// eventually waits for a condition, which must come.
func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
	}
}

func TestCtrlCLeavesTheRunGoing(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	cmd, out := process(t, f.URL, "trigger", "example-workflow", "--wait")
	eventually(t, "a poll", func() bool { return f.count("GET /status/runs/") > 0 })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(out.String(), "run example-workflow.13 goes on\nlook at it: orchestrator status example-workflow.13\n") {
		t.Errorf("exit code %d: %s", cmd.ProcessState.ExitCode(), out.String())
	}
	if n := f.count("POST /trigger/runs/"); n != 0 {
		t.Errorf("%d cancels", n)
	}
}

func TestTickerEndsCleanlyWithSIGTERM(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	cmd, out := process(t, f.URL, "tick", "--every", "1s")
	eventually(t, "two ticks", func() bool { return f.count("POST /tick/") > 1 })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if cmd.ProcessState.ExitCode() != exitOK || strings.Contains(out.String(), "error") {
		t.Errorf("exit code %d: %s", cmd.ProcessState.ExitCode(), out.String())
	}
}
