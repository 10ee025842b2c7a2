// Package lifecycle is what happens to a run, a step, a task and an execution: statuses, and decisions with the time as an argument. It does no I/O.
package lifecycle

import (
	"errors"
	"slices"
)

// What a caller may ask of an error, whatever words are wrapped around it. Everything else is internal.
var (
	// ErrNotFound: there is no such workflow, run, step, task or version.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the state of what is there forbids the request.
	ErrConflict = errors.New("conflict")
	// ErrInvalid: the request itself is wrong, and will be tomorrow.
	ErrInvalid = errors.New("invalid")
)

// Mode says what a database drives: real Cloud Run, the emulator, or nothing at all.
type Mode string

const (
	Live     Mode = "live"
	Emulator Mode = "emulator"
	Mock     Mode = "mock"
)

// Status is the status of a run, step, task or execution; it is spelled the same in SQL, JSON, CLI and pages.
type Status string

const (
	Pending    Status = "pending"
	Ready      Status = "ready"
	Dispatched Status = "dispatched"
	Planned    Status = "planned"
	Launching  Status = "launching"
	Launched   Status = "launched"
	Running    Status = "running"
	Finished   Status = "finished"
	Success    Status = "success"
	Failed     Status = "failed"
	Cancelled  Status = "cancelled"
	Skipped    Status = "skipped"
)

// Outcome is how a finished execution ended.
type Outcome string

const (
	OutcomeNone      Outcome = ""
	OutcomeSuccess   Outcome = "success"
	OutcomeFailed    Outcome = "failed"
	OutcomeCancelled Outcome = "cancelled"
	OutcomeLost      Outcome = "lost"
	OutcomeRejected  Outcome = "rejected"
)

// Scope says what a stop reaches: only what was never sent, or what lives too.
type Scope string

const (
	ScopeUnsent Scope = "unsent"
	ScopeAll    Scope = "all"
)

// Reasons of tasks and executions that did not succeed.
const (
	ReasonExitCode         = "exit_code"
	ReasonSignal           = "signal"
	ReasonOutOfMemory      = "out_of_memory"
	ReasonTimeout          = "timeout"
	ReasonPlatform         = "platform"
	ReasonLost             = "lost"
	ReasonRejected         = "rejected"
	ReasonLaunchUnknown    = "launch_unknown"
	ReasonCancelled        = "cancelled"
	ReasonCancelledOutside = "cancelled_outside"
	ReasonQuota            = "quota"
)

// Kind is one of the four things that have a status.
type Kind string

const (
	KindRun       Kind = "run"
	KindStep      Kind = "step"
	KindTask      Kind = "task"
	KindExecution Kind = "execution"
)

// Transition is one legal change of status, and why it happens.
type Transition struct {
	Kind     Kind
	From, To Status
	Why      string
}

// Transitions is the complete table. SQL guards take the statuses that they leave from it, the README's diagram is made of it, and a status that no row leaves is final.
var Transitions = []Transition{
	{KindRun, Pending, Running, "its first step is ready"},
	{KindRun, Pending, Failed, "a stop came before any step"},
	{KindRun, Pending, Cancelled, "a stop came before any step"},
	{KindRun, Running, Success, "every step succeeded or was skipped"},
	{KindRun, Running, Failed, "a step failed"},
	{KindRun, Running, Cancelled, "a stop ended a step"},

	{KindStep, Pending, Ready, "what it needs has succeeded"},
	{KindStep, Pending, Skipped, "what it needs did not succeed"},
	{KindStep, Pending, Failed, "a stop"},
	{KindStep, Pending, Cancelled, "a stop"},
	{KindStep, Ready, Running, "its first tasks exist"},
	{KindStep, Ready, Failed, "a stop"},
	{KindStep, Ready, Cancelled, "a stop"},
	{KindStep, Running, Success, "at most the tolerated number of tasks failed"},
	{KindStep, Running, Failed, "more tasks failed than are tolerated"},
	{KindStep, Running, Cancelled, "a stop cancelled tasks"},

	{KindTask, Pending, Dispatched, "it was put into an execution"},
	{KindTask, Pending, Cancelled, "a stop"},
	{KindTask, Pending, Skipped, "its step is skipped"},
	{KindTask, Dispatched, Running, "its execution runs"},
	{KindTask, Dispatched, Success, "its execution ended"},
	{KindTask, Dispatched, Failed, "its execution ended, was rejected or lost"},
	{KindTask, Dispatched, Cancelled, "a stop"},
	{KindTask, Dispatched, Pending, "the next attempt, or the launch never happened"},
	{KindTask, Running, Success, "its execution ended"},
	{KindTask, Running, Failed, "its execution ended or was lost"},
	{KindTask, Running, Cancelled, "a stop"},
	{KindTask, Running, Pending, "the next attempt"},

	{KindExecution, Planned, Launching, "it was claimed and is being sent"},
	{KindExecution, Planned, Finished, "a stop came before it was sent"},
	{KindExecution, Launching, Planned, "it was not sent, or refused by a quota"},
	{KindExecution, Launching, Launched, "Cloud Run gave it a name"},
	{KindExecution, Launching, Finished, "rejected or lost"},
	{KindExecution, Launched, Running, "a task of it runs"},
	{KindExecution, Launched, Finished, "it ended or was lost"},
	{KindExecution, Running, Finished, "it ended or was lost"},
}

// Sources lists the statuses from which a thing of this kind may go to the given one, as strings for SQL.
func Sources(k Kind, to Status) []string {
	var from []string
	for _, t := range Transitions {
		if t.Kind == k && t.To == to {
			from = append(from, string(t.From))
		}
	}
	return from
}

// May says whether the table has the transition.
func May(k Kind, from, to Status) bool {
	return slices.Contains(Sources(k, to), string(from))
}

// Final says whether a thing of this kind can never leave the status.
func Final(k Kind, s Status) bool {
	return !slices.ContainsFunc(Transitions, func(t Transition) bool { return t.Kind == k && t.From == s })
}

// Statuses lists every status that a thing of this kind can have, in the order of its life.
func Statuses(k Kind) []Status {
	var list []Status
	add := func(s Status) {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	for _, t := range Transitions {
		if t.Kind == k {
			add(t.From)
		}
	}
	for _, t := range Transitions {
		if t.Kind == k {
			add(t.To)
		}
	}
	return list
}
