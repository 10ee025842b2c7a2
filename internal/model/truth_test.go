package model

import (
	"fmt"
	"strconv"
	"time"

	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/lifecycle"

	"cloud.google.com/go/run/apiv2/runpb"
)

// taskKey names a task in the whole installation.
type taskKey struct {
	run   string
	step  string
	index int
}

// execution is what Cloud Run really accepted, and what became of it.
type execution struct {
	name    string
	job     string // short
	task    taskKey
	row     string
	send    int
	at      time.Time
	ends    emulator.Result // what the test told it
	end     string          // success, exit 3, signal 9, nothing, cancelled; empty while it runs
	endAt   time.Time
	listed  bool      // a list shows it
	since   time.Time // when one showed it first
	gone    bool      // Cloud Run has forgotten it
	evicted bool      // in the way that is documented: the oldest of those that have ended
	late    bool      // its call hung on the way, so that nobody could help that it came late
	outside bool      // somebody else cancelled it
}

func (x *execution) short() string { return lifecycle.ShortName(x.name) }

// truth is everything that Cloud Run accepted, in order.
type truth struct {
	seen    int // starts taken in
	all     []*execution
	byName  map[string]*execution
	byRow   map[string][]*execution
	byTask  map[taskKey][]*execution
	callsOf map[string]map[int]bool
	// What Cloud Run answered.
	lists  map[string]time.Time             // by job: when its executions were listed last
	misses map[string][]time.Time           // by job: when a list did not find it
	looks  map[string][]emulator.CallRecord // by execution: the latest two
	noes   map[string]int                   // by job: definite refusals
}

func newTruth() truth {
	return truth{
		byName: map[string]*execution{}, byRow: map[string][]*execution{}, byTask: map[taskKey][]*execution{}, callsOf: map[string]map[int]bool{},
		lists: map[string]time.Time{}, misses: map[string][]time.Time{}, looks: map[string][]emulator.CallRecord{}, noes: map[string]int{},
	}
}

// live are the executions that the test may end.
func (tr *truth) live() []*execution {
	var list []*execution
	for _, x := range tr.all {
		if x.end == "" && !x.gone {
			list = append(list, x)
		}
	}
	return list
}

// look takes in what Cloud Run has accepted and what ended, after everything that moves by itself has settled.
func (w *world) look() {
	w.t.Helper()
	tr := &w.truth
	started := w.run.Started()
	for _, s := range started[tr.seen:] {
		if s.Env["STRANGER"] != "" {
			continue
		}
		m, ok := lifecycle.ParseMarker(s.Env[lifecycle.MarkerEnv])
		if !ok {
			w.t.Fatalf("%s was started with the marker %q", s.Execution, s.Env[lifecycle.MarkerEnv])
		}
		index, err := strconv.Atoi(s.Env["ORCHESTRATOR_TASK_INDEX"])
		if err != nil {
			w.t.Fatal(err)
		}
		x := &execution{
			name: s.Execution, job: s.Job, late: w.released, row: m.Row.String(), send: m.Send, at: s.At,
			task: taskKey{s.Env["ORCHESTRATOR_RUN_ID"], s.Env["ORCHESTRATOR_STEP"], index},
		}
		tr.all = append(tr.all, x)
		tr.byName[x.name] = x
		tr.byRow[x.row] = append(tr.byRow[x.row], x)
		tr.byTask[x.task] = append(tr.byTask[x.task], x)
	}
	tr.seen, w.released = len(started), false
	listed := w.listed()
	for _, x := range tr.all {
		if x.listed = listed[x.name]; x.listed && x.since.IsZero() {
			x.since = w.clock.Now()
		}
		if x.end == "" {
			w.lookAt(x)
		}
	}
	w.readCalls()
}

// listed are the executions that a list shows now.
func (w *world) listed() map[string]bool {
	w.t.Helper()
	shown := map[string]bool{}
	token := ""
	for {
		r, err := w.run.ListExecutions(w.ctx, &runpb.ListExecutionsRequest{Parent: location + "/jobs/-", PageToken: token})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, x := range r.GetExecutions() {
			shown[x.GetName()] = true
		}
		if token = r.GetNextPageToken(); token == "" {
			return shown
		}
	}
}

const location = "projects/" + project + "/locations/" + region

// lookAt reads one execution that had not ended.
func (w *world) lookAt(x *execution) {
	w.t.Helper()
	if x.gone {
		x.end = "cancelled" // Cloud Run ends what it is told to forget
		return
	}
	var v *runpb.Execution
	w.waitFor("an execution that ends", func() bool {
		var err error
		v, err = w.run.GetExecution(w.ctx, &runpb.GetExecutionRequest{Name: x.name})
		if err != nil {
			w.t.Fatal(err)
		}
		if v.GetCompletionTime() != nil {
			return true
		}
		g := w.gates.find(x.name)
		return g != nil && (g.stubborn || !cancelling(v))
	})
	if v.GetCompletionTime() == nil {
		return
	}
	x.endAt = v.GetCompletionTime().AsTime()
	switch {
	case v.GetSucceededCount() == 1:
		x.end = "success"
	case v.GetCancelledCount() == 1:
		x.end = "cancelled"
	case x.ends.NoResult:
		x.end = "nothing"
	case x.ends.Signal != 0:
		x.end = fmt.Sprintf("signal %d", x.ends.Signal)
	default:
		x.end = fmt.Sprintf("exit %d", x.ends.ExitCode)
	}
}

func cancelling(v *runpb.Execution) bool {
	for _, c := range v.GetConditions() {
		if c.GetExecutionReason() == runpb.Condition_CANCELLING {
			return true
		}
	}
	return false
}

// readCalls takes in what was asked of Cloud Run since, and the answers.
func (w *world) readCalls() {
	tr := &w.truth
	for _, c := range w.run.Calls().Last {
		seen := tr.callsOf[c.Method]
		if seen == nil {
			seen = map[int]bool{}
			tr.callsOf[c.Method] = seen
		}
		if seen[c.N] {
			continue
		}
		seen[c.N] = true
		switch c.Method {
		case "ListExecutions":
			job := lifecycle.ShortName(c.Name)
			switch c.Code {
			case "OK":
				tr.lists[job] = c.At
			case "NOT_FOUND":
				tr.misses[job] = append(tr.misses[job], c.At)
			}
		case "GetExecution":
			tr.looks[c.Name] = append(tr.looks[c.Name], c)
		case "RunJob":
			switch c.Code {
			case "NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED", "INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE", "UNIMPLEMENTED":
				tr.noes[lifecycle.ShortName(c.Name)]++
			}
		}
	}
}

// missed says whether the latest two looks at an execution found nothing, both after the settle window.
func (tr *truth) missed(x *execution) bool {
	looks := tr.looks[x.name]
	n := 0
	for i := len(looks) - 1; i >= 0; i-- {
		switch looks[i].Code {
		case "NOT_FOUND":
			if looks[i].At.Before(x.at.Add(settleWindow)) {
				return false
			}
			if n++; n == 2 {
				return true
			}
		case "OK":
			return false
		}
	}
	return false
}
