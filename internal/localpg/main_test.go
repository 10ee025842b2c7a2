package localpg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// userVar makes the test program a plain user of the server in the named folder, so that tests can have several processes, and kill them.
const userVar = "LOCALPG_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(userVar); dir != "" {
		if err := beUser(dir); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// beUser starts or joins the server, says so in a line, and uses it until its standard input ends.
func beUser(dir string) error {
	fmt.Println("begin")
	s, err := Start(context.Background(), Options{Dir: dir})
	if err != nil {
		return err
	}
	fmt.Println("ready", s.Version(), s.joined)
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return s.Stop()
}

// process is a process that uses a server.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.Closer
	lines *bufio.Scanner
}

// newProcess starts a process that uses the server in dir, as the user with this number, or as ourselves where it is 0.
func newProcess(t *testing.T, dir string, uid uint32) *process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	u := &process{t: t}
	if uid != 0 {
		program = copyProgram(t, program)
	}
	u.cmd = exec.Command(program)
	u.cmd.Env = append(os.Environ(), userVar+"="+dir)
	u.cmd.Stderr = os.Stderr
	if uid != 0 {
		u.cmd.Dir = "/"
		u.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid, Groups: []uint32{}}}
	}
	if u.stdin, err = u.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := u.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	u.lines = bufio.NewScanner(out)
	if err := u.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = u.cmd.Process.Kill()
		_ = u.cmd.Wait()
	})
	u.says("begin")
	return u
}

// says waits for the process's next line and checks how it begins.
func (u *process) says(prefix string) string {
	u.t.Helper()
	if !u.lines.Scan() || !strings.HasPrefix(u.lines.Text(), prefix) {
		u.t.Fatalf("the process says %q; want %q", u.lines.Text(), prefix)
	}
	return u.lines.Text()
}

func (u *process) kill() {
	_ = u.cmd.Process.Kill()
	_ = u.cmd.Wait()
}

// leave ends the process in order.
func (u *process) leave() {
	u.t.Helper()
	_ = u.stdin.Close()
	if err := u.cmd.Wait(); err != nil {
		u.t.Fatalf("the process ended with %v", err)
	}
}

// copyProgram puts the test program where every user can run it.
func copyProgram(t *testing.T, program string) string {
	t.Helper()
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder(t), "user.test")
	// A process that another test starts meanwhile would inherit the open file until it has become its program, and what is open for writing cannot be run.
	syscall.ForkLock.RLock()
	err = os.WriteFile(path, text, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// folder is a folder of the test that every user can enter, which t.TempDir is not.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(TestBase(), "localpg-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// mustStart starts a server and stops it at the end of the test.
func mustStart(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(within(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// within is a context that ends a hanging test.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// query asks a server for one text.
func query(t *testing.T, dsn, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(within(t), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(within(t)) }()
	var text string
	if err := conn.QueryRow(within(t), sql).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

// awaitGone waits until nothing of a server is left: no watcher, no socket, and no process that has the data.
func awaitGone(t *testing.T, dir string) {
	t.Helper()
	run := runDir(dir)
	err := until(within(t), func() (bool, error) {
		_, socketErr := os.Stat(filepath.Join(run, ".s.PGSQL.5432"))
		_, pidErr := os.Stat(filepath.Join(dir, "data", "postmaster.pid"))
		gone := errors.Is(watched(run), errNobodyWatches) && errors.Is(socketErr, os.ErrNotExist) && errors.Is(pidErr, os.ErrNotExist)
		return gone, nil
	})
	if err != nil {
		t.Fatalf("the server in %s is still there: %v", dir, err)
	}
}
