package e2e_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// demoFolder is a folder with what the demonstration needs of the repository.
func demoFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for to, from := range map[string]string{
		"local/examples/jobs.yaml":   filepath.Join(moduleRoot(), "local/examples/jobs.yaml"),
		"local/examples/primes.yaml": filepath.Join(moduleRoot(), "local/examples/primes.yaml"),
		"bin/primes":                 program(t, primes),
	} {
		path := filepath.Join(dir, to)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(from, path); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// startDemo starts the demonstration and waits until it works. It gives the folder of its PostgreSQL.
func startDemo(t *testing.T) (p *process, database string) {
	t.Helper()
	cmd := exec.Command(program(t, orchestrator), "demo")
	cmd.Dir = demoFolder(t)
	p = startCommand(t, cmd, []string{"TMPDIR=" + t.TempDir()})
	p.says("run primes.1 started")
	data := regexp.MustCompile(`-D (\S+)/data`).FindStringSubmatch(processes(t, func(_, parent int, _ string) bool { return parent == cmd.Process.Pid }))
	if data == nil {
		t.Fatal("the demo has no PostgreSQL")
	}
	t.Cleanup(func() { _ = os.RemoveAll(data[1]) })
	return p, data[1]
}

// processes are the command lines of those processes of this machine that are meant.
func processes(t *testing.T, meant func(pid, parent int, args string) bool) string {
	t.Helper()
	out, err := exec.Command("ps", "-A", "-ww", "-o", "pid=,ppid=,args=").Output()
	if err != nil {
		t.Fatalf("ps: %v", err)
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		pid, pidErr := strconv.Atoi(fields[0])
		parent, parentErr := strconv.Atoi(fields[1])
		if pidErr != nil || parentErr != nil {
			t.Fatalf("ps says %q", line)
		}
		if args := strings.Join(fields[2:], " "); meant(pid, parent, args) {
			lines = append(lines, args)
		}
	}
	return strings.Join(lines, "\n")
}

// hold takes an address for the test. One that somebody else has is just as well.
func hold(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Logf("%s is taken already: %v", address, err)
		return
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
}

func TestTheDemoWorksWhereTheUsualPortsAreTaken(t *testing.T) {
	t.Parallel()
	hold(t, "127.0.0.1:8080")
	hold(t, "127.0.0.1:5432")
	p, database := startDemo(t)
	o := p.wait().ok().shows("run primes.1  success", "200 tasks, 200 executions, 0 retries", "50,847,534   (published: 50,847,534)  equal")
	checkWords(t, o.stdout+o.stderr)
	if _, err := os.Stat(database); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left behind: %v", database, err)
	}
}

func TestAKilledDemoLeavesNoProcessBehind(t *testing.T) {
	t.Parallel()
	p, database := startDemo(t)
	pid := postmaster(t, database)
	p.kill()
	awaitGone(t, "PostgreSQL after the death of the demo", pid)
	eventually(t, "the end of everything that a killed demo has started", func() (bool, string) {
		left := processes(t, func(_, _ int, args string) bool {
			return strings.Contains(args, p.cmd.Dir) || strings.Contains(args, database)
		})
		return left == "", left
	})
}
