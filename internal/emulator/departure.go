package emulator

import (
	"slices"
	"time"
)

// RealHistoryKept is how many finished executions of a job Cloud Run keeps.
const RealHistoryKept = 1000

// departure is why Cloud Run no longer knows an execution; empty while it does.
type departure string

const (
	evicted  departure = "evicted"
	deleted  departure = "deleted"
	vanished departure = "vanished"
)

// lock takes mu, and lets happen what is due by now. Every method of the API begins with it.
func (s *Server) lock() {
	s.mu.Lock()
	s.happen()
}

// plan lets things happen to a new execution that its call's fault says. With the real clock they happen by themselves, else with the first call that is
// late enough. The caller holds mu.
func (s *Server) plan(x *execution, p *passage, now time.Time) {
	f := p.fault
	x.call, p.made = p.N, x
	if f.HideFor > 0 {
		x.hidden = now.Add(f.HideFor)
	}
	if f.NotFoundFor > 0 {
		x.absent = now.Add(f.NotFoundFor)
	}
	if f.VanishAfter > 0 {
		x.vanishAt = now.Add(f.VanishAfter)
	}
	if f.CancelAfter > 0 {
		x.cancelAt = now.Add(f.CancelAfter)
	}
	if x.vanishAt.IsZero() && x.cancelAt.IsZero() {
		return
	}
	s.planned = append(s.planned, x)
	if s.virtual {
		return
	}
	for _, d := range []time.Duration{f.VanishAfter, f.CancelAfter} {
		if d > 0 {
			time.AfterFunc(d, func() {
				s.lock()
				s.mu.Unlock()
			})
		}
	}
}

// happen lets executions vanish and be cancelled that are old enough. The caller holds mu.
func (s *Server) happen() {
	if len(s.planned) == 0 {
		return
	}
	now := s.now()
	due := func(at time.Time) bool { return !at.IsZero() && !now.Before(at) }
	s.planned = slices.DeleteFunc(s.planned, func(x *execution) bool {
		if due(x.cancelAt) {
			x.cancelAt = time.Time{}
			x.stop(now)
		}
		if due(x.vanishAt) {
			x.vanishAt = time.Time{}
			if x.gone == "" {
				s.unlist(x, vanished)
				s.forgetOperations(x)
			}
			x.stop(now)
		}
		return x.cancelAt.IsZero() && x.vanishAt.IsZero()
	})
}

// stop cancels an execution that has not ended.
func (x *execution) stop(now time.Time) {
	if x.completed.IsZero() && x.cancelling.IsZero() {
		x.requestCancel(now)
	}
}

// unlist takes an execution out of everything that names it, except its operations.
func (s *Server) unlist(x *execution, why departure) {
	x.gone = why
	delete(s.executions, x.name)
	x.siblings.remove(x)
	x.location.remove(x)
	if !x.completed.IsZero() {
		x.siblings.finished--
	}
}

// ended makes room for an execution that has just ended: the oldest that ended go. The caller holds mu.
func (s *Server) ended(x *execution) {
	x.location.running--
	h := x.siblings
	if x.gone == "" {
		h.finished++
	}
	for s.kept > 0 && h.finished > s.kept {
		i := slices.IndexFunc(h.executions, func(x *execution) bool { return !x.completed.IsZero() })
		old := h.executions[i]
		s.unlist(old, evicted)
		s.forgetOperations(old)
		old.tasks, old.template, old.args = nil, nil, nil
	}
}

// forgetOperations takes the operations of an execution that is gone away.
func (s *Server) forgetOperations(x *execution) {
	for _, op := range x.operations {
		delete(s.operations, op.name)
		at := parent(op.name)
		i := opsBefore(s.opsAt[at], op.seq)
		s.opsAt[at] = slices.Delete(s.opsAt[at], i, i+1)
	}
	x.operations = nil
}
