// Package emulator is Cloud Run's Admin API v2 for jobs on one machine, over gRPC and REST: tasks are local processes or Go functions.
//
// Server does real work. Mock, for people who want to look around first, answers for every job and does none.
package emulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/grpc"
)

// Options configure a Server. The zero value has no jobs, and sensible values for all the rest.
type Options struct {
	// Jobs are answered in every project and region. See LoadJobs.
	Jobs Jobs
	// LogDir receives a folder per execution and in it a file per task attempt. Empty: the output of tasks is dropped.
	LogDir string
	// Parallelism is how many processes, and how many Go functions, run at the same time; further tasks wait.
	// 0 is four processes per CPU and a thousand functions.
	Parallelism int
	// Grace is the time between SIGTERM and SIGKILL for a task that is cancelled or has reached its timeout. 0 is Cloud Run's 10 s.
	Grace time.Duration
	// Intercept may disturb any call; nil disturbs none. It is called concurrently, without locks held.
	Intercept func(context.Context, Call) Fault
	// Limits are Cloud Run's quotas. The zero value has none; see RealLimits.
	Limits Limits
	// HistoryKept is how many finished executions of a job are kept; the oldest go. 0 keeps all, RealHistoryKept is Cloud Run's.
	HistoryKept int
	// Now stamps everything that happens, and limits and faults follow it; nil is time.Now. What a real process or a caller waits for is real time:
	// timeouts of tasks, and a Fault's Delay and Slow.
	Now func() time.Time
}

const (
	defaultGrace     = 10 * time.Second
	processesPerCPU  = 4
	defaultFunctions = 1000
)

// errClosed is why tasks end when their server does.
var errClosed = errors.New("the emulator was closed")

// Server is one emulated Cloud Run, with every project and region in it. It forgets everything when it ends.
type Server struct {
	runpb.UnimplementedJobsServer
	runpb.UnimplementedExecutionsServer
	runpb.UnimplementedTasksServer
	longrunningpb.UnimplementedOperationsServer

	jobs      map[string]*job
	logDir    string
	grace     time.Duration
	now       func() time.Time
	intercept func(context.Context, Call) Fault
	born      time.Time
	calls     callLog
	limits    *limiter
	kept      int
	virtual   bool // the clock is not the real one
	front     front
	keeper    *keeper // nil where no job is a command

	ctx       context.Context // of every task
	stop      context.CancelCauseFunc
	processes sync.WaitGroup // workers that run processes

	mu         sync.Mutex // guards what follows, and every execution
	seq        int64
	commands   *pool
	functions  *pool
	executions map[string]*execution // by full name
	shortNames map[string]bool       // of executions, whatever their job
	byJob      map[string]*history   // by the job's full name
	byLocation map[string]*history   // by projects/P/locations/L
	operations map[string]*operation // by name
	opsAt      map[string][]*operation
	started    []start
	accepted   []*execution      // all that were ever made, in order
	planned    []*execution      // that vanish or are cancelled by somebody else
	projects   map[string]string // ids by number
}

// New makes a Server. It fails when the jobs make no sense, and when the process that minds the tasks' processes cannot be started.
func New(o Options) (*Server, error) {
	if err := o.Jobs.check(); err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	logDir, err := absolute(o.LogDir)
	if err != nil {
		return nil, fmt.Errorf("emulator: log folder: %w", err)
	}
	s := &Server{
		jobs: make(map[string]*job, len(o.Jobs)), logDir: logDir, grace: o.Grace, now: o.Now, intercept: o.Intercept,
		commands:   &pool{limit: o.Parallelism},
		functions:  &pool{limit: o.Parallelism},
		executions: map[string]*execution{}, shortNames: map[string]bool{},
		byJob: map[string]*history{}, byLocation: map[string]*history{},
		operations: map[string]*operation{}, opsAt: map[string][]*operation{}, projects: map[string]string{},
		limits: newLimiter(o.Limits), kept: o.HistoryKept, virtual: o.Now != nil,
	}
	if s.grace <= 0 {
		s.grace = defaultGrace
	}
	if s.now == nil {
		s.now = time.Now
	}
	if o.Parallelism <= 0 {
		s.commands.limit = processesPerCPU * runtime.NumCPU()
		s.functions.limit = defaultFunctions
	}
	s.born = s.now()
	if err := s.define(o.Jobs); err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	s.front.serve(s, s.serveGRPC, s.intercept != nil)
	return s, nil
}

// define makes the jobs ready to run. Where one is a command, it starts the keeper of processes.
func (s *Server) define(jobs Jobs) error {
	for name, def := range jobs {
		dir, err := absolute(def.Dir)
		if err != nil {
			return fmt.Errorf("job %s: working folder: %w", name, err)
		}
		def.Dir = dir
		s.jobs[name] = newJob(name, def)
		if def.Func != nil || s.keeper != nil {
			continue
		}
		if s.keeper, err = startKeeper(); err != nil {
			return err
		}
	}
	return nil
}

// absolute makes a path independent of the present folder; an empty one stays empty.
func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	return filepath.Abs(path)
}

// Handler answers REST over HTTP/1, the emulator's own /_emulator pages, and gRPC without TLS on one port. Its http.Server must leave HTTP/2 alone: a
// connection that begins like that is gRPC's.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_emulator/started", s.serveStarted)
	mux.HandleFunc("GET /_emulator/calls", s.serveCalls)
	mux.HandleFunc("GET /_emulator/executions", s.serveExecutions)
	mux.HandleFunc("/", s.serveREST)
	other := refuseBrowsers(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isPreface(r) {
			s.front.take(w)
			return
		}
		other.ServeHTTP(w, r)
	})
}

// Serve answers on ln until Close; then it returns nil. It closes ln.
func (s *Server) Serve(ln net.Listener) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	server := &http.Server{Handler: s.Handler(), Protocols: protocols, ReadHeaderTimeout: 10 * time.Second}
	end := context.AfterFunc(s.ctx, func() { server.Close() })
	defer end()
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("emulator: serve on %s: %w", ln.Addr(), err)
	}
	return nil
}

// Dial gives a connection inside the process, for the real client. Its owner closes it.
func (s *Server) Dial() (*grpc.ClientConn, error) { return s.front.dial() }

// Close kills the processes of all tasks, waits for them, and answers no further call. Go functions are told by their context, and not waited for.
func (s *Server) Close() {
	s.mu.Lock() // so that no process starts from here on
	s.stop(errClosed)
	s.mu.Unlock()
	s.front.close()
	s.processes.Wait()
	if s.keeper != nil {
		s.keeper.close()
	}
}
