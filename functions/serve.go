package functions

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

const (
	// drainTime is how long requests in flight may take after SIGTERM; Cloud Run kills after about 10 s.
	drainTime = 8 * time.Second
	// lastBytes is left for net/http, which sends the end of an answer after the handler has returned.
	lastBytes = 100 * time.Millisecond
)

// Serve runs start, which listens at address until it fails. When ctx ends first it drains, and what is not answered in 8 s is cut off.
// It returns an error only where the server could not listen.
func (f *Functions) Serve(ctx context.Context, address string, start func() error) error {
	failed := make(chan error, 1)
	go func() { failed <- start() }()
	select {
	case err := <-failed:
		return ListenError(address, "ORCHESTRATOR_LISTEN", err)
	case <-ctx.Done():
	}
	f.log.InfoContext(ctx, "shutting down: answering what is in flight")
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := f.Drain(limit); err != nil {
		f.log.WarnContext(ctx, "shutting down", "error", err)
	}
	time.Sleep(lastBytes)
	return nil
}

// ListenError says in one sentence why an address cannot be listened on, and which setting chooses another one; other errors get the address.
func ListenError(address, setting string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("cannot listen on %s: another program does already; stop it, or set %s to another address", address, setting)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("cannot listen on %s: this machine does not have that address; set %s to one it has", address, setting)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("cannot listen on %s: this user may not; set %s to a port above 1023", address, setting)
	}
	if _, ok := errors.AsType[*net.AddrError](err); ok {
		return fmt.Errorf("cannot listen on %q: it must be a host:port, as in 127.0.0.1:8080", address)
	}
	return fmt.Errorf("cannot listen on %s: %w", address, err)
}
