package lifecycle

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Stop is a request to end a run, a step or an execution. The first As stays; ScopeAll overrides ScopeUnsent.
type Stop struct {
	RequestedAt *time.Time
	As          Status // Failed or Cancelled
	Scope       Scope
	Reason      string
}

// Requested says whether there is a stop at all.
func (s Stop) Requested() bool { return s.RequestedAt != nil }

// Counts are the tasks of a step, or of a run, by status.
type Counts struct {
	Pending, Dispatched, Running, Success, Failed, Cancelled, Skipped int
}

// Open is the number of tasks that have not ended.
func (c Counts) Open() int { return c.Pending + c.Dispatched + c.Running }

// Workflow is a workflow at its newest version.
type Workflow struct {
	ID          uuid.UUID
	Name        string
	Description string
	Version     int
	CreatedAt   time.Time
	UpdatedAt   time.Time
	UpdatedBy   string
	ArchivedAt  *time.Time
	Spec        json.RawMessage // a workflow.Spec
	LastRun     *RunRef
}

// WorkflowVersion is one version in a workflow's history.
type WorkflowVersion struct {
	Version   int
	CreatedAt time.Time
	CreatedBy string
	Spec      json.RawMessage
}

// RunRef is a run in one line.
type RunRef struct {
	ID         uuid.UUID
	Number     int64
	Status     Status
	Mode       Mode
	CreatedAt  time.Time
	FinishedAt *time.Time
}

// Run is one triggering of one version of a workflow.
type Run struct {
	ID        uuid.UUID
	Workflow  string
	Number    int64
	Version   int
	Status    Status
	Mode      Mode
	Params    json.RawMessage
	Origin    string
	CreatedBy string
	// MaxExecutions is how many executions of its workflow may live at once by this version; 0 is no limit.
	MaxExecutions int
	Stop          Stop
	Reason        string
	TaskCount     int
	Counts        Counts
	CreatedAt     time.Time
	StartedAt     *time.Time
	FinishedAt    *time.Time
}

// Step is one node of a run's graph.
type Step struct {
	RunID         uuid.UUID
	StepNo        int
	Name          string
	Status        Status
	Needs         []int
	TaskCount     int
	Expanded      int // tasks that exist as rows
	Tolerated     int
	MaxExecutions int // 0: no limit
	Counts        Counts
	Stop          Stop
	Reason        string
	ReadyAt       *time.Time
	StartedAt     *time.Time
	FinishedAt    *time.Time
}

// Task is the smallest unit of user work.
type Task struct {
	RunID         uuid.UUID
	Step          string
	StepNo        int
	Index         int
	Status        Status
	Attempt       int
	Returns       int
	Params        json.RawMessage
	ExitCode      *int
	Signal        *int
	Reason        string
	ExecutionName string
	LogURI        string
	DispatchedAt  *time.Time
	StartedAt     *time.Time
	FinishedAt    *time.Time
}

// Execution is one row of the ledger.
type Execution struct {
	ID         uuid.UUID
	RunID      uuid.UUID
	StepNo     int
	Step       string
	Job        string // full name
	Status     Status
	Outcome    Outcome
	Indexes    Ranges
	TaskCount  int
	Send       int // raised when a send was refused by a quota; part of the marker
	Claim      uuid.UUID
	SentAt     *time.Time
	NotFoundAt *time.Time // the first look that found nothing; of a launching row: that did not find its job
	// UndecidedSince is when the first of the looks was that settle nothing; nil after one that did.
	UndecidedSince *time.Time
	Name           string // Cloud Run's full name, empty before there is one
	Image          string
	LogURI         string
	Reason         string
	Stop           Stop
	CancelSent     *time.Time
	Progress       Progress
	CreatedAt      time.Time
	LaunchedAt     *time.Time
	StartedAt      *time.Time
	FinishedAt     *time.Time
	ClaimedAt      time.Time // the database's clock when this claim was made
}

// Progress are an execution's task counts as Cloud Run last gave them.
type Progress struct {
	Running, Succeeded, Failed, Cancelled, Retried int
}

// Event is something that happened to a run, a step or the installation.
type Event struct {
	Seq     int64
	At      time.Time
	RunID   *uuid.UUID
	Run     string // WORKFLOW.NUMBER
	Kind    string
	Actor   string
	Subject string
	Detail  string
}
