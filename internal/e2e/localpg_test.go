package e2e_test

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"cloud-run-orchestrator/internal/localpg"
)

// home is a home folder for processes that keep a PostgreSQL in it. Where the tests run as root it belongs to a plain user, who the processes
// then are: root's own PostgreSQL has a fixed place on the machine, which is not for tests.
type home struct {
	dir        string
	credential *syscall.Credential // nil: the user that we are
}

func newHome(t *testing.T) home {
	t.Helper()
	dir, err := os.MkdirTemp(localpg.TestBase(), "e2e-home-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if os.Geteuid() != 0 {
		return home{dir: dir}
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, uidErr := strconv.ParseUint(nobody.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(nobody.Gid, 10, 32)
	if uidErr != nil || gidErr != nil {
		t.Fatal(uidErr, gidErr)
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		t.Fatal(err)
	}
	return home{dir, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{}}}
}

// start starts the command orchestrator in this home, with no database named.
func (h home) start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(program(t, apart), args...)
	cmd.Dir = h.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: h.credential}
	return startCommand(t, cmd, env)
}

// postmaster is the number of the server process that has its data in a folder.
func postmaster(t *testing.T, dir string) (pid int) {
	t.Helper()
	eventually(t, "a PostgreSQL in "+dir, func() (bool, string) {
		text, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
		if err != nil {
			return false, err.Error()
		}
		line, _, _ := strings.Cut(string(text), "\n")
		pid, err = strconv.Atoi(line)
		return err == nil && alive(pid), string(text)
	})
	return pid
}

func awaitGone(t *testing.T, what string, pid int) {
	t.Helper()
	eventually(t, "the end of "+what, func() (bool, string) { return !alive(pid), strconv.Itoa(pid) + " is alive" })
}

func TestTheOrchestratorBringsItsOwnPostgreSQLAndLeavesNoneBehind(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	listen := []string{"run", "--listen", "127.0.0.1:0", "--every", "1s"}
	first := h.start(t, nil, listen...)
	url := []string{"ORCHESTRATOR_URL=" + first.says(`functions +(http\S+)`)}
	run(t, orchestrator, url, "create-workflow", "--name", "kept", "--job-name", "any-job", "--task-count", "3").ok()
	run(t, orchestrator, url, "trigger", "kept", "--wait").ok().shows("kept.1  success")
	data := first.says(`data in (\S+)`)
	if !strings.HasPrefix(data, h.dir+"/") {
		t.Errorf("the data is in %s, outside the home %s", data, h.dir)
	}
	pid := postmaster(t, data)

	second := h.start(t, nil, listen...) // shares the server
	second.says(`functions +(http\S+)`)
	first.kill()
	if o := h.start(t, nil, "status", "kept.1").wait().ok(); !alive(pid) {
		t.Errorf("the server ended with one of its two users: %s", o.stdout)
	}
	second.kill()
	awaitGone(t, "PostgreSQL after the death of both", pid)

	h.start(t, nil, "status", "kept.1").wait().ok().shows("success") // the data is kept
	third := h.start(t, nil, listen...)
	third.says(`functions +(http\S+)`)
	pid = postmaster(t, data)
	third.signal(syscall.SIGTERM)
	third.wait().ok()
	awaitGone(t, "PostgreSQL after an end in order", pid)
}
