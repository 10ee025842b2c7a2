package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"cloud-run-orchestrator/internal/config"
	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/localpg"
)

// Demo is a whole orchestrator apart from all else on the machine: its own database, Cloud Run, functions and ticker, on free ports.
type Demo struct {
	URL        string
	ResultsDir string // where the example's tasks write
	Close      func() // ends everything and removes its files
}

// StartDemo starts a demo that runs the jobs of a file as processes of this machine. say is called for each part that has started.
func StartDemo(ctx context.Context, jobsFile, version string, log *slog.Logger, say func(string)) (_ *Demo, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var closers []func()
	closeAll := func() {
		cancel()
		for i := len(closers) - 1; i >= 0; i-- {
			closers[i]()
		}
	}
	defer func() {
		if err != nil {
			closeAll()
		}
	}()
	dir, err := os.MkdirTemp("", "orchestrator-demo-")
	if err != nil {
		return nil, err
	}
	closers = append(closers, func() { _ = os.RemoveAll(dir) })
	results := filepath.Join(dir, "results")
	if err := os.Mkdir(results, 0o755); err != nil {
		return nil, err
	}
	dsn, err := demoDatabase(ctx, say, &closers)
	if err != nil {
		return nil, err
	}
	host, err := demoCloudRun(ctx, jobsFile, dir, results, say, &closers)
	if err != nil {
		return nil, err
	}
	url, err := demoFunctions(ctx, dsn, host, version, log, say, &closers)
	if err != nil {
		return nil, err
	}
	return &Demo{URL: url, ResultsDir: results, Close: closeAll}, nil
}

func demoDatabase(ctx context.Context, say func(string), closers *[]func()) (dsn string, err error) {
	dir, err := os.MkdirTemp(localpg.TestBase(), "orchestrator-demo-pg-")
	if err != nil {
		return "", err
	}
	*closers = append(*closers, func() { _ = os.RemoveAll(dir) })
	server, err := localpg.Start(ctx, localpg.Options{Dir: dir, Temporary: true})
	if err != nil {
		return "", err
	}
	*closers = append(*closers, func() { _ = server.Stop() })
	say(fmt.Sprintf("PostgreSQL  started   %s, its own for this demo, removed afterwards", server.Version()))
	return server.DSN("orchestrator_emulator"), nil
}

func demoCloudRun(ctx context.Context, jobsFile, dir, results string, say func(string), closers *[]func()) (host string, err error) {
	jobs, err := emulator.LoadJobs(jobsFile)
	if err != nil {
		return "", err
	}
	for name, job := range jobs {
		env := map[string]string{"RESULTS_DIR": results}
		for k, v := range job.Env {
			if k != "RESULTS_DIR" {
				env[k] = v
			}
		}
		job.Env = env
		jobs[name] = job
	}
	server, err := emulator.New(emulator.Options{Jobs: jobs, LogDir: filepath.Join(dir, "logs")})
	if err != nil {
		return "", err
	}
	*closers = append(*closers, server.Close)
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen for the emulator: %w", err)
	}
	go func() { _ = server.Serve(l) }()
	say(fmt.Sprintf("Cloud Run   EMULATOR  jobs from %s, real processes on this machine, limits off", jobsFile))
	return l.Addr().String(), nil
}

func demoFunctions(ctx context.Context, dsn, cloudRun, version string, log *slog.Logger, say func(string), closers *[]func()) (url string, err error) {
	settings := map[string]string{
		"DATABASE_URL": dsn, "CLOUD_RUN_EMULATOR_HOST": cloudRun, "ORCHESTRATOR_MODE": "emulator", "ORCHESTRATOR_LISTEN": "127.0.0.1:0",
	}
	cfg, err := config.Load(func(name string) string { return settings[name] })
	if err != nil {
		return "", err
	}
	served, ready := make(chan error, 1), make(chan Serving, 1)
	go func() { served <- Serve(ctx, cfg, version, 5*time.Second, log, func(s Serving) { ready <- s }) }()
	select {
	case err := <-served:
		if err == nil {
			err = errors.New("the functions ended at once")
		}
		return "", err
	case s := <-ready:
		*closers = append(*closers, func() { <-served })
		say(fmt.Sprintf("functions   ready     %s/%s", s.URL, "status"))
		say("ticker      every 5 s")
		return s.URL, nil
	}
}
