package lifecycle

import (
	"cmp"
	"slices"
	"time"
)

// Severity says how much a finding matters.
type Severity string

const (
	// SeverityError: somebody has to do something.
	SeverityError Severity = "error"
	// SeverityWarning: something is in doubt, and is mostly settled by itself.
	SeverityWarning Severity = "warning"
	// SeverityNote: good to know.
	SeverityNote Severity = "note"
)

// FindingKind is what a finding is about. The words are stable: programs compare them.
type FindingKind string

const (
	FindingSchema            FindingKind = "schema"
	FindingMode              FindingKind = "mode"
	FindingLaunchBlocked     FindingKind = "launch_blocked"
	FindingDatabaseMark      FindingKind = "database_mark"
	FindingNoTick            FindingKind = "no_tick"
	FindingRule              FindingKind = "rule"
	FindingUnknownSend       FindingKind = "unknown_send"
	FindingJobUnreadable     FindingKind = "job_unreadable"
	FindingJobGone           FindingKind = "job_gone"
	FindingJobNotReady       FindingKind = "job_not_ready"
	FindingJobPermissions    FindingKind = "job_permissions"
	FindingJobContainers     FindingKind = "job_containers"
	FindingJobUnchecked      FindingKind = "job_unchecked"
	FindingJobRetries        FindingKind = "job_retries"
	FindingJobTimeout        FindingKind = "job_timeout"
	FindingStrangers         FindingKind = "started_by_others"
	FindingOrphan            FindingKind = "orphan"
	FindingLaunchFound       FindingKind = "launch_found"
	FindingLaunchUnknown     FindingKind = "launch_unknown"
	FindingExecutionGone     FindingKind = "execution_gone"
	FindingTasksUnknown      FindingKind = "tasks_unknown"
	FindingOtherInstallation FindingKind = "other_installation"
)

// severities are the kinds of findings, in the order in which they are told.
var severities = []struct {
	kind     FindingKind
	severity Severity
}{
	{FindingSchema, SeverityError}, {FindingMode, SeverityError}, {FindingDatabaseMark, SeverityError}, {FindingLaunchBlocked, SeverityError},
	{FindingUnknownSend, SeverityError}, {FindingNoTick, SeverityError}, {FindingRule, SeverityError},
	{FindingJobUnreadable, SeverityError}, {FindingJobGone, SeverityError},
	{FindingJobPermissions, SeverityError}, {FindingJobNotReady, SeverityError}, {FindingJobContainers, SeverityError},
	{FindingOrphan, SeverityWarning}, {FindingLaunchFound, SeverityWarning}, {FindingLaunchUnknown, SeverityWarning},
	{FindingExecutionGone, SeverityWarning}, {FindingTasksUnknown, SeverityWarning},
	{FindingJobUnchecked, SeverityWarning}, {FindingJobRetries, SeverityWarning}, {FindingJobTimeout, SeverityWarning},
	{FindingStrangers, SeverityNote}, {FindingOtherInstallation, SeverityNote},
}

// Finding is something that is not as it should be, or that somebody should know.
type Finding struct {
	Kind    FindingKind
	Subject string // what and where: a job, an execution, a step
	Run     string // WORKFLOW.NUMBER, empty where it concerns no run
	Detail  string // what was seen
	Action  string // what happens by itself, or what to do
	Since   *time.Time
	Fixed   bool // it was put right just now
}

func (f Finding) rank() int {
	for i, s := range severities {
		if s.kind == f.Kind {
			return i
		}
	}
	return len(severities)
}

// Severity is that of the finding's kind.
func (f Finding) Severity() Severity {
	if i := f.rank(); i < len(severities) {
		return severities[i].severity
	}
	return SeverityError
}

// SortFindings puts the gravest first; those of one kind stay in their order.
func SortFindings(list []Finding) {
	slices.SortStableFunc(list, func(a, b Finding) int { return cmp.Compare(a.rank(), b.rank()) })
}
