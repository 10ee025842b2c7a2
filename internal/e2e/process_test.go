package e2e_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// eventually waits until a condition holds, and fails with its last state where it does not.
func eventually(t *testing.T, what string, holds func() (ok bool, state string)) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		ok, state := holds()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for: %s\nlast: %s", patience, what, state)
		}
	}
}

// output collects what a process says.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// process is one program at work.
type process struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr output
	ended          chan struct{}
}

// outcome is how a process ended.
type outcome struct {
	t              *testing.T
	args           []string
	code           int // -1 where a signal ended it
	stdout, stderr string
}

// start starts a program with these settings in its environment, and no others. It ends with the test at the latest.
func start(t *testing.T, name string, env []string, args ...string) *process {
	t.Helper()
	return startCommand(t, exec.Command(program(t, name), args...), env)
}

func startCommand(t *testing.T, cmd *exec.Cmd, env []string) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, ended: make(chan struct{})}
	if cmd.Dir == "" {
		cmd.Dir = t.TempDir()
	}
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir}, env...)
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
	cmd.WaitDelay = 5 * time.Second // a child of its own may keep the pipes open
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	endWithUs(cmd.SysProcAttr)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		byItself := p.over()
		p.kill()
		if t.Failed() && !byItself {
			t.Logf("%s\nstdout: %s\nstderr: %s", p, tail(p.stdout.String()), tail(p.stderr.String()))
		}
	})
	return p
}

// tail keeps a failed test readable.
func tail(text string) string {
	const most = 4000
	if len(text) > most {
		return "… " + text[len(text)-most:]
	}
	return text
}

func (p *process) String() string { return strings.Join(p.cmd.Args, " ") }

// over says whether the process has ended.
func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%v to %s: %v", s, p, err)
	}
}

// kill is SIGKILL, and returns when the process is gone. One that has ended stays so.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// wait waits for the process to end by itself.
func (p *process) wait() outcome {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("%s did not end in %v\nstdout: %s\nstderr: %s", p, patience, tail(p.stdout.String()), tail(p.stderr.String()))
	}
	return outcome{t: p.t, args: p.cmd.Args, code: p.cmd.ProcessState.ExitCode(), stdout: p.stdout.String(), stderr: p.stderr.String()}
}

// says waits until a process has said something, on either stream, and gives the pattern's first group.
func (p *process) says(pattern string) string {
	p.t.Helper()
	form := regexp.MustCompile(pattern)
	var found []string
	eventually(p.t, p.String()+" says "+pattern, func() (bool, string) {
		all := p.stdout.String() + "\n" + p.stderr.String()
		if found = form.FindStringSubmatch(all); found != nil {
			return true, ""
		}
		if p.over() {
			p.t.Fatalf("%s ended (%v) before it said %s\n%s", p, p.cmd.ProcessState, pattern, tail(all))
		}
		return false, tail(all)
	})
	return found[len(found)-1]
}

// run runs a program to its end.
func run(t *testing.T, name string, env []string, args ...string) outcome {
	t.Helper()
	return start(t, name, env, args...).wait()
}

// ok demands exit code 0.
func (o outcome) ok() outcome {
	o.t.Helper()
	return o.ends(0)
}

// ends demands an exit code.
func (o outcome) ends(code int) outcome {
	o.t.Helper()
	if o.code != code {
		o.t.Fatalf("%s: exit code %d, want %d\nstdout: %s\nstderr: %s", strings.Join(o.args, " "), o.code, code, tail(o.stdout), tail(o.stderr))
	}
	return o
}

// shows demands texts on the standard output.
func (o outcome) shows(texts ...string) outcome {
	o.t.Helper()
	for _, text := range texts {
		if !strings.Contains(o.stdout, text) {
			o.t.Errorf("%s does not show %q:\n%s%s", strings.Join(o.args, " "), text, o.stdout, o.stderr)
		}
	}
	return o
}

// tells demands texts on the standard error.
func (o outcome) tells(texts ...string) outcome {
	o.t.Helper()
	for _, text := range texts {
		if !strings.Contains(o.stderr, text) {
			o.t.Errorf("%s does not tell %q:\n%s", strings.Join(o.args, " "), text, o.stderr)
		}
	}
	return o
}

// alive says whether a process with this number exists, and has not ended waiting for its parent to look.
func alive(pid int) bool {
	if err := syscall.Kill(pid, 0); err != nil {
		return errors.Is(err, syscall.EPERM)
	}
	return true
}
