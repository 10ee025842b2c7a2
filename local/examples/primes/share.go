package main

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	defaultLimit = 1_000_000_000
	maxLimit     = 1_000_000_000_000
	maxTasks     = 1_000_000
)

// share is this task's part of the work.
type share struct{ index, tasks, limit int64 }

// bounds are the numbers of the share: low is in it, high is not.
func (s share) bounds() (low, high int64) {
	return s.index * s.limit / s.tasks, (s.index + 1) * s.limit / s.tasks
}

// readShare finds out which task this is: from the orchestrator if it says so, else from Cloud Run, else it is the only one.
func readShare(getenv func(string) string) (share, error) {
	s := share{index: 0, tasks: 1, limit: defaultLimit}
	var err error
	if s.limit, err = number(getenv, "LIMIT", defaultLimit, 0, maxLimit); err != nil {
		return share{}, err
	}
	if getenv("ORCHESTRATOR_TASK_COUNT") == "" {
		if s.tasks, err = number(getenv, "CLOUD_RUN_TASK_COUNT", 1, 1, maxTasks); err != nil {
			return share{}, err
		}
		s.index, err = number(getenv, "CLOUD_RUN_TASK_INDEX", 0, 0, s.tasks-1)
		return s, err
	}
	if s.tasks, err = number(getenv, "ORCHESTRATOR_TASK_COUNT", 1, 1, maxTasks); err != nil {
		return share{}, err
	}
	if getenv("ORCHESTRATOR_TASK_INDEX") != "" {
		s.index, err = number(getenv, "ORCHESTRATOR_TASK_INDEX", 0, 0, s.tasks-1)
		return s, err
	}
	position, err := number(getenv, "CLOUD_RUN_TASK_INDEX", 0, 0, maxTasks)
	if err != nil {
		return share{}, err
	}
	s.index, err = elementOf(getenv("ORCHESTRATOR_TASK_INDEXES"), position)
	if err == nil && s.index >= s.tasks {
		err = fmt.Errorf("ORCHESTRATOR_TASK_INDEXES holds %d, but there are only %d tasks", s.index, s.tasks)
	}
	return s, err
}

// elementOf finds the index at a position of ranges such as 0-4,7: several tasks share such an execution.
func elementOf(ranges string, position int64) (int64, error) {
	left := position
	for part := range strings.SplitSeq(ranges, ",") {
		first, final, isRange := strings.Cut(part, "-")
		from, err := strconv.ParseInt(first, 10, 64)
		to := from
		if err == nil && isRange {
			to, err = strconv.ParseInt(final, 10, 64)
		}
		if err != nil || from < 0 || to < from {
			return 0, fmt.Errorf("ORCHESTRATOR_TASK_INDEXES is %q, not ranges as in 0-4,7", ranges)
		}
		if left <= to-from {
			return from + left, nil
		}
		left -= to - from + 1
	}
	return 0, fmt.Errorf("ORCHESTRATOR_TASK_INDEXES is %q, which has no element %d", ranges, position)
}

// number reads a whole number; an unset variable is the fallback.
func number(getenv func(string) string, name string, fallback, low, high int64) (int64, error) {
	text := getenv(name)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%s is %q, not a whole number from %d to %d", name, text, low, high)
	}
	return n, nil
}
