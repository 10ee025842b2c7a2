package functions

import (
	"encoding/json"
	"fmt"
	"time"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/workflow"
)

// encodeAll never gives nil: an empty list is [] to a caller, not null.
func encodeAll[From, To any](list []From, encode func(From) To) []To {
	out := make([]To, len(list))
	for i, v := range list {
		out[i] = encode(v)
	}
	return out
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// rawOrNull keeps an empty value from the encoder, which refuses it.
func rawOrNull(m json.RawMessage) json.RawMessage {
	if len(m) == 0 {
		return nil
	}
	return m
}

func runName(workflow string, number int64) string { return fmt.Sprintf("%s.%d", workflow, number) }

// encodeWorkflow leaves the definition out.
func encodeWorkflow(w lifecycle.Workflow) (api.Workflow, error) {
	var spec workflow.Spec
	if err := json.Unmarshal(w.Spec, &spec); err != nil {
		return api.Workflow{}, fmt.Errorf("workflow %s version %d: read its definition: %w", w.Name, w.Version, err)
	}
	out := api.Workflow{
		Name: w.Name, Description: w.Description, Labels: spec.Labels, Version: w.Version,
		CreatedAt: w.CreatedAt.UTC(), UpdatedAt: w.UpdatedAt.UTC(), UpdatedBy: w.UpdatedBy,
		Steps: encodeAll(spec.Steps, encodeWorkflowStep),
	}
	for _, s := range out.Steps {
		out.TaskCount += s.TaskCount
	}
	if r := w.LastRun; r != nil {
		out.LastRun = &api.RunRef{
			ID: r.ID.String(), Name: runName(w.Name, r.Number), Status: string(r.Status), Mode: string(r.Mode),
			CreatedAt: r.CreatedAt.UTC(), FinishedAt: utc(r.FinishedAt),
		}
	}
	return out, nil
}

func encodeWorkflowStep(s workflow.Step) api.WorkflowStep {
	return api.WorkflowStep{
		Name: s.Name, Needs: orEmpty(s.Needs), Job: s.Job.Name, Project: s.Job.Project, Region: s.Job.Region, TaskCount: s.Tasks.Len(),
	}
}

func encodeVersion(v lifecycle.WorkflowVersion) api.WorkflowVersion {
	return api.WorkflowVersion{Version: v.Version, CreatedAt: v.CreatedAt.UTC(), CreatedBy: v.CreatedBy, Definition: rawOrNull(v.Spec)}
}

// runFields are what lists and single runs have in common.
func runFields(r lifecycle.Run) api.Run {
	return api.Run{
		ID: r.ID.String(), Name: runName(r.Workflow, r.Number), Workflow: r.Workflow, Number: r.Number, Version: r.Version,
		Status: string(r.Status), Stopping: stopping(lifecycle.KindRun, r.Status, r.Stop), Mode: string(r.Mode),
		Origin: r.Origin, CreatedBy: r.CreatedBy, Reason: r.Reason, TaskCount: r.TaskCount, Counts: api.Counts(r.Counts),
		CreatedAt: r.CreatedAt.UTC(), StartedAt: utc(r.StartedAt), FinishedAt: utc(r.FinishedAt), Waiting: []string{},
	}
}

func stopping(k lifecycle.Kind, s lifecycle.Status, stop lifecycle.Stop) bool {
	return stop.Requested() && !lifecycle.Final(k, s)
}

func encodeRun(r lifecycle.Run) (api.Run, error) {
	out := runFields(r)
	if len(r.Params) > 0 {
		if err := json.Unmarshal(r.Params, &out.Params); err != nil {
			return api.Run{}, fmt.Errorf("run %s: read its params: %w", out.Name, err)
		}
	}
	return out, nil
}

func encodeSummary(s engine.RunSummary) api.Run {
	out := runFields(s.Run)
	out.Waiting = orEmpty(s.Waiting)
	return out
}

func encodeDetail(d engine.RunDetail) (api.Run, error) {
	out, err := encodeRun(d.Run)
	if err != nil {
		return api.Run{}, err
	}
	out.Waiting, out.Warnings = orEmpty(d.Waiting), d.Warnings
	out.Steps = encodeAll(d.Steps, encodeStep)
	out.Executions, out.Retries = d.Executions, d.Retries
	return out, nil
}

func encodeStep(s engine.StepDetail) api.Step {
	return api.Step{
		Name: s.Name, Status: string(s.Status), Stopping: stopping(lifecycle.KindStep, s.Status, s.Stop),
		Needs: orEmpty(s.Needs), Job: s.Job, TaskCount: s.TaskCount, Counts: api.Counts(s.Counts), Reason: s.Reason,
		StartedAt: utc(s.StartedAt), FinishedAt: utc(s.FinishedAt),
	}
}

func encodeTask(t lifecycle.Task) api.Task {
	return api.Task{
		ID: fmt.Sprintf("%s/%s/%d", t.RunID, t.Step, t.Index), Step: t.Step, TaskIndex: t.Index, Status: string(t.Status), Attempt: t.Attempt,
		Reason: t.Reason, ExitCode: t.ExitCode, Signal: t.Signal, CloudRunExecutionName: t.ExecutionName, LogURI: t.LogURI,
		Params: rawOrNull(t.Params), DispatchedAt: utc(t.DispatchedAt), StartedAt: utc(t.StartedAt), FinishedAt: utc(t.FinishedAt),
	}
}

func encodeExecution(x lifecycle.Execution) api.Execution {
	return api.Execution{
		ID: x.ID.String(), Step: x.Step, Job: x.Job, Status: string(x.Status), Outcome: string(x.Outcome),
		Indexes: x.Indexes.String(), TaskCount: x.TaskCount, Send: x.Send, CloudRunExecutionName: x.Name,
		Image: x.Image, LogURI: x.LogURI, Reason: x.Reason,
		Running: x.Progress.Running, Succeeded: x.Progress.Succeeded, Failed: x.Progress.Failed, Cancelled: x.Progress.Cancelled,
		CreatedAt: x.CreatedAt.UTC(), SentAt: utc(x.SentAt), StartedAt: utc(x.StartedAt), FinishedAt: utc(x.FinishedAt),
	}
}

func encodeEvent(e lifecycle.Event) api.Event {
	return api.Event{Seq: e.Seq, At: e.At.UTC(), Run: e.Run, Kind: e.Kind, Actor: e.Actor, Subject: e.Subject, Detail: e.Detail}
}

func encodeOverview(o engine.Overview, version string) api.Overview {
	return api.Overview{
		Mode: string(o.Mode), Installation: o.Installation, Version: version, SchemaVersion: o.SchemaVersion,
		LaunchBlockedReason: o.LaunchBlockedReason, UnfinishedRuns: o.UnfinishedRuns, Workflows: o.Workflows,
		LastTickAt: utc(o.LastTickAt), Now: o.Now.UTC(),
	}
}

func encodeReport(r engine.Report) api.TickReport {
	return api.TickReport{
		Passes: r.Passes, Moved: r.Moved, TookMS: r.Took.Milliseconds(), Phases: encodeAll(r.Phases, encodePhase),
		Errors: orEmpty(r.Errors), NextDue: utc(r.NextDue), Active: r.Active, Finished: encodeAll(r.Finished, engine.Finished.String),
	}
}

func encodePhase(p engine.PhaseReport) api.PhaseReport {
	return api.PhaseReport{Phase: p.Phase, Moved: p.Moved, TookMS: p.Took.Milliseconds()}
}

func encodeCheckup(c engine.Checkup) api.DoctorReport {
	return api.DoctorReport{
		Findings: encodeAll(c.Findings, encodeFinding),
		Checked: api.DoctorChecked{
			At: c.Health.Now.UTC(), Installation: c.Health.Installation.String(), Mode: string(c.Health.Mode), SchemaVersion: c.Health.SchemaVersion,
			LastTickAt: utc(c.Health.LastTickAt), LastTickBy: c.Health.LastTickBy, ComparedJobs: c.Compared,
			Rules: c.Rules, Executions: c.Rows, Calls: c.Calls, Jobs: encodeAll(c.Jobs, encodeCheckedJob), NotLooked: orEmpty(c.NotLooked), TookMS: c.Took.Milliseconds(),
		},
	}
}

func encodeRestored(r engine.Restored) api.RestoreReport {
	return api.RestoreReport{
		Done: r.Done, Remembered: r.Remembered, StoppedSteps: r.Stopped, Waiting: orEmpty(r.Waiting), NextAt: utc(r.NextAt), Jobs: r.Jobs, TookMS: r.Took.Milliseconds(),
		LeftAlone: encodeAll(r.LeftAlone, func(l lifecycle.LeftAlone) api.RestoreLeftAlone {
			return api.RestoreLeftAlone{Execution: l.Name, Run: l.Run, Why: l.Why, Ended: l.Ended}
		}),
		Unseen: encodeAll(r.Unseen, func(u engine.Unseen) api.RestoreUnseen {
			return api.RestoreUnseen{Job: u.Job, From: u.From.UTC(), Steps: u.Steps}
		}),
	}
}

func encodeFinding(f lifecycle.Finding) api.DoctorFinding {
	return api.DoctorFinding{
		Kind: string(f.Kind), Severity: string(f.Severity()), Subject: f.Subject, Run: f.Run, Detail: f.Detail, Action: f.Action, Since: utc(f.Since), Fixed: f.Fixed,
	}
}

func encodeCheckedJob(j engine.CheckedJob) api.DoctorJob {
	return api.DoctorJob{Job: j.Job, Listed: j.Listed, Back: utc(j.Back), Complete: j.Complete}
}
