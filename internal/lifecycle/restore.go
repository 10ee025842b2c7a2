package lifecycle

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// The variables by which an execution tells whose work it does, to a database that has forgotten it.
const (
	RunIDEnv        = "ORCHESTRATOR_RUN_ID"
	RunEnv          = "ORCHESTRATOR_RUN"
	StepEnv         = "ORCHESTRATOR_STEP"
	TaskIndexesEnv  = "ORCHESTRATOR_TASK_INDEXES"
	TaskAttemptsEnv = "ORCHESTRATOR_TASK_ATTEMPTS"
)

// Origin is what an execution's environment tells of its work, as it is written there. It is empty where the execution has no marker.
type Origin struct{ RunID, Run, Step, Indexes, Attempts string }

// Work is the work that an execution carries.
type Work struct {
	RunID    uuid.UUID
	Run      string // WORKFLOW.NUMBER
	Step     string
	Indexes  Ranges
	Attempts []int // in the order of the indexes
}

// Work reads an origin. The error says which variable cannot be what we wrote.
func (o Origin) Work() (Work, error) {
	w := Work{Run: o.Run, Step: o.Step}
	var err error
	if w.RunID, err = uuid.Parse(o.RunID); err != nil {
		return Work{}, fmt.Errorf("%s is %q, which is no run's id", RunIDEnv, o.RunID)
	}
	if w.Indexes, err = ParseRanges(o.Indexes); err != nil || len(w.Indexes) == 0 || w.Indexes.Len() > MaxTasks {
		return Work{}, fmt.Errorf("%s is %q, which is no set of task indexes", TaskIndexesEnv, o.Indexes)
	}
	if w.Attempts, err = parseRunLengths(o.Attempts, w.Indexes.Len()); err != nil {
		return Work{}, fmt.Errorf("%s is %q: %w", TaskAttemptsEnv, o.Attempts, err)
	}
	return w, nil
}

// MaxTasks is Cloud Run's limit of tasks in one execution.
const MaxTasks = 10_000

// parseRunLengths reads what runLengths wrote for n tasks.
func parseRunLengths(s string, n int) ([]int, error) {
	list := make([]int, 0, n)
	for part := range strings.SplitSeq(s, ",") {
		times, value, repeated := strings.Cut(part, "x")
		if !repeated {
			times, value = "1", part
		}
		count, err1 := strconv.Atoi(times)
		attempt, err2 := strconv.Atoi(value)
		if err1 != nil || err2 != nil || count < 1 || attempt < 1 || count > n-len(list) {
			return nil, fmt.Errorf("%q does not fit %d tasks", part, n)
		}
		for range count {
			list = append(list, attempt)
		}
	}
	if len(list) != n {
		return nil, fmt.Errorf("it is for %d tasks, not %d", len(list), n)
	}
	return list, nil
}

// RunNumber splits WORKFLOW.NUMBER; ok is false for anything else.
func RunNumber(run string) (workflow string, number int64, ok bool) {
	dot := strings.LastIndexByte(run, '.')
	if dot < 1 {
		return "", 0, false
	}
	number, err := strconv.ParseInt(run[dot+1:], 10, 64)
	return run[:dot], number, err == nil && number > 0 && run[dot+1] != '+'
}

// Standing is what the tasks of some work are in the database.
type Standing struct {
	Step    bool        // the run is known, and has a step of that name and job
	Final   bool        // the step has ended
	Missing int         // tasks that do not exist as rows yet
	Planned []uuid.UUID // rows that hold some of the tasks and were never sent, as far as the database knows
	Live    []uuid.UUID // rows that hold some and were sent
	Ended   int         // tasks that are final
	Waiting int         // tasks that are pending
}

// Again says whether some of the tasks would be sent: for an execution that is not put back, that were a second time.
func (s Standing) Again() bool {
	return s.Step && !s.Final && (s.Missing > 0 || s.Waiting > 0 || len(s.Planned) > 0)
}

// Fit is whether a forgotten execution can be put back.
type Fit int

const (
	// FitLater: something must come first. The zero value, so that nothing is put back or given up by omission.
	FitLater Fit = iota
	// FitNow: all its tasks wait, or are held by rows that were never sent.
	FitNow
	// FitNever: its work belongs to nothing.
	FitNever
)

// Fit says whether an execution with this work can be put back, and else why not. That an execution exists proves that rows which hold its tasks and
// were never sent, as far as the database knows, have been settled in the time that it forgot.
func (s Standing) Fit() (fit Fit, why string) {
	switch {
	case !s.Step:
		return FitNever, "the database does not know its run"
	case s.Final:
		return FitNever, "its step has ended"
	case s.Ended > 0 && s.Again():
		return FitLater, "some of its tasks have ended, and others have not"
	case s.Ended > 0:
		return FitNever, "its tasks have ended"
	case len(s.Live) > 0:
		return FitLater, "its tasks are in an earlier execution that has not ended"
	case s.Missing > 0:
		return FitLater, "its tasks do not exist yet"
	}
	return FitNow, ""
}

// LeftAlone is an execution of ours whose work belongs to nothing in the restored database.
type LeftAlone struct {
	Name  string
	Row   uuid.UUID
	Run   string // WORKFLOW.NUMBER, as its environment tells it
	Why   string
	Ended bool
}
