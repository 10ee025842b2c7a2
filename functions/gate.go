package functions

import (
	"context"
	"fmt"
	"net/http"
	"sync"
)

// gate counts the requests in flight. Once it drains it lets nobody in, and its context ends so that long work stops beginning new steps.
type gate struct {
	mu     sync.Mutex
	closed bool
	flight sync.WaitGroup
	ctx    context.Context // ends when draining begins
	stop   context.CancelFunc
}

func newGate() *gate {
	ctx, stop := context.WithCancel(context.Background())
	return &gate{ctx: ctx, stop: stop}
}

// enter counts a request in; it is false when the gate is closed. Every true needs one leave.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.flight.Add(1)
	return true
}

func (g *gate) leave() { g.flight.Done() }

func (g *gate) drain(ctx context.Context) error {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.stop()
	done := make(chan struct{})
	go func() {
		g.flight.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("requests still in flight: %w", ctx.Err())
	}
}

// wrap answers 503 while draining. The connection is closed with it, so that the client's next try meets another instance.
func (g *gate) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.enter() {
			w.Header().Set("Connection", "close")
			w.Header().Set("Retry-After", "1")
			writeProblem(w, newProblem(http.StatusServiceUnavailable, "this instance is shutting down; send the request again"))
			return
		}
		defer g.leave()
		next.ServeHTTP(w, r)
	})
}
