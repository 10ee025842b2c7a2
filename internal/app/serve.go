package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"cloud-run-orchestrator/functions"
	"cloud-run-orchestrator/internal/config"
	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/wake"
)

// Serving says what Serve serves.
type Serving struct {
	URL      string
	Database string
	CloudRun string
}

// Serve is the whole orchestrator in one process: it prepares the database, serves all functions on cfg.Listen and ticks, until ctx ends. ready is called when the functions answer.
func Serve(ctx context.Context, cfg config.Config, version string, every time.Duration, log *slog.Logger, ready func(Serving)) error {
	listener, err := Listen(ctx, cfg.Listen, "--listen or ORCHESTRATOR_LISTEN")
	if err != nil {
		return err
	}
	defer listener.Close()
	if _, err := Prepare(ctx, cfg, false); err != nil {
		return err
	}
	bell := wake.NewBell()
	a, err := open(ctx, cfg, version, log, bell)
	if err != nil {
		return err
	}
	ready(Serving{URL: "http://" + listener.Addr().String(), Database: a.Database, CloudRun: a.CloudRun})
	return errors.Join(a.serve(ctx, listener, every, bell, log), a.Close())
}

// Listen opens an address, or says in one sentence why it cannot, and which setting chooses another one.
func Listen(ctx context.Context, address, setting string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, functions.ListenError(address, setting, err)
	}
	return l, nil
}

// serve answers requests and ticks until ctx ends, then drains.
func (a *App) serve(ctx context.Context, l net.Listener, every time.Duration, bell wake.Bell, log *slog.Logger) error {
	server := &http.Server{Handler: a.Functions.All(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	var group sync.WaitGroup
	group.Go(func() { keepTicking(ctx, a.Engine, every, bell, log) })
	err := a.Functions.Serve(ctx, l.Addr().String(), func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Wait()
	return errors.Join(err, server.Close())
}

// keepTicking starts a tick every so often, counted from the start of the one before, and at once where the bell rings, until ctx ends. A tick that fails
// is logged, once per kind of failure.
func keepTicking(ctx context.Context, e *engine.Engine, every time.Duration, bell wake.Bell, log *slog.Logger) {
	last := ""
	for ctx.Err() == nil {
		began := time.Now()
		_, err := e.Tick(ctx, "ticker of this process")
		text := fmt.Sprint(err)
		if err != nil && text != last {
			log.Error("tick failed", "error", err)
		}
		last = text
		select {
		case <-ctx.Done():
		case <-bell:
		case <-time.After(every - time.Since(began)):
		}
	}
}
