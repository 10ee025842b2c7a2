package emulator

import (
	"maps"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
)

// keptCalls is how many of the latest calls are kept whole.
const keptCalls = 1000

// Calls is what was asked of the API.
type Calls struct {
	Count  map[string]int            `json:"count"`  // by method, as in RunJob
	Codes  map[string]map[string]int `json:"codes"`  // of the calls that have ended, by method and code, as in NOT_FOUND
	Faults map[string]map[string]int `json:"faults"` // of the calls that have ended, by method and what was done to them
	Last   []CallRecord              `json:"last"`   // the latest 1,000 that have ended, oldest first
}

// CallRecord is one call that has ended.
type CallRecord struct {
	Method string    `json:"method"`
	N      int       `json:"n"` // 1 for the first call of this method
	Name   string    `json:"name"`
	At     time.Time `json:"at"`               // when it began
	Code   string    `json:"code"`             // as in NOT_FOUND; of a lost answer, what the caller makes of it
	Faults []string  `json:"faults,omitempty"` // what was done to it, in the words of a faults file; or limit, where a limit refused it
}

// Calls says how often each method was called since the Server was made, refused and disturbed calls included.
func (s *Server) Calls() Calls { return s.calls.snapshot() }

// callLog counts calls and keeps the latest.
type callLog struct {
	mu     sync.Mutex
	count  map[string]int
	codes  map[string]map[string]int
	faults map[string]map[string]int
	ring   []CallRecord
	next   int // where the oldest is once the ring is full
}

func (l *callLog) begin(method, name string) Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == nil {
		l.count, l.codes, l.faults = map[string]int{}, map[string]map[string]int{}, map[string]map[string]int{}
	}
	l.count[method]++
	return Call{Method: method, N: l.count[method], Name: name}
}

func (l *callLog) end(p *passage, began time.Time, code codes.Code) {
	r := CallRecord{Method: p.Method, N: p.N, Name: p.Name, At: began, Code: codeOf(code).name, Faults: p.fault.kinds()}
	if p.limit {
		r.Faults = append(r.Faults, "limit")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	countIn(l.codes, r.Method, r.Code)
	for _, f := range r.Faults {
		countIn(l.faults, r.Method, f)
	}
	if len(l.ring) < keptCalls {
		l.ring = append(l.ring, r)
		return
	}
	l.ring[l.next] = r
	l.next = (l.next + 1) % keptCalls
}

func countIn(m map[string]map[string]int, method, what string) {
	if m[method] == nil {
		m[method] = map[string]int{}
	}
	m[method][what]++
}

func (l *callLog) snapshot() Calls {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := Calls{Count: map[string]int{}, Codes: map[string]map[string]int{}, Faults: map[string]map[string]int{}, Last: make([]CallRecord, 0, len(l.ring))}
	maps.Copy(c.Count, l.count)
	for method, n := range l.codes {
		c.Codes[method] = maps.Clone(n)
	}
	for method, n := range l.faults {
		c.Faults[method] = maps.Clone(n)
	}
	c.Last = append(append(c.Last, l.ring[l.next:]...), l.ring[:l.next]...)
	return c
}
