// Package localpg finds a PostgreSQL for this process, and starts one from the programs installed on the machine where there is none.
//
// A started server belongs to no process. Each process that uses it holds the write end of a named pipe, and a small watcher holds the
// read end: when the last user has gone, in whatever way (the kernel closes a killed process's files too), the watcher reads the end of
// the file and stops the server. So processes share one server in any order of coming and going, and none is ever left behind.
package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options say which server to start or to join.
type Options struct {
	// Dir holds the server's data, log and lock. Every process that names the same Dir gets the same server. It is made private to its owner.
	Dir string
	// BinDir is the folder of the server programs; empty: the newest that is installed, or the version that wrote the data.
	BinDir string
	// Durable keeps every commit through a crash of the machine. False is several times faster, and for tests.
	Durable bool
	// Temporary removes the data when the server ends.
	Temporary bool
	// Linger is how long the server outlives its last user, to a tenth of a second. 0 ends it at once.
	Linger time.Duration
	// Settings are further name=value settings of the server.
	Settings []string
}

// Server is this process's use of a running PostgreSQL.
type Server struct {
	dir     string // data, log, lock
	run     string // socket and pipe: dir, or a short folder where dir is too long for a socket
	version string
	joined  bool // another process started it

	mu      sync.Mutex
	use     use
	stopped bool
}

// Start joins the server of Options.Dir or starts it, making its data first where there is none. It returns when the server answers.
// The process then uses the server until Stop or until it ends. Kept data is never removed: where no installed version can read it, the
// error says so. The error is ErrNoBinaries where PostgreSQL is not installed.
func Start(ctx context.Context, o Options) (*Server, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL in %s: %w", o.Dir, err)
	}
	o.Dir = dir
	s, err := start(ctx, o)
	if err != nil && !errors.Is(err, ErrNoBinaries) {
		return nil, fmt.Errorf("start PostgreSQL in %s: %w", o.Dir, err)
	}
	return s, err
}

func start(ctx context.Context, o Options) (*Server, error) {
	if !slices.ContainsFunc(searched(o.BinDir), hasInitdb) {
		return nil, ErrNoBinaries // before any folder is made
	}
	who, err := findOwner()
	if err != nil {
		return nil, err
	}
	s := &Server{dir: o.Dir, run: runDir(o.Dir)}
	for _, dir := range []string{s.dir, s.run} {
		if err := who.own(dir); err != nil {
			return nil, err
		}
	}
	unlock, err := lock(ctx, s.lockFile())
	if err != nil {
		return nil, err
	}
	defer unlock()

	if s.joined, err = s.join(ctx); err != nil {
		return nil, err
	}
	if !s.joined {
		if err := s.launch(ctx, o, who); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// join makes this process a user of the running server. It is false where no server runs, or the one that ran is ending now.
func (s *Server) join(ctx context.Context) (bool, error) {
	var err error
	s.use, err = joinPipe(ctx, s.run)
	if errors.Is(err, errNobodyWatches) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := s.awaitReady(ctx, nil); err != nil {
		s.use.end()
		return false, err
	}
	return true, nil
}

// DSN is a connection string for a database of the server, in the form that pgxpool.ParseConfig and psql take.
func (s *Server) DSN(database string) string {
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=%s", s.run, socketPort, database)
}

// Version is the server's version, as in 15.4.
func (s *Server) Version() string { return s.version }

// LogFile is where the server writes its log.
func (s *Server) LogFile() string { return filepath.Join(s.dir, "postgres.log") }

// Hold makes the server outlive its last user by d instead of Options.Linger.
func (s *Server) Hold(d time.Duration) error { return writeLinger(s.run, d) }

// Stop ends this process's use of the server. The server itself ends with its last user; where that is this process and the server does
// not linger, Stop returns when it has ended. A second Stop does nothing.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	s.stopped = true
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	unlock, err := lock(ctx, s.lockFile()) // nobody joins between our end and the look for other users
	if err != nil {
		s.use.end()
		return fmt.Errorf("stop PostgreSQL in %s: %w", s.dir, err)
	}
	defer unlock()
	s.use.end()
	if readLinger(s.run) > 0 || inUse(s.run) {
		return nil
	}
	if err := awaitUnwatched(ctx, s.run); err != nil {
		return fmt.Errorf("stop PostgreSQL in %s: it does not end: %w", s.dir, err)
	}
	return nil
}

func (s *Server) lockFile() string { return filepath.Join(s.dir, "lock") }

func (s *Server) dataDir() string { return filepath.Join(s.dir, "data") }

// lastWords are the server's last complaint, for an error.
func (s *Server) lastWords(from int64) string {
	log, err := os.ReadFile(s.LogFile())
	if err != nil || int64(len(log)) < from {
		return "see " + s.LogFile()
	}
	lines := strings.Split(strings.TrimSpace(string(log[from:])), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if _, fatal, ok := strings.Cut(lines[i], "FATAL:"); ok {
			return strings.TrimSpace(fatal) + " (see " + s.LogFile() + ")"
		}
	}
	return strings.TrimSpace(lines[len(lines)-1]) + " (see " + s.LogFile() + ")"
}
