//go:build unix

package emulator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// basics are the only variables that a task inherits. Whatever else the emulator was started with, such as
// DATABASE_URL, is none of the task's business, as in a container.
var basics = [...]string{"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ"}

// runProcess runs an attempt as a process group of its own, and ends the group when ctx does or its first process has.
func (s *Server) runProcess(ctx context.Context, a attempt) Result {
	// The kernel ends a child with the thread that made it (see ownGroup), so that thread must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := openLog(a)
	if err != nil {
		return Result{Message: "The log cannot be written: " + err.Error()}
	}
	if out != nil {
		defer out.Close()
	}
	cmd := s.command(ctx, a)
	if out != nil {
		cmd.Stdout, cmd.Stderr = out, out
	}
	if err := cmd.Start(); err != nil {
		message := fmt.Sprintf("The command %s cannot be started: %v", a.x.job.Command[0], err)
		if out != nil {
			fmt.Fprintln(out, message)
		}
		return Result{Message: message}
	}
	// An emulator killed between the last line and the next leaves what its task has started in between.
	s.keeper.watch(cmd.Process.Pid)
	err = cmd.Wait()
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what the first process left behind
	s.keeper.forget(cmd.Process.Pid)
	return processResult(cmd.ProcessState, err)
}

// command is the process of an attempt, not yet started.
func (s *Server) command(ctx context.Context, a attempt) *exec.Cmd {
	j := a.x.job
	path := j.Command[0]
	if strings.ContainsRune(path, filepath.Separator) && !filepath.IsAbs(path) {
		path = filepath.Join(j.Dir, path)
	}
	cmd := exec.CommandContext(ctx, path, append(j.Command[1:len(j.Command):len(j.Command)], a.x.args...)...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = j.Dir, taskEnv(a), ownGroup()
	cmd.WaitDelay = s.grace
	cmd.Cancel = func() error {
		if errors.Is(context.Cause(ctx), errClosed) {
			return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	}
	return cmd
}

// taskEnv is the whole environment of an attempt. Later variables win.
func taskEnv(a attempt) []string {
	var env []string
	for _, name := range basics {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	for name, value := range a.x.env {
		env = append(env, name+"="+value)
	}
	return append(env,
		"CLOUD_RUN_JOB="+a.x.job.name,
		"CLOUD_RUN_EXECUTION="+a.x.short,
		"CLOUD_RUN_TASK_INDEX="+strconv.Itoa(a.index),
		"CLOUD_RUN_TASK_ATTEMPT="+strconv.Itoa(a.number),
		"CLOUD_RUN_TASK_COUNT="+strconv.Itoa(a.x.count))
}

// openLog makes the file for an attempt's output; it is nil where output is dropped.
func openLog(a attempt) (*os.File, error) {
	if a.x.logDir == "" {
		return nil, nil
	}
	if err := os.MkdirAll(a.x.logDir, 0o755); err != nil {
		return nil, err
	}
	return os.Create(logFile(a.x.logDir, a.index, a.number))
}

// processResult reads how a process ended.
func processResult(state *os.ProcessState, err error) Result {
	if state == nil {
		return Result{Message: "The end of the process is not known: " + err.Error()}
	}
	if status := state.Sys().(syscall.WaitStatus); status.Signaled() {
		return Result{Signal: int(status.Signal())}
	}
	return Result{ExitCode: state.ExitCode()}
}
