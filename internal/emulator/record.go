package emulator

import (
	"encoding/json"
	"net/http"
	"time"
)

// Started is one attempt of a task that was begun.
type Started struct {
	Execution string            `json:"execution"` // full name
	Job       string            `json:"job"`       // short name
	Index     int               `json:"index"`
	Attempt   int               `json:"attempt"` // from 0
	Env       map[string]string `json:"env"`     // the job's and the run's, without CLOUD_RUN_ variables; shared, not to be changed
	At        time.Time         `json:"at"`
}

// start is a Started in short.
type start struct {
	x       *execution
	index   int32
	attempt int32
	at      int64 // Unix nanoseconds
}

func (st start) full() Started {
	return Started{Execution: st.x.name, Job: st.x.job.name, Index: int(st.index), Attempt: int(st.attempt), Env: st.x.env, At: nanos(st.at)}
}

// Started lists every attempt that was begun since the Server was made, in order.
func (s *Server) Started() []Started {
	s.mu.Lock()
	starts := s.started[:len(s.started):len(s.started)]
	s.mu.Unlock()
	all := make([]Started, len(starts))
	for i, st := range starts {
		all[i] = st.full()
	}
	return all
}

// Execution is one that was accepted.
type Execution struct {
	Name       string            `json:"name"` // full
	Job        string            `json:"job"`  // short name
	Tasks      int               `json:"tasks"`
	Env        map[string]string `json:"env"`                // the job's and the run's; shared, not to be changed
	Call       int               `json:"call"`               // the number of the RunJob call that made it; 0 for a call in Go
	AnswerLost bool              `json:"answer_lost"`        // its caller cannot know of it by that call
	Outcome    string            `json:"outcome"`            // running, succeeded, failed or cancelled
	Gone       string            `json:"gone,omitempty"`     // evicted, deleted or vanished: Cloud Run knows it no longer
	Created    time.Time         `json:"created"`            //
	Completed  time.Time         `json:"completed,omitzero"` // also of one that is gone
	Cancelled  time.Time         `json:"cancel_at,omitzero"` // when its cancel was asked for, by whomever
}

// Executions lists every execution that was ever accepted, in order: the truth that a ledger can be compared with.
func (s *Server) Executions() []Execution {
	s.lock()
	defer s.mu.Unlock()
	all := make([]Execution, len(s.accepted))
	for i, x := range s.accepted {
		all[i] = Execution{
			Name: x.name, Job: x.job.name, Tasks: x.count, Env: x.env, Call: x.call, AnswerLost: x.unanswered,
			Outcome: x.outcome(), Gone: string(x.gone), Created: x.created, Completed: x.completed, Cancelled: x.cancelling,
		}
	}
	return all
}

func (x *execution) outcome() string {
	switch {
	case x.completed.IsZero():
		return "running"
	case !x.cancelling.IsZero():
		return "cancelled"
	case x.failed > 0:
		return "failed"
	}
	return "succeeded"
}

func (s *Server) serveStarted(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, struct {
		Started []Started `json:"started"`
	}{s.Started()})
}

func (s *Server) serveExecutions(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, struct {
		Executions []Execution `json:"executions"`
	}{s.Executions()})
}

func (s *Server) serveCalls(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Calls()) }

// writeJSON answers 200. A caller that hangs up in the middle is its own affair.
func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}
