package functions_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/app"
	"cloud-run-orchestrator/internal/config"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/testdb"

	"github.com/google/go-cmp/cmp"
)

const nightly = `{"name":"nightly","params":{"day":"today"},"job":{"project":"p1","region":"us-central1","name":"load"},"tasks":{"count":2}}`

// server is a whole orchestrator in mock mode behind a socket.
type server struct {
	t   *testing.T
	url string
}

func start(t *testing.T, dsn string) *server {
	t.Helper()
	env := map[string]string{"ORCHESTRATOR_MODE": "mock", "DATABASE_URL": dsn, "ORCHESTRATOR_TICK_BUDGET": "5s"}
	cfg, err := config.Load(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.Open(t.Context(), cfg, "v1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(a.Functions.All())
	t.Cleanup(func() {
		s.Close()
		if err := a.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &server{t, s.URL}
}

func startNew(t *testing.T) *server {
	t.Helper()
	return start(t, testdb.New(t, testdb.Mode(lifecycle.Mock)).DSN)
}

// call makes a request, demands its status and decodes its body into out, where there is one.
func (s *server) call(status int, method, path, body string, out any, headers ...string) string {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if method != http.MethodGet {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if res.StatusCode != status {
		s.t.Fatalf("%s %s: %d %s, want %d", method, path, res.StatusCode, text, status)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			s.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return string(text)
}

// refused makes a request that fails, and gives the problem.
func (s *server) refused(status int, method, path, body string, headers ...string) api.Problem {
	s.t.Helper()
	var p api.Problem
	s.call(status, method, path, body, &p, headers...)
	return p
}

func TestAWorkflowIsAppliedListedAndArchived(t *testing.T) {
	t.Parallel()
	s := startNew(t)
	var w api.Workflow
	s.call(201, "PUT", "/workflows/nightly", nightly, &w)
	if w.Name != "nightly" || w.Version != 1 || w.TaskCount != 2 || !strings.HasPrefix(w.UpdatedBy, "local:") || w.LastRun != nil {
		t.Errorf("applied %+v", w)
	}
	want := []api.WorkflowStep{{Name: "main", Needs: []string{}, Job: "load", Project: "p1", Region: "us-central1", TaskCount: 2}}
	if d := cmp.Diff(want, w.Steps); d != "" {
		t.Errorf("steps -want +got\n%s", d)
	}
	if s.call(200, "PUT", "/workflows/nightly", nightly, &w); w.Version != 1 {
		t.Errorf("the same definition became version %d", w.Version)
	}
	changed := strings.Replace(nightly, `"count":2`, `"count":3`, 1)
	if p := s.refused(409, "PUT", "/workflows/nightly", changed, "If-None-Match", "*"); !strings.Contains(p.Detail, "nightly") {
		t.Errorf("conflict %+v", p)
	}
	if s.call(200, "PUT", "/workflows/nightly/", changed, &w); w.Version != 2 || w.TaskCount != 3 {
		t.Errorf("changed %+v", w)
	}
	if s.call(200, "GET", "/workflows/nightly", "", &w); w.Version != 2 || !strings.Contains(string(w.Definition), `"count":3`) {
		t.Errorf("read %+v", w)
	}
	var versions api.WorkflowVersionList
	s.call(200, "GET", "/workflows/nightly/versions?page_size=1", "", &versions)
	if len(versions.Versions) != 1 || versions.Versions[0].Version != 2 || versions.NextPageToken == "" {
		t.Errorf("versions %+v", versions)
	}
	s.call(200, "GET", "/workflows/nightly/versions?page_token="+versions.NextPageToken, "", &versions)
	if len(versions.Versions) != 1 || versions.Versions[0].Version != 1 || versions.NextPageToken != "" {
		t.Errorf("versions, second page %+v", versions)
	}
	if text := s.call(204, "DELETE", "/workflows/nightly", "{}", nil); text != "" {
		t.Errorf("archived: %q", text)
	}
	if got := s.call(200, "GET", "/workflows", "", nil); got != `{"workflows":[],"next_page_token":""}`+"\n" {
		t.Errorf("list %s", got)
	}
	s.refused(404, "GET", "/workflows/nightly", "")
}

func TestADefinitionsFaultsAreToldWithTheirPlaces(t *testing.T) {
	t.Parallel()
	s := startNew(t)
	p := s.refused(422, "PUT", "/workflows/nightly", `{"name":"nightly","job":"projects/p/locations/us-central1/jobs/j","tasks":{"count":0},"taks":1}`)
	places := map[string]bool{}
	for _, f := range p.Errors {
		places[f.Location] = f.Message != ""
	}
	if !places["body.taks"] || !places["body.tasks.count"] {
		t.Errorf("problem %+v", p)
	}
	if p := s.refused(422, "PUT", "/workflows/other", nightly); !strings.Contains(p.Detail, "nightly") || !strings.Contains(p.Detail, "other") {
		t.Errorf("another name: %+v", p)
	}
}

func TestARunFromTriggerToSuccess(t *testing.T) {
	t.Parallel()
	s := startNew(t)
	s.call(201, "PUT", "/workflows/nightly", nightly, nil)
	var run, again api.Run
	body := `{"params":{"day":"2026-01-01"}}`
	s.call(201, "POST", "/trigger/nightly", body, &run, "Idempotency-Key", "k 1")
	if run.Name != "nightly.1" || run.Status != "pending" || run.Mode != "mock" || run.Replayed || run.TaskCount != 2 || string(run.Params["day"]) != `"2026-01-01"` {
		t.Errorf("triggered %+v", run)
	}
	if s.call(200, "POST", "/trigger/nightly", body, &again, "Idempotency-Key", "k 1"); again.ID != run.ID || !again.Replayed {
		t.Errorf("the same key and body gave %+v", again)
	}
	if p := s.refused(409, "POST", "/trigger/nightly", "{}", "Idempotency-Key", "k 1"); !strings.Contains(p.Detail, "k 1") {
		t.Errorf("the same key and another body: %+v", p)
	}
	if s.call(200, "GET", "/status/runs/"+run.ID, "", &run); run.StartedAt != nil || len(run.Steps) != 1 || run.Steps[0].Job != "projects/p1/locations/us-central1/jobs/load" {
		t.Errorf("before the first tick %+v", run)
	}
	var report api.TickReport
	s.call(200, "POST", "/tick", "", &report)
	if d := cmp.Diff([]string{"nightly.1 success"}, report.Finished); d != "" || report.Active || len(report.Errors) > 0 || len(report.Phases) == 0 {
		t.Errorf("report %+v", report)
	}
	s.call(200, "GET", "/status/runs/nightly.1", "", &run)
	if run.Status != "success" || run.Counts != (api.Counts{Success: 2}) || run.FinishedAt == nil || run.StartedAt == nil || run.Executions != 2 {
		t.Errorf("at the end %+v", run)
	}
	if p := s.refused(409, "POST", "/trigger/runs/nightly.1/cancel", "{}"); !strings.Contains(p.Detail, "nightly.1") {
		t.Errorf("cancelling what has ended: %+v", p)
	}
	var overview api.Overview
	s.call(200, "GET", "/status", "", &overview)
	if overview.Mode != "mock" || overview.Version != "v1" || overview.Workflows != 1 || overview.UnfinishedRuns != 0 || overview.LastTickAt == nil {
		t.Errorf("overview %+v", overview)
	}
	checkLists(t, s, run)
}

// checkLists reads the tasks, executions and events of a run of two tasks that has succeeded.
func checkLists(t *testing.T, s *server, run api.Run) {
	t.Helper()
	var tasks api.TaskList
	text := s.call(200, "GET", "/status/runs/nightly.1/tasks?step=main&status=success&page_size=1", "", &tasks)
	if len(tasks.Tasks) != 1 || tasks.Tasks[0].ID != run.ID+"/main/0" || tasks.Tasks[0].Attempt != 1 || tasks.NextPageToken == "" || !strings.Contains(text, `"params":null`) {
		t.Errorf("tasks %s", text)
	}
	s.call(200, "GET", "/status/runs/nightly.1/tasks?page_token="+tasks.NextPageToken, "", &tasks)
	if len(tasks.Tasks) != 1 || tasks.Tasks[0].TaskIndex != 1 || tasks.NextPageToken != "" {
		t.Errorf("tasks, second page %+v", tasks)
	}
	below, flat := s.call(200, "GET", "/status/runs/nightly.1/executions", "", nil), s.call(200, "GET", "/status/executions?run="+run.ID, "", nil)
	var executions api.ExecutionList
	if err := json.Unmarshal([]byte(below), &executions); err != nil || below != flat || len(executions.Executions) != 2 {
		t.Errorf("executions %s\nand %s", below, flat)
	}
	for _, x := range executions.Executions {
		if x.Status != "finished" || x.Outcome != "success" || x.Step != "main" || x.CloudRunExecutionName == "" {
			t.Errorf("execution %+v", x)
		}
	}
	below, flat = s.call(200, "GET", "/status/runs/nightly.1/events", "", nil), s.call(200, "GET", "/status/events?run=nightly.1", "", nil)
	if below != flat || !strings.Contains(below, `"run":"nightly.1"`) {
		t.Errorf("events %s\nand %s", below, flat)
	}
	s.call(200, "GET", "/status/events", "", nil)
	var runs api.RunList
	if s.call(200, "GET", "/status/runs?workflow=nightly&status=success", "", &runs); len(runs.Runs) != 1 || runs.Runs[0].ID != run.ID || runs.Runs[0].Steps != nil {
		t.Errorf("runs %+v", runs)
	}
	if got := s.call(200, "GET", "/status/runs?status=failed", "", nil); got != `{"runs":[],"next_page_token":""}`+"\n" {
		t.Errorf("failed runs %s", got)
	}
}

func TestARunIsCancelled(t *testing.T) {
	t.Parallel()
	s := startNew(t)
	s.call(201, "PUT", "/workflows/nightly", nightly, nil)
	s.call(201, "POST", "/trigger/nightly", "", nil)
	var run api.Run
	if s.call(200, "POST", "/trigger/runs/nightly.1/cancel", `{"reason":"wrong day"}`, &run); !run.Stopping {
		t.Errorf("cancelled %+v", run)
	}
	s.call(200, "POST", "/trigger/runs/nightly.1/cancel", "", nil)
	s.call(200, "POST", "/tick", "{}", nil)
	if s.call(200, "GET", "/status/runs/nightly.1", "", &run); run.Status != "cancelled" || run.Stopping || !strings.Contains(run.Reason, "wrong day") {
		t.Errorf("at the end %+v", run)
	}
}

func TestDoctorAnswersWithWhatItFinds(t *testing.T) {
	t.Parallel()
	s := startNew(t)
	s.call(201, "PUT", "/workflows/nightly", nightly, nil)
	s.call(201, "POST", "/trigger/nightly", "", nil)
	s.call(200, "POST", "/tick", "", nil)
	for _, method := range []string{"GET", "POST"} {
		var r api.DoctorReport
		if s.call(200, method, "/tick/doctor", "", &r); len(r.Findings) > 0 || len(r.Checked.NotLooked) > 0 || r.Checked.Rules == 0 || len(r.Checked.Jobs) == 0 {
			t.Errorf("%s %+v", method, r)
		}
	}
	var r api.DoctorReport // the mock's answers about jobs mean nothing, so it is not asked
	if s.call(200, "GET", "/tick/doctor?cloud=true", "", &r); len(r.Checked.NotLooked) != 1 || !strings.Contains(r.Checked.NotLooked[0], "Cloud Run is simulated") || r.Checked.ComparedJobs != 0 {
		t.Errorf("of the mock's jobs %+v", r)
	}
	if r.Checked.LastTickAt == nil || r.Checked.LastTickBy == "" {
		t.Errorf("the last tick was at %v, called by %q", r.Checked.LastTickAt, r.Checked.LastTickBy)
	}
	s.refused(422, "GET", "/tick/doctor?cloud=perhaps", "")
	s.refused(422, "POST", "/tick/doctor", `{"force":true}`)
	s.refused(405, "DELETE", "/tick/doctor", "")
}

func TestUnknownThingsAreNotFound(t *testing.T) {
	t.Parallel()
	s := startNew(t)
	s.call(201, "PUT", "/workflows/nightly", nightly, nil)
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/workflows/nigthly", `there is no workflow "nigthly"; did you mean "nightly"?`},
		{"POST", "/trigger/nigthly", `there is no workflow "nigthly"; did you mean "nightly"?`},
		{"GET", "/status/runs/nightly.7", "nightly.7"},
		{"GET", "/status/runs/nightly.7/tasks", "nightly.7"},
		{"GET", "/status/executions?run=0199b3c2-7d41-7c0e-9a55-0d2f7a1b6c11", "0199b3c2"},
		{"POST", "/trigger/runs/nightly.7/cancel", "nightly.7"},
		{"DELETE", "/workflows/other", "other"},
	} {
		if p := s.refused(404, c.method, c.path, ""); !strings.Contains(p.Detail, c.want) || p.ID != "" {
			t.Errorf("%s %s: %+v", c.method, c.path, p)
		}
	}
	p := s.refused(422, "POST", "/trigger/nightly", `{"params":{"dya":1}}`)
	if len(p.Errors) != 1 || p.Errors[0].Location != "body.params.dya" {
		t.Errorf("an unknown param: %+v", p)
	}
	s.refused(422, "GET", "/status/runs?page_token=abc", "")
}

func TestADatabaseThatIsGoneIsSaidSo(t *testing.T) {
	t.Parallel()
	dsn, unplug := throughProxy(t, testdb.New(t, testdb.Mode(lifecycle.Mock)).DSN)
	s := start(t, dsn)
	s.call(200, "GET", "/status", "", nil)
	unplug()
	for _, path := range []string{"/status", "/status/runs", "/workflows/nightly"} {
		if p := s.refused(503, "GET", path, ""); !strings.Contains(p.Detail, "the database cannot be reached") || p.ID == "" {
			t.Errorf("%s: %+v", path, p)
		}
	}
	var report api.TickReport
	s.call(500, "POST", "/tick", "", &report)
	if len(report.Errors) == 0 {
		t.Errorf("report %+v", report)
	}
}
