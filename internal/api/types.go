// Package api holds the requests and responses of the four functions, and the client that the CLI uses.
package api

import (
	"encoding/json"
	"time"
)

// Paths below a function's root. A run reference is the run's UUID or WORKFLOW.NUMBER, as in nightly-report.42.
const (
	FunctionWorkflows = "workflows"
	FunctionTrigger   = "trigger"
	FunctionStatus    = "status"
	FunctionTick      = "tick"
)

// IdempotencyKeyHeader names the header under which a trigger may be repeated safely.
const IdempotencyKeyHeader = "Idempotency-Key"

// Limits of requests.
const (
	MaxDefinitionBytes = 1 << 20  // a definition
	MaxBodyBytes       = 64 << 10 // any other body
	MaxPageSize        = 1000
	DefaultPageSize    = 50
)

// Workflow is a workflow at its newest version.
type Workflow struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Labels      map[string]string `json:"labels,omitempty"`
	Version     int               `json:"version"`
	CreatedAt   time.Time         `json:"created_at" doc:"when the workflow was first applied"`
	UpdatedAt   time.Time         `json:"updated_at" doc:"when its newest version was applied"`
	UpdatedBy   string            `json:"updated_by"`
	TaskCount   int               `json:"task_count" doc:"tasks of all steps"`
	Steps       []WorkflowStep    `json:"steps" nullable:"false"`
	LastRun     *RunRef           `json:"last_run" doc:"the newest run, null before the first"`
	Warnings    []string          `json:"warnings,omitempty" doc:"what is legal now but may not be what was meant; only in the answer to PUT"`
	Definition  json.RawMessage   `json:"definition,omitempty" doc:"the definition as applied, complete; only for one workflow"`
}

// WorkflowStep is a step of a workflow as lists show it.
type WorkflowStep struct {
	Name      string   `json:"name"`
	Needs     []string `json:"needs" nullable:"false"`
	Job       string   `json:"job" doc:"the Cloud Run job's short name"`
	Project   string   `json:"project"`
	Region    string   `json:"region"`
	TaskCount int      `json:"task_count"`
}

// RunRef is a run in one line.
type RunRef struct {
	ID         string     `json:"id"`
	Name       string     `json:"name" doc:"WORKFLOW.NUMBER"`
	Status     string     `json:"status"`
	Mode       string     `json:"mode,omitempty" doc:"live, emulator or mock"`
	CreatedAt  time.Time  `json:"created_at"`
	FinishedAt *time.Time `json:"finished_at"`
}

// WorkflowList is one page of workflows, by name.
type WorkflowList struct {
	Workflows     []Workflow `json:"workflows" nullable:"false"`
	NextPageToken string     `json:"next_page_token" doc:"empty on the last page"`
}

// Health says that a function is there.
type Health struct {
	Status   string `json:"status" enum:"ok"`
	Function string `json:"function" enum:"workflows,trigger,status,tick,all" doc:"which one answers; all where one server has the four"`
	Version  string `json:"version" doc:"of the program that answers"`
}

// WorkflowVersion is one version in a workflow's history.
type WorkflowVersion struct {
	Version    int             `json:"version"`
	CreatedAt  time.Time       `json:"created_at"`
	CreatedBy  string          `json:"created_by"`
	Definition json.RawMessage `json:"definition"`
}

// WorkflowVersionList is one page of versions, newest first.
type WorkflowVersionList struct {
	Versions      []WorkflowVersion `json:"versions" nullable:"false"`
	NextPageToken string            `json:"next_page_token"`
}

// TriggerRequest starts a run.
type TriggerRequest struct {
	Params map[string]json.RawMessage `json:"params,omitempty" doc:"values for the workflow's params; what is left out takes its default"`
}

// CancelRequest asks a run to stop.
type CancelRequest struct {
	Reason string `json:"reason,omitempty" maxLength:"500"`
}

// Counts are tasks by status.
type Counts struct {
	Pending    int `json:"pending"`
	Dispatched int `json:"dispatched"`
	Running    int `json:"running"`
	Success    int `json:"success"`
	Failed     int `json:"failed"`
	Cancelled  int `json:"cancelled"`
	Skipped    int `json:"skipped"`
}

// Final is the number of tasks that have ended.
func (c Counts) Final() int { return c.Success + c.Failed + c.Cancelled + c.Skipped }

// Run is one run. Lists leave Steps and Params out.
type Run struct {
	ID         string                     `json:"id"`
	Name       string                     `json:"name" doc:"WORKFLOW.NUMBER"`
	Workflow   string                     `json:"workflow"`
	Number     int64                      `json:"number"`
	Version    int                        `json:"version"`
	Status     string                     `json:"status" enum:"pending,running,success,failed,cancelled"`
	Stopping   bool                       `json:"stopping" doc:"a stop was asked for and the run has not ended yet"`
	Mode       string                     `json:"mode" enum:"live,emulator,mock"`
	Params     map[string]json.RawMessage `json:"params,omitempty"`
	Origin     string                     `json:"origin"`
	CreatedBy  string                     `json:"created_by"`
	Reason     string                     `json:"reason" doc:"why it failed or was cancelled, empty otherwise"`
	TaskCount  int                        `json:"task_count"`
	Counts     Counts                     `json:"counts"`
	CreatedAt  time.Time                  `json:"created_at"`
	StartedAt  *time.Time                 `json:"started_at"`
	FinishedAt *time.Time                 `json:"finished_at"`
	Waiting    []string                   `json:"waiting" nullable:"false" doc:"what an unfinished run waits for, a sentence each"`
	Warnings   []string                   `json:"warnings,omitempty" doc:"what somebody should look at, a sentence each"`
	Steps      []Step                     `json:"steps,omitempty"`
	Executions int                        `json:"executions,omitempty" doc:"executions started so far; only for one run"`
	Retries    int                        `json:"retries,omitempty" doc:"attempts after the first; only for one run"`
	Replayed   bool                       `json:"replayed,omitempty" doc:"this run was made by an earlier request with the same Idempotency-Key"`
}

// Step is one step of a run.
type Step struct {
	Name       string     `json:"name"`
	Status     string     `json:"status" enum:"pending,ready,running,success,failed,cancelled,skipped"`
	Stopping   bool       `json:"stopping"`
	Needs      []string   `json:"needs" nullable:"false"`
	Job        string     `json:"job" doc:"the Cloud Run job's full name"`
	TaskCount  int        `json:"task_count"`
	Counts     Counts     `json:"counts"`
	Reason     string     `json:"reason"`
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
}

// RunList is one page of runs, newest first.
type RunList struct {
	Runs          []Run  `json:"runs" nullable:"false"`
	NextPageToken string `json:"next_page_token"`
}

// Task is one task of a run.
type Task struct {
	ID                    string          `json:"id" doc:"RUN_UUID/STEP/INDEX, the same across attempts"`
	Step                  string          `json:"step"`
	TaskIndex             int             `json:"task_index"`
	Status                string          `json:"status" enum:"pending,dispatched,running,success,failed,cancelled,skipped"`
	Attempt               int             `json:"attempt" doc:"1 for the first"`
	Reason                string          `json:"reason"`
	ExitCode              *int            `json:"exit_code"`
	Signal                *int            `json:"signal"`
	CloudRunExecutionName string          `json:"cloud_run_execution_name" doc:"the full name; empty before Cloud Run has given one"`
	LogURI                string          `json:"log_uri"`
	Params                json.RawMessage `json:"params" doc:"the task's item; null where its index says it all"`
	DispatchedAt          *time.Time      `json:"dispatched_at"`
	StartedAt             *time.Time      `json:"started_at"`
	FinishedAt            *time.Time      `json:"finished_at"`
}

// TaskList is one page of tasks, by step and index.
type TaskList struct {
	Tasks         []Task `json:"tasks" nullable:"false"`
	NextPageToken string `json:"next_page_token"`
}

// Execution is one row of the ledger: a Cloud Run execution of ours, planned, live or ended.
type Execution struct {
	ID                    string     `json:"id"`
	Step                  string     `json:"step"`
	Job                   string     `json:"job"`
	Status                string     `json:"status" enum:"planned,launching,launched,running,finished"`
	Outcome               string     `json:"outcome" doc:"success, failed, cancelled, lost or rejected once finished"`
	Indexes               string     `json:"indexes" doc:"the tasks that it carries, as ranges: 0-4,7"`
	TaskCount             int        `json:"task_count"`
	Send                  int        `json:"send"`
	CloudRunExecutionName string     `json:"cloud_run_execution_name"`
	Image                 string     `json:"image"`
	LogURI                string     `json:"log_uri"`
	Reason                string     `json:"reason"`
	Running               int        `json:"running"`
	Succeeded             int        `json:"succeeded"`
	Failed                int        `json:"failed"`
	Cancelled             int        `json:"cancelled"`
	CreatedAt             time.Time  `json:"created_at"`
	SentAt                *time.Time `json:"sent_at"`
	StartedAt             *time.Time `json:"started_at"`
	FinishedAt            *time.Time `json:"finished_at"`
}

// ExecutionList is one page of executions of a run, newest first.
type ExecutionList struct {
	Executions    []Execution `json:"executions" nullable:"false"`
	NextPageToken string      `json:"next_page_token"`
}

// Event is something that happened to a run, a step or the installation.
type Event struct {
	Seq     int64     `json:"seq"`
	At      time.Time `json:"at"`
	Run     string    `json:"run" doc:"WORKFLOW.NUMBER, empty for what concerns the whole installation"`
	Kind    string    `json:"kind"`
	Actor   string    `json:"actor"`
	Subject string    `json:"subject"`
	Detail  string    `json:"detail"`
}

// EventList is one page of events, newest first.
type EventList struct {
	Events        []Event `json:"events" nullable:"false"`
	NextPageToken string  `json:"next_page_token"`
}

// Overview is the installation at a glance.
type Overview struct {
	Mode                string     `json:"mode" enum:"live,emulator,mock"`
	Installation        string     `json:"installation"`
	Version             string     `json:"version" doc:"of the program that answers"`
	SchemaVersion       int        `json:"schema_version"`
	LaunchBlockedReason string     `json:"launch_blocked_reason" doc:"nothing is launched while this is set"`
	UnfinishedRuns      int        `json:"unfinished_runs"`
	Workflows           int        `json:"workflows"`
	LastTickAt          *time.Time `json:"last_tick_at" doc:"null before the first"`
	Now                 time.Time  `json:"now"`
}

// TickReport says what one call of tick did.
type TickReport struct {
	Passes   int           `json:"passes"`
	Moved    int           `json:"moved"`
	TookMS   int64         `json:"took_ms"`
	Phases   []PhaseReport `json:"phases" nullable:"false"`
	Errors   []string      `json:"errors" nullable:"false" doc:"empty when every phase of every pass went well"`
	NextDue  *time.Time    `json:"next_due" doc:"when something is due next, null when nothing is"`
	Active   bool          `json:"active" doc:"unfinished runs are left"`
	Finished []string      `json:"finished" nullable:"false" doc:"runs that became final, as WORKFLOW.NUMBER STATUS"`
}

// PhaseReport is one phase's part in all passes of a tick.
type PhaseReport struct {
	Phase  string `json:"phase"`
	Moved  int    `json:"moved"`
	TookMS int64  `json:"took_ms"`
}

// Problem is an RFC 9457 error.
type Problem struct {
	Type   string         `json:"type,omitempty"`
	Title  string         `json:"title"`
	Status int            `json:"status"`
	Detail string         `json:"detail"`
	ID     string         `json:"id,omitempty" doc:"for an unknown error: the id under which the log has the details"`
	Errors []ProblemField `json:"errors,omitempty"`
}

// ProblemField is one fault of a request.
type ProblemField struct {
	Message  string `json:"message"`
	Location string `json:"location,omitempty" doc:"the field's path, as in body.steps.load.tasks.count"`
}
