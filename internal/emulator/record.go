package emulator

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
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
	at      time.Time
}

func (st start) full() Started {
	return Started{Execution: st.x.name, Job: st.x.job.name, Index: int(st.index), Attempt: int(st.attempt), Env: st.x.env, At: st.at}
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

// keptCalls is how many of the latest calls are kept whole.
const keptCalls = 1000

// Calls is what was asked of the API.
type Calls struct {
	Count map[string]int `json:"count"` // by method, as in RunJob
	Last  []CallRecord   `json:"last"`  // the latest 1,000 that have ended, oldest first
}

// CallRecord is one call that has ended.
type CallRecord struct {
	Method string    `json:"method"`
	N      int       `json:"n"` // 1 for the first call of this method
	Name   string    `json:"name"`
	At     time.Time `json:"at"`
	Code   string    `json:"code"` // as in NOT_FOUND
}

// Calls says how often each method was called since the Server was made, refused and disturbed calls included.
func (s *Server) Calls() Calls { return s.calls.snapshot() }

// callLog counts calls and keeps the latest.
type callLog struct {
	mu    sync.Mutex
	count map[string]int
	ring  []CallRecord
	next  int // where the oldest is once the ring is full
}

func (l *callLog) begin(method, name string) Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == nil {
		l.count = map[string]int{}
	}
	l.count[method]++
	return Call{Method: method, N: l.count[method], Name: name}
}

func (l *callLog) end(c Call, began time.Time, code codes.Code) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := CallRecord{Method: c.Method, N: c.N, Name: c.Name, At: began, Code: codeOf(code).name}
	if len(l.ring) < keptCalls {
		l.ring = append(l.ring, r)
		return
	}
	l.ring[l.next] = r
	l.next = (l.next + 1) % keptCalls
}

func (l *callLog) snapshot() Calls {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := Calls{Count: make(map[string]int, len(l.count)), Last: make([]CallRecord, 0, len(l.ring))}
	for method, n := range l.count {
		c.Count[method] = n
	}
	c.Last = append(append(c.Last, l.ring[l.next:]...), l.ring[:l.next]...)
	return c
}

func (s *Server) serveStarted(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, struct {
		Started []Started `json:"started"`
	}{s.Started()})
}

func (s *Server) serveCalls(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Calls()) }

// writeJSON answers 200. A caller that hangs up in the middle is its own affair.
func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}
