package model

import (
	"context"
	"sync"

	"cloud-run-orchestrator/internal/emulator"
)

// gates are the executions that wait for the test to end them.
type gates struct {
	mu     sync.Mutex
	open   map[string]*gate // by execution
	closed bool
}

type gate struct {
	end      chan emulator.Result
	stubborn bool
}

func (g *gates) run(ctx context.Context, t emulator.Task) emulator.Result {
	return g.wait(ctx, t.Execution, false)
}

func (g *gates) runStubborn(_ context.Context, t emulator.Task) emulator.Result {
	return g.wait(context.Background(), t.Execution, true)
}

func (g *gates) wait(ctx context.Context, execution string, stubborn bool) emulator.Result {
	mine := g.of(execution, stubborn)
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.open, execution)
	}()
	select {
	case r := <-mine.end:
		return r
	case <-ctx.Done():
		return emulator.Result{Signal: 15}
	}
}

func (g *gates) of(execution string, stubborn bool) *gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	mine := &gate{end: make(chan emulator.Result, 1), stubborn: stubborn}
	if g.closed {
		mine.end <- emulator.Result{}
	} else {
		g.open[execution] = mine
	}
	return mine
}

// finish lets an execution end, once.
func (g *gates) finish(execution string, r emulator.Result) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if mine := g.open[execution]; mine != nil {
		delete(g.open, execution)
		mine.end <- r
	}
}

// find is the gate of an execution that runs, nil of one that does not.
func (g *gates) find(execution string) *gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open[execution]
}

func (g *gates) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for execution, mine := range g.open {
		delete(g.open, execution)
		mine.end <- emulator.Result{}
	}
}
