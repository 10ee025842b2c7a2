package functions

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func moment(hour int) *time.Time {
	t := time.Date(2026, 11, 24, hour, 0, 0, 0, time.FixedZone("CET", 3600))
	return &t
}

func ptr[T any](v T) *T { return &v }

// must unwraps an encoder that can fail.
func must[T any](v T, err error) func(*testing.T) any {
	return func(t *testing.T) any {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestAnswersLookAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("0199b3c2-7d41-7c0e-9a55-0d2f7a1b6c11")
	stop := lifecycle.Stop{RequestedAt: moment(3), As: lifecycle.Cancelled}
	spec := json.RawMessage(`{"name":"nightly","steps":[{"name":"a","job":{"project":"p","region":"r","name":"j"},"tasks":{"count":3}},{"name":"b","needs":["a"],"job":{"project":"p","region":"r","name":"k"},"tasks":{"items":[1,2]}}]}`)
	running := lifecycle.Run{ID: id, Workflow: "nightly", Number: 42, Version: 2, Status: lifecycle.Running, Mode: lifecycle.Mock, Stop: stop, Params: json.RawMessage(`{"day":1}`), CreatedAt: *moment(1), StartedAt: moment(2)}
	ended := running
	ended.Status, ended.FinishedAt, ended.Params = lifecycle.Cancelled, moment(4), nil
	const runID = `"id":"0199b3c2-7d41-7c0e-9a55-0d2f7a1b6c11","name":"nightly.42"`
	const runFields = runID + `,"workflow":"nightly","number":42,"version":2`
	const noCounts = `{"pending":0,"dispatched":0,"running":0,"success":0,"failed":0,"cancelled":0,"skipped":0}`
	for _, c := range []struct {
		name, schema string
		value        func(*testing.T) any
		want         string
	}{
		{"a workflow that never ran", "Workflow", must(encodeWorkflow(lifecycle.Workflow{Name: "nightly", Version: 1, CreatedAt: *moment(1), UpdatedAt: *moment(2), UpdatedBy: "ada", Spec: spec})),
			`{"name":"nightly","description":"","version":1,"created_at":"2026-11-24T00:00:00Z","updated_at":"2026-11-24T01:00:00Z","updated_by":"ada","task_count":5,"steps":[` +
				`{"name":"a","needs":[],"job":"j","project":"p","region":"r","task_count":3},{"name":"b","needs":["a"],"job":"k","project":"p","region":"r","task_count":2}],"last_run":null}`},
		{"a run that stops", "Run", must(encodeRun(running)),
			`{` + runFields + `,"status":"running","stopping":true,"mode":"mock","params":{"day":1},"origin":"","created_by":"","reason":"","task_count":0,"counts":` + noCounts +
				`,"created_at":"2026-11-24T00:00:00Z","started_at":"2026-11-24T01:00:00Z","finished_at":null,"waiting":[]}`},
		{"a run that has ended, in a list", "Run", func(*testing.T) any {
			return encodeSummary(engine.RunSummary{Run: ended, Waiting: []string{"for nothing"}})
		},
			`{` + runFields + `,"status":"cancelled","stopping":false,"mode":"mock","origin":"","created_by":"","reason":"","task_count":0,"counts":` + noCounts +
				`,"created_at":"2026-11-24T00:00:00Z","started_at":"2026-11-24T01:00:00Z","finished_at":"2026-11-24T03:00:00Z","waiting":["for nothing"]}`},
		{"a run in full", "Run", must(encodeDetail(engine.RunDetail{Run: ended, Executions: 7, Retries: 1, Warnings: []string{"look"}, Steps: []engine.StepDetail{
			{Step: lifecycle.Step{Name: "a", Status: lifecycle.Running, Needs: []int{0}, TaskCount: 3, Counts: lifecycle.Counts{Pending: 1, Dispatched: 2, Running: 3, Success: 4, Failed: 5, Cancelled: 6, Skipped: 7}, Stop: stop}, Job: "projects/p/locations/r/jobs/j"},
		}})),
			`{` + runFields + `,"status":"cancelled","stopping":false,"mode":"mock","origin":"","created_by":"","reason":"","task_count":0,"counts":` + noCounts +
				`,"created_at":"2026-11-24T00:00:00Z","started_at":"2026-11-24T01:00:00Z","finished_at":"2026-11-24T03:00:00Z","waiting":[],"warnings":["look"],"steps":[` +
				`{"name":"a","status":"running","stopping":true,"needs":[],"job":"projects/p/locations/r/jobs/j","task_count":3,"counts":{"pending":1,"dispatched":2,"running":3,"success":4,"failed":5,"cancelled":6,"skipped":7},"reason":"","started_at":null,"finished_at":null}` +
				`],"executions":7,"retries":1}`},
		{"a task that waits", "Task", func(*testing.T) any {
			return encodeTask(lifecycle.Task{RunID: id, Step: "main", Index: 17, Status: lifecycle.Pending, Attempt: 1, Params: json.RawMessage{}})
		},
			`{"id":"0199b3c2-7d41-7c0e-9a55-0d2f7a1b6c11/main/17","step":"main","task_index":17,"status":"pending","attempt":1,"reason":"","exit_code":null,"signal":null,"cloud_run_execution_name":"","log_uri":"","params":null,"dispatched_at":null,"started_at":null,"finished_at":null}`},
		{"a task that failed", "Task", func(*testing.T) any {
			return encodeTask(lifecycle.Task{RunID: id, Step: "main", Status: lifecycle.Failed, Attempt: 3, Reason: "exit_code", ExitCode: ptr(2), Signal: ptr(9), ExecutionName: "x", LogURI: "u",
				Params: json.RawMessage(`"<a>"`), DispatchedAt: moment(1), StartedAt: moment(2), FinishedAt: moment(3)})
		},
			`{"id":"0199b3c2-7d41-7c0e-9a55-0d2f7a1b6c11/main/0","step":"main","task_index":0,"status":"failed","attempt":3,"reason":"exit_code","exit_code":2,"signal":9,"cloud_run_execution_name":"x","log_uri":"u","params":"<a>","dispatched_at":"2026-11-24T00:00:00Z","started_at":"2026-11-24T01:00:00Z","finished_at":"2026-11-24T02:00:00Z"}`},
		{"an execution", "Execution", func(*testing.T) any {
			return encodeExecution(lifecycle.Execution{ID: id, Step: "main", Job: "j", Status: lifecycle.Finished, Outcome: lifecycle.OutcomeLost, Indexes: lifecycle.RangesOf(0, 1, 2, 7), TaskCount: 4, Send: 2, Name: "n", Image: "i", LogURI: "u", Reason: "lost",
				Progress: lifecycle.Progress{Running: 1, Succeeded: 2, Failed: 3, Cancelled: 4}, CreatedAt: *moment(1), SentAt: moment(2), StartedAt: moment(3), FinishedAt: moment(4)})
		},
			`{"id":"0199b3c2-7d41-7c0e-9a55-0d2f7a1b6c11","step":"main","job":"j","status":"finished","outcome":"lost","indexes":"0-2,7","task_count":4,"send":2,"cloud_run_execution_name":"n","image":"i","log_uri":"u","reason":"lost","running":1,"succeeded":2,"failed":3,"cancelled":4,` +
				`"created_at":"2026-11-24T00:00:00Z","sent_at":"2026-11-24T01:00:00Z","started_at":"2026-11-24T02:00:00Z","finished_at":"2026-11-24T03:00:00Z"}`},
		{"an event", "Event", func(*testing.T) any {
			return encodeEvent(lifecycle.Event{Seq: 5, At: *moment(1), RunID: &id, Run: "nightly.42", Kind: "created", Actor: "ada", Subject: "run", Detail: "d"})
		},
			`{"seq":5,"at":"2026-11-24T00:00:00Z","run":"nightly.42","kind":"created","actor":"ada","subject":"run","detail":"d"}`},
		{"the overview of a new installation", "Overview", func(*testing.T) any {
			return encodeOverview(engine.Overview{Mode: lifecycle.Live, Installation: "i", SchemaVersion: 1, UnfinishedRuns: 2, Workflows: 3, LaunchBlockedReason: "r", Now: *moment(1)}, "v1")
		},
			`{"mode":"live","installation":"i","version":"v1","schema_version":1,"launch_blocked_reason":"r","unfinished_runs":2,"workflows":3,"last_tick_at":null,"now":"2026-11-24T00:00:00Z"}`},
		{"the report of a tick that found nothing", "TickReport", func(*testing.T) any { return encodeReport(engine.Report{Passes: 1}) },
			`{"passes":1,"moved":0,"took_ms":0,"phases":[],"errors":[],"next_due":null,"active":false,"finished":[]}`},
		{"the report of a tick that failed", "TickReport", func(*testing.T) any {
			return encodeReport(engine.Report{Passes: 2, Moved: 3, Took: 1500 * time.Microsecond, Phases: []engine.PhaseReport{{Phase: "launch", Moved: 3, Took: time.Second}},
				Errors: []string{"launch: x"}, NextDue: moment(1), Active: true, Finished: []engine.Finished{{Run: "nightly.42", Status: lifecycle.Success, Tasks: 2}}})
		},
			`{"passes":2,"moved":3,"took_ms":1,"phases":[{"phase":"launch","moved":3,"took_ms":1000}],"errors":["launch: x"],"next_due":"2026-11-24T00:00:00Z","active":true,"finished":["nightly.42 success"]}`},
		{"the report of a doctor that found nothing", "DoctorReport", func(*testing.T) any {
			return encodeCheckup(engine.Checkup{Health: lifecycle.Health{Mode: lifecycle.Mock, Now: *moment(1)}})
		},
			`{"findings":[],"checked":{"at":"2026-11-24T00:00:00Z","installation":"00000000-0000-0000-0000-000000000000","mode":"mock","schema_version":0,"last_tick_at":null,"last_tick_by":"","rules":0,"executions":0,"calls":0,"compared_jobs":0,"jobs":[],"not_looked":[],"took_ms":0}}`},
		{"the report of a doctor that found something", "DoctorReport", func(*testing.T) any {
			return encodeCheckup(engine.Checkup{Health: lifecycle.Health{Installation: id, Mode: lifecycle.Live, SchemaVersion: 2, Now: *moment(1), LastTickAt: moment(2), LastTickBy: "b"}, Rules: 3, Rows: 4, Calls: 5, Compared: 6, Took: time.Second,
				Jobs: []engine.CheckedJob{{Job: "j", Listed: 6, Back: moment(2)}, {Job: "k", Complete: true}}, NotLooked: []string{"the rest"},
				Findings: []lifecycle.Finding{{Kind: lifecycle.FindingOrphan, Subject: "x", Run: "nightly.42", Detail: "d", Action: "a", Since: moment(3), Fixed: true}, {Kind: lifecycle.FindingRule}}})
		},
			`{"findings":[{"kind":"orphan","severity":"warning","subject":"x","run":"nightly.42","detail":"d","action":"a","since":"2026-11-24T02:00:00Z","fixed":true},` +
				`{"kind":"rule","severity":"error","subject":"","run":"","detail":"","action":"","since":null,"fixed":false}],` +
				`"checked":{"at":"2026-11-24T00:00:00Z","installation":"0199b3c2-7d41-7c0e-9a55-0d2f7a1b6c11","mode":"live","schema_version":2,"last_tick_at":"2026-11-24T01:00:00Z","last_tick_by":"b","rules":3,"executions":4,"calls":5,"compared_jobs":6,` +
				`"jobs":[{"job":"j","listed":6,"back":"2026-11-24T01:00:00Z","complete":false},{"job":"k","listed":0,"back":null,"complete":true}],"not_looked":["the rest"],"took_ms":1000}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text, err := json.Marshal(c.value(t))
			if err != nil {
				t.Fatal(err)
			}
			var got, want any
			if err := errors.Join(json.Unmarshal(text, &got), json.Unmarshal([]byte(c.want), &want)); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
			checkSchema(t, c.schema, got)
		})
	}
}

// checkSchema compares an answer with what the OpenAPI document says of it.
func checkSchema(t *testing.T, name string, value any) {
	t.Helper()
	schemas := New(Options{}).api.OpenAPI().Components.Schemas
	var result huma.ValidateResult
	huma.Validate(schemas, schemas.Map()[name], huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, value, &result)
	if err := errors.Join(result.Errors...); err != nil {
		t.Errorf("the document says otherwise: %v", err)
	}
}

func TestWhatCannotBeReadIsAnErrorThatNamesIt(t *testing.T) {
	t.Parallel()
	if _, err := encodeWorkflow(lifecycle.Workflow{Name: "nightly", Version: 3, Spec: json.RawMessage("{")}); err == nil || err.Error() != "workflow nightly version 3: read its definition: unexpected end of JSON input" {
		t.Errorf("workflow: %v", err)
	}
	if _, err := encodeRun(lifecycle.Run{Workflow: "nightly", Number: 3, Params: json.RawMessage("[]")}); err == nil {
		t.Error("params that are a list are no error")
	}
}

func TestATickThatFailedBeforeItsPhasesSaysWhy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"nothing that a caller may know", errors.New("password=hunter2"), "something went wrong inside the orchestrator; its log has the details under the id x1"},
		{"a database that starts", sqlError("57P03"), "the database cannot be reached or has no room for another connection; try again in a moment"},
	} {
		if got := tickError(c.err, "x1"); got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}
