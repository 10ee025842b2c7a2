package localpg

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// socketPort is in the name of the Unix socket; nothing listens on the network.
const socketPort = 5432

// watcher is the shell script that runs the server and watches its users.
//
//go:embed watcher.sh
var watcher []byte

const watcherName = "watcher.sh"

// launch makes the data where it is missing and starts the server with its watcher. The caller holds the lock and has found no watcher.
func (s *Server) launch(ctx context.Context, o Options, who owner) error {
	if err := s.endForgotten(ctx); err != nil {
		return err
	}
	if o.Temporary {
		if err := os.RemoveAll(s.dataDir()); err != nil {
			return err
		}
	}
	bin, err := s.binariesFor(ctx, o.BinDir)
	if err != nil {
		return err
	}
	if err := s.initdb(ctx, bin, o.Durable, who); err != nil {
		return err
	}
	if err := makePipe(s.run, who); err != nil {
		return err
	}
	if err := writeLinger(s.run, o.Linger); err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(s.run, watcherName), watcher); err != nil {
		return err
	}
	return s.serve(ctx, bin, o, who)
}

// serve starts the watcher, with this process as the first user.
func (s *Server) serve(ctx context.Context, bin binaries, o Options, who owner) error {
	log, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	from, err := trim(log)
	if err != nil {
		return err
	}
	readEnd, err := openReader(s.run)
	if err != nil {
		return err
	}
	pipe := os.NewFile(uintptr(readEnd), pipeName)
	defer func() { _ = pipe.Close() }()
	if s.use, err = openWriter(s.run); err != nil { // before the watcher starts: it ends with us whenever we are killed
		return err
	}
	if err := syscall.SetNonblock(readEnd, false); err != nil {
		s.use.end()
		return err
	}

	stop, remove := "INT", ""
	if o.Temporary {
		stop, remove = "QUIT", s.dataDir()
	}
	args := append([]string{watcherName, stop, remove}, s.serverCommand(bin, o)...)
	cmd := who.command(s.run, "/bin/sh", args...)
	cmd.Stdout, cmd.Stderr = log, log // never ours: a parent of ours may wait until everybody has closed them
	cmd.ExtraFiles = []*os.File{pipe}
	if err := cmd.Start(); err != nil {
		s.use.end()
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	if err := s.awaitReady(ctx, ended); err != nil {
		s.use.end()
		if errors.Is(err, errEnded) {
			return fmt.Errorf("the server ended at once: %s", s.lastWords(from))
		}
		return err
	}
	return nil
}

func (s *Server) serverCommand(bin binaries, o Options) []string {
	settings := []string{"listen_addresses="}
	if !o.Durable {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_wal_size=256MB")
	}
	args := []string{filepath.Join(bin.dir, "postgres"), "-D", s.dataDir(), "-k", s.run, "-p", strconv.Itoa(socketPort)}
	for _, setting := range append(settings, o.Settings...) {
		args = append(args, "-c", setting)
	}
	return args
}

// command runs a program as the owner, in a folder that the owner can enter, and in a session of its own: Ctrl-C is not for the server.
func (o owner) command(dir, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "LC_ALL=C", "TZ=UTC")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: o.credential, Setsid: true}
	return cmd
}

// binariesFor finds the programs that can read the data that is there, or the newest where there is none.
func (s *Server) binariesFor(ctx context.Context, binDir string) (binaries, error) {
	text, err := os.ReadFile(filepath.Join(s.dataDir(), "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return findBinaries(ctx, binDir, 0)
	}
	if err != nil {
		return binaries{}, err
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return binaries{}, fmt.Errorf("PG_VERSION in %s is %q, which is not a version", s.dataDir(), text)
	}
	bin, err := findBinaries(ctx, binDir, major)
	var wrong *versionError
	if errors.As(err, &wrong) {
		return binaries{}, fmt.Errorf("the data in %s was %w; install PostgreSQL %d, or move the folder away to begin with empty data (nothing was changed)",
			s.dataDir(), wrong, wrong.data)
	}
	return bin, err
}

// initdb makes the data in a folder aside and renames it when it is whole, so that a killed initdb leaves nothing that looks like data.
func (s *Server) initdb(ctx context.Context, bin binaries, durable bool, who owner) error {
	if _, err := os.Stat(filepath.Join(s.dataDir(), "PG_VERSION")); err == nil {
		return nil
	}
	leftovers, err := filepath.Glob(filepath.Join(s.dir, "initdb-*"))
	if err != nil {
		return err
	}
	for _, dir := range leftovers {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	dir := filepath.Join(s.dir, "initdb-"+rand.Text()[:8])
	args := []string{"-D", dir, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"}
	if !durable {
		args = append(args, "--no-sync")
	}
	if out, err := who.command(s.dir, filepath.Join(bin.dir, "initdb"), args...).CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLine(string(out)))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return os.Rename(dir, s.dataDir())
}

// endForgotten stops a server whose watcher was killed. Its users lose their connections once and find the new server by the same name.
func (s *Server) endForgotten(ctx context.Context) error {
	pidFile := filepath.Join(s.dataDir(), "postmaster.pid")
	text, err := os.ReadFile(pidFile)
	if err != nil {
		return nil // none
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil || pid <= 1 || !s.answers(ctx) {
		return nil // a dead server's file: PostgreSQL itself decides about that
	}
	return until(ctx, func() (bool, error) {
		if _, err := os.Stat(pidFile); errors.Is(err, os.ErrNotExist) {
			return true, nil
		}
		err := syscall.Kill(pid, syscall.SIGINT)
		if errors.Is(err, syscall.ESRCH) {
			return true, nil
		}
		return false, err
	})
}

// answers says whether a server is behind our socket, even one that is just starting or stopping.
func (s *Server) answers(ctx context.Context) bool {
	err := s.ping(ctx)
	var refused *pgconn.PgError
	return err == nil || errors.As(err, &refused)
}

var errEnded = errors.New("the server has ended")

// awaitReady waits until the server answers, and notes its version. It fails early when ended is closed or nobody watches any more.
func (s *Server) awaitReady(ctx context.Context, ended <-chan struct{}) error {
	return until(ctx, func() (bool, error) {
		if s.ping(ctx) == nil {
			return true, nil
		}
		select {
		case <-ended:
			return false, errEnded
		default:
			return false, watched(s.run)
		}
	})
}

func (s *Server) ping(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return err
	}
	s.version, _, _ = strings.Cut(conn.PgConn().ParameterStatus("server_version"), " ")
	return conn.Close(ctx)
}

var plainPath = regexp.MustCompile(`^[A-Za-z0-9/._-]*$`)

// runDir is dir itself, or a folder of the same meaning under /tmp where dir cannot hold a socket: the path of a socket is short in every
// Unix, and PostgreSQL and connection strings give commas and spaces a meaning.
func runDir(dir string) string {
	const longest = 103 - len("/.s.PGSQL.5432") // of the BSDs and macOS; Linux allows four more
	if len(dir) <= longest && plainPath.MatchString(dir) {
		return dir
	}
	hash := sha256.Sum256(fmt.Appendf(nil, "%d %s", os.Geteuid(), dir))
	return fmt.Sprintf("/tmp/orchestrator-postgres-%x", hash[:6])
}

// trim empties a log that has grown large, and returns where new lines begin.
func trim(log *os.File) (int64, error) {
	info, err := log.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() < 16<<20 {
		return info.Size(), nil
	}
	return 0, log.Truncate(0)
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}
