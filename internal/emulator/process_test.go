package emulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
)

func sh(script string) Job { return Job{Command: []string{"sh", "-c", script}} }

func TestHowAProcessEndsIsHowItsTaskEnds(t *testing.T) {
	t.Parallel()
	jobs := Jobs{
		"good":    sh("exit 0"),
		"bad":     sh("exit 7"),
		"killed":  sh("kill -KILL $$"),
		"missing": {Command: []string{"./no-such-program"}},
		"slow":    {Command: []string{"sh", "-c", "sleep 100"}, Timeout: 50 * time.Millisecond},
		"tough":   {Command: []string{"sh", "-c", "trap '' TERM; while :; do sleep 0.01; done"}, Timeout: 50 * time.Millisecond},
		"polite":  {Command: []string{"sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.01; done"}, Timeout: 200 * time.Millisecond},
	}
	s := newServer(t, Options{Jobs: jobs, Grace: 100 * time.Millisecond})
	c := inside(t, s)
	for name, want := range map[string]struct {
		ok           bool
		exit, signal int32
		code         codes.Code
		words        string
	}{
		"good":    {ok: true},
		"bad":     {exit: 7, code: codes.Unknown, words: "The container exited with an error."},
		"killed":  {signal: 9, code: codes.Unknown, words: "Container terminated on signal 9."},
		"missing": {code: codes.Unknown, words: "cannot be started"},
		"slow":    {signal: 15, code: codes.DeadlineExceeded, words: "The configured timeout was reached."},
		"tough":   {signal: 9, code: codes.DeadlineExceeded, words: "The configured timeout was reached."},
		"polite":  {exit: 3, code: codes.DeadlineExceeded, words: "The configured timeout was reached."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := c.end(t, c.run(t, name).GetName())
			if ok := x.GetSucceededCount() == 1; ok != want.ok || x.GetFailedCount() == 1 == want.ok {
				t.Errorf("counts: %v", x)
			}
			r := c.listTasks(t, x.GetName())[0].GetLastAttemptResult()
			if r.GetExitCode() != want.exit || r.GetTermSignal() != want.signal || codes.Code(r.GetStatus().GetCode()) != want.code {
				t.Errorf("result is %v", r)
			}
			if !strings.Contains(r.GetStatus().GetMessage(), want.words) {
				t.Errorf("words are %q, want %q", r.GetStatus().GetMessage(), want.words)
			}
		})
	}
}

func TestAProcessIsTriedAgainAfterAFailure(t *testing.T) {
	t.Parallel()
	job := sh(`test "$CLOUD_RUN_TASK_ATTEMPT" = 2`)
	job.MaxRetries = 3
	s := newServer(t, Options{Jobs: Jobs{"a": job}, LogDir: t.TempDir()})
	c := inside(t, s)
	x := c.end(t, c.run(t, "a").GetName())
	task := c.listTasks(t, x.GetName())[0]
	if x.GetSucceededCount() != 1 || x.GetRetriedCount() != 1 || task.GetRetried() != 2 {
		t.Errorf("succeeded %d, retried tasks %d, retries %d; want 1, 1, 2", x.GetSucceededCount(), x.GetRetriedCount(), task.GetRetried())
	}
	for attempt := range 3 {
		if _, err := os.Stat(logFile(strings.TrimPrefix(x.GetLogUri(), "file://"), 0, attempt)); err != nil {
			t.Error(err)
		}
	}
}

// Not parallel: it sets the environment of the test.
func TestATaskSeesCloudRunsEnvironmentAndNotOurs(t *testing.T) {
	t.Setenv("DATABASE_URL", "postgres://secret")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/secret")
	job := Job{Command: []string{"env"}, Env: map[string]string{"OWN": "job", "BOTH": "job"}}
	s := newServer(t, Options{Jobs: Jobs{"show": job}, LogDir: t.TempDir()})
	c := inside(t, s)
	x := c.end(t, c.run(t, "show", tasks(2), env("BOTH", "run", "LINES", "a\nb")).GetName())
	uri := c.listTasks(t, x.GetName())[1].GetLogUri()
	raw, err := os.ReadFile(strings.TrimPrefix(uri, "file://"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"BOTH=run", "CLOUD_RUN_EXECUTION=" + last(x.GetName()), "CLOUD_RUN_JOB=show", "CLOUD_RUN_TASK_ATTEMPT=0",
		"CLOUD_RUN_TASK_COUNT=2", "CLOUD_RUN_TASK_INDEX=1", "LINES=a", "OWN=job", "b"}
	var got []string
	for _, line := range strings.Split(strings.TrimSpace(string(raw)), "\n") {
		name, _, _ := strings.Cut(line, "=")
		if !slices.Contains(basics[:], name) {
			got = append(got, line)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestCommandAndFolderAreThoseOfTheJob(t *testing.T) {
	t.Parallel()
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	if err := os.WriteFile(filepath.Join(dir, "tool"), []byte("#!/bin/sh\necho \"$PWD $*\" > \"$OUT\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, Options{Jobs: Jobs{"tool": {Command: []string{"./tool", "first"}, Args: []string{"own"}, Dir: dir, Env: map[string]string{"OUT": out}}}})
	c := inside(t, s)
	x := c.end(t, c.run(t, "tool", func(r *runpb.RunJobRequest) { r.Overrides = with(&override{Args: []string{"a b", "c"}}) }).GetName())
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatalf("%v; %v", err, x)
	}
	real, err := filepath.EvalSymlinks(dir)
	if want := must(t, real, err) + " first a b c\n"; string(got) != want {
		t.Errorf("ran as %q, want %q", got, want)
	}
}

func TestCancelEndsTheWholeProcessGroup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newServer(t, Options{Jobs: Jobs{"deep": sh(`sleep 1000 & echo $! > "$DIR/$CLOUD_RUN_TASK_INDEX"; wait`)}, Parallelism: 2, Grace: time.Minute})
	c := inside(t, s)
	x := c.run(t, "deep", tasks(4), env("DIR", dir))
	pids := []int{readPID(t, filepath.Join(dir, "0")), readPID(t, filepath.Join(dir, "1"))}
	if err := c.cancel(t, x.GetName()); err != nil {
		t.Fatal(err)
	}
	x = c.end(t, x.GetName())
	if x.GetCancelledCount() != 4 || len(s.Started()) != 2 {
		t.Errorf("%d cancelled, %d started; want 4 and 2", x.GetCancelledCount(), len(s.Started()))
	}
	if r := c.listTasks(t, x.GetName())[0].GetLastAttemptResult(); r.GetTermSignal() != 15 {
		t.Errorf("result of a cancelled task: %v", r)
	}
	for _, pid := range pids {
		waitGone(t, pid)
	}
}

func TestNothingOutlivesTheFirstProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newServer(t, Options{Jobs: Jobs{"leave": sh(`sleep 1000 & echo $! > "$DIR/0"`)}})
	c := inside(t, s)
	if x := c.end(t, c.run(t, "leave", env("DIR", dir)).GetName()); x.GetSucceededCount() != 1 {
		t.Errorf("%v", x)
	}
	waitGone(t, readPID(t, filepath.Join(dir, "0")))
}

func TestCloseKillsAllTasks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newServer(t, Options{Jobs: Jobs{"tough": sh(`trap '' TERM; sleep 1000 & echo $! > "$DIR/0"; wait; wait`)}})
	c := inside(t, s)
	c.run(t, "tough", env("DIR", dir))
	pid := readPID(t, filepath.Join(dir, "0"))
	s.Close()
	waitGone(t, pid)
	waitGone(t, s.keeper.cmd.Process.Pid)
}

func TestAKilledEmulatorLeavesNoTask(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "EMULATOR_TEST_DIR="+dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	var pids []int
	waitFor(t, filepath.Join(dir, "ready"))
	for i := range 3 {
		pids = append(pids, readPID(t, filepath.Join(dir, fmt.Sprintf("child-%d", i))), readPID(t, filepath.Join(dir, fmt.Sprintf("grandchild-%d", i))))
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	for _, pid := range pids {
		waitGone(t, pid)
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// TestMain is also the main of the emulator that TestAKilledEmulatorLeavesNoTask kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("EMULATOR_TEST_DIR"); dir != "" {
		fmt.Fprintln(os.Stderr, runUntilKilled(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// runUntilKilled starts tasks with children of their own, and returns only when it cannot.
func runUntilKilled(dir string) error {
	s, err := New(Options{Jobs: Jobs{"deep": sh(`trap '' TERM; i=$CLOUD_RUN_TASK_INDEX; sleep 1000 & echo $! > "$DIR/grandchild-$i"; echo $$ > "$DIR/child-$i"; wait`)}})
	if err != nil {
		return err
	}
	req := &runpb.RunJobRequest{Name: somewhere + "/jobs/deep", Overrides: with(&override{Env: []*runpb.EnvVar{envVar("DIR", dir)}})}
	req.Overrides.TaskCount = 3
	known := &lineCount{to: s.keeper.in, left: 3, done: make(chan struct{})}
	s.keeper.in = known
	if _, err := s.RunJob(context.Background(), req); err != nil {
		return err
	}
	<-known.done // a group that the keeper has not heard of yet is beyond its help
	if err := os.WriteFile(filepath.Join(dir, "ready"), nil, 0o644); err != nil {
		return err
	}
	select {}
}

// lineCount closes done when so many lines have been written.
type lineCount struct {
	to   io.WriteCloser
	left int
	done chan struct{}
}

func (l *lineCount) Write(line []byte) (int, error) {
	n, err := l.to.Write(line)
	if l.left--; l.left == 0 {
		close(l.done)
	}
	return n, err
}

func (l *lineCount) Close() error { return l.to.Close() }

// waitFor waits until a file is there.
func waitFor(t *testing.T, path string) {
	t.Helper()
	for give := time.Now().Add(patience); time.Now().Before(give); time.Sleep(2 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
	t.Fatalf("%s never came", path)
}

// readPID waits for a file that holds a process id.
func readPID(t *testing.T, path string) int {
	t.Helper()
	for give := time.Now().Add(patience); time.Now().Before(give); time.Sleep(2 * time.Millisecond) {
		raw, err := os.ReadFile(path)
		if pid, bad := strconv.Atoi(strings.TrimSpace(string(raw))); err == nil && bad == nil && strings.HasSuffix(string(raw), "\n") {
			return pid
		}
	}
	t.Fatalf("%s never came", path)
	return 0
}

// waitGone waits until a process has ended. One that nobody has reaped yet has ended too.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	for give := time.Now().Add(patience); time.Now().Before(give); time.Sleep(2 * time.Millisecond) {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && bytes.Contains(stat, []byte(") Z ")) {
			return
		}
	}
	t.Errorf("process %d is still there", pid)
}

func TestATimeoutOfTheRunReplacesThatOfTheJob(t *testing.T) {
	t.Parallel()
	c := inside(t, newServer(t, Options{Jobs: Jobs{"slow": sh("sleep 1000")}}))
	x := c.run(t, "slow", func(r *runpb.RunJobRequest) { r.Overrides.Timeout = durationpb.New(20 * time.Millisecond) })
	task := c.listTasks(t, c.end(t, x.GetName()).GetName())[0]
	if task.GetTimeout().AsDuration() != 20*time.Millisecond || task.GetLastAttemptResult().GetStatus().GetCode() != int32(codes.DeadlineExceeded) {
		t.Errorf("%v", task)
	}
}
