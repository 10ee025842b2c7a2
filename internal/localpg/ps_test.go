package localpg

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// psField asks ps, which every Unix has, for one fact about a process.
func psField(field, pid string) (string, error) {
	out, err := exec.Command("ps", "-o", field+"=", "-p", pid).Output()
	return strings.TrimSpace(string(out)), err
}

// children are the processes that a process has started.
func children(t *testing.T, parent string) []string {
	t.Helper()
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		t.Fatalf("ps: %v", err)
	}
	var pids []string
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[1] == parent {
			pids = append(pids, fields[0])
		}
	}
	return pids
}

// killWatchers kills the two processes of a server's watcher.
func killWatchers(t *testing.T, dir string) {
	t.Helper()
	for _, pid := range watchers(t, dir) {
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitIdle waits until the watcher has seen that there is no user, and sleeps.
func awaitIdle(t *testing.T, dir string) {
	t.Helper()
	pids := watchers(t, dir)
	err := until(within(t), func() (bool, error) {
		for _, pid := range pids {
			for _, child := range children(t, pid) {
				if out, err := psField("comm", child); err == nil && strings.HasSuffix(out, "sleep") {
					return true, nil
				}
			}
		}
		return false, watched(runDir(dir))
	})
	if err != nil {
		t.Fatalf("the server did not linger: %v", err)
	}
}

// watchers are the shell that started the server and the one that reads the pipe.
func watchers(t *testing.T, dir string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	server, _, _ := strings.Cut(string(text), "\n")
	shell, err := psField("ppid", server)
	if err != nil {
		t.Fatal(err)
	}
	pids := []string{shell}
	for _, pid := range children(t, shell) {
		if pid != server {
			pids = append(pids, pid)
		}
	}
	return pids
}
