package model

import (
	"context"
	"sync"

	"cloud-run-orchestrator/internal/emulator"
)

// script is what happens to the calls of Cloud Run's API.
type script struct {
	mu    sync.Mutex
	next  map[string][]disturbance // by method: for the next calls of it, one each
	every map[string]disturbance   // by method: for all calls that have none of their own
	held  []*heldCall
	asked []string // executions that the orchestrator has asked to stop
}

// disturbance is one kind of trouble of one call. Kinds are data: see disturbances_test.go.
type disturbance struct {
	name  string
	fault emulator.Fault
	hold  bool // the call hangs until the test lets it go; by then its caller has given up, and the effect comes late
}

// heldCall is a call that hangs.
type heldCall struct {
	call emulator.Call
	let  chan struct{}
}

// intercept obeys the script.
func (w *world) intercept(_ context.Context, c emulator.Call) emulator.Fault {
	w.calls.Add(1)
	s := &w.script
	s.mu.Lock()
	if c.Method == "CancelExecution" {
		s.asked = append(s.asked, c.Name)
	}
	d, ok := s.every[c.Method]
	if list := s.next[c.Method]; len(list) > 0 {
		d, ok = list[0], true
		s.next[c.Method] = list[1:]
	}
	if !ok || !d.hold {
		s.mu.Unlock()
		return d.fault
	}
	h := &heldCall{call: c, let: make(chan struct{})}
	s.held = append(s.held, h)
	s.mu.Unlock()
	<-h.let
	return d.fault
}

// disturb lets the next calls of a method go wrong, one after another.
func (w *world) disturb(method string, list ...disturbance) {
	w.script.mu.Lock()
	defer w.script.mu.Unlock()
	if w.script.next == nil {
		w.script.next = map[string][]disturbance{}
	}
	w.script.next[method] = append(w.script.next[method], list...)
}

// disturbAll lets all calls of a method go wrong until calm.
func (w *world) disturbAll(method string, d disturbance) {
	w.script.mu.Lock()
	defer w.script.mu.Unlock()
	if w.script.every == nil {
		w.script.every = map[string]disturbance{}
	}
	w.script.every[method] = d
}

// calm ends all trouble but that of calls that hang.
func (w *world) calm() {
	w.script.mu.Lock()
	defer w.script.mu.Unlock()
	w.script.next, w.script.every = nil, nil
}

// release lets one hanging call have its effect, now.
func (w *world) release(i int) emulator.Call {
	w.t.Helper()
	w.script.mu.Lock()
	h := w.script.held[i]
	w.script.held = append(w.script.held[:i:i], w.script.held[i+1:]...)
	w.script.mu.Unlock()
	close(h.let)
	w.released = true
	w.waitFor("a call that was let go", func() bool {
		for _, r := range w.run.Calls().Last {
			if r.Method == h.call.Method && r.N == h.call.N {
				return true
			}
		}
		return false
	})
	return h.call
}

func (w *world) heldCalls() int {
	w.script.mu.Lock()
	defer w.script.mu.Unlock()
	return len(w.script.held)
}

func (s *script) releaseAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.held {
		close(h.let)
	}
	s.held = nil
}
