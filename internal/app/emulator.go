package app

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"cloud-run-orchestrator/internal/emulator"
)

// Emulation says what an offline Cloud Run has and does.
type Emulation struct {
	Jobs   string // file with the jobs
	Faults string // file with a script of faults; empty is none
	Limits string // in the form of emulator.ParseLimits
	Listen string // HOST:PORT
	LogDir string // where the tasks' output goes; empty drops it
	Ready  func(Emulating)
}

// Emulating is an offline Cloud Run that answers, in some words.
type Emulating struct {
	Address string // HOST:PORT
	Limits  string
	Faults  string // empty where there are none
}

// ServeEmulator serves an offline Cloud Run until ctx ends.
func ServeEmulator(ctx context.Context, e Emulation) error {
	o, told, err := e.options()
	if err != nil {
		return err
	}
	server, err := emulator.New(o)
	if err != nil {
		return err
	}
	defer server.Close()
	l, err := Listen(ctx, e.Listen, "--listen")
	if err != nil {
		return err
	}
	told.Address = l.Addr().String()
	e.Ready(told)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	case <-ctx.Done():
		return nil
	}
}

// options reads the files. All that is wrong is told at once.
func (e Emulation) options() (emulator.Options, Emulating, error) {
	jobs, jobsErr := emulator.LoadJobs(e.Jobs)
	limits, limitsErr := emulator.ParseLimits(e.Limits)
	o := emulator.Options{Jobs: jobs, LogDir: e.LogDir, Limits: limits}
	if limits != (emulator.Limits{}) { // without limits a thousand executions may end before anybody looks
		o.HistoryKept = emulator.RealHistoryKept
	}
	told := Emulating{Limits: limits.String()}
	if e.Faults == "" {
		return o, told, errors.Join(jobsErr, limitsErr)
	}
	script, err := emulator.LoadFaults(e.Faults)
	if err := errors.Join(jobsErr, limitsErr, err); err != nil {
		return emulator.Options{}, Emulating{}, err
	}
	o.Intercept, o.HistoryKept = script.Intercept, cmp.Or(script.Keep, o.HistoryKept)
	told.Faults = script.String()
	return o, told, nil
}
