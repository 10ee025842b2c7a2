package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/api"
)

// noon is the time of all tests.
func noon() time.Time { return time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) }

func before(d time.Duration) *time.Time {
	t := noon().Add(-d)
	return &t
}

// fake is a server that speaks the API over a few runs in memory.
type fake struct {
	*httptest.Server
	mu        sync.Mutex
	workflows []api.Workflow
	runs      []api.Run // the newest first
	tasks     []api.Task
	keys      map[string]api.Run
	requests  []string // METHOD URI of all
	posted    []string // keys of all triggers
	ticks     int
	// before runs ahead of every request; true means that it has answered.
	before func(w http.ResponseWriter, r *http.Request) bool
	// after a trigger was carried out; true means that its answer is lost.
	loseAnswer func() bool
	// polled changes a run each time that it is asked for.
	polled func(run *api.Run)
	// tick answers a tick.
	tick func(n int) (int, any)
	// healthy: doctor finds nothing.
	healthy bool
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{keys: map[string]api.Run{}}
	f.workflows = []api.Workflow{exampleWorkflow(), nightlyWorkflow()}
	f.runs = []api.Run{runningRun(), failedRun(), mockRun()}
	f.tasks = failedTasks()
	f.Server = httptest.NewServer(f.handler())
	t.Cleanup(f.Close)
	return f
}

func exampleWorkflow() api.Workflow {
	return api.Workflow{
		Name: "example-workflow", Description: "Example workflow", Version: 1, CreatedAt: *before(time.Hour), UpdatedAt: *before(time.Hour), TaskCount: 5,
		Steps:      []api.WorkflowStep{{Name: "main", Needs: []string{}, Job: "my-cloud-run-job", Project: "my-gcp-project", Region: "us-central1", TaskCount: 5}},
		Definition: json.RawMessage(`{"name":"example-workflow"}`),
	}
}

func nightlyWorkflow() api.Workflow {
	step := func(name string, n int) api.WorkflowStep {
		return api.WorkflowStep{Name: name, Needs: []string{}, Job: name, Project: "p", Region: "europe-west1", TaskCount: n}
	}
	return api.Workflow{
		Name: "nightly-report", Version: 4, CreatedAt: *before(time.Hour), UpdatedAt: *before(time.Hour), TaskCount: 251,
		Steps:   []api.WorkflowStep{step("extract", 1), step("transform", 250)},
		LastRun: &api.RunRef{ID: "0199b3c2-0000-7000-8000-000000000311", Name: "nightly-report.311", Status: "failed", Mode: "emulator", CreatedAt: *before(7 * time.Hour), FinishedAt: before(6 * time.Hour)},
	}
}

func runningRun() api.Run {
	counts := api.Counts{Pending: 2, Success: 3}
	return api.Run{
		ID: "0199b3c2-7d41-7c0e-9a55-0d2f7a1b6c11", Name: "example-workflow.12", Workflow: "example-workflow", Number: 12, Version: 1,
		Status: "running", Mode: "emulator", Origin: "cli", CreatedBy: "local:joe", TaskCount: 5, Counts: counts,
		CreatedAt: *before(13 * time.Second), StartedAt: before(12 * time.Second),
		Waiting: []string{"2 tasks wait for Cloud Run's run quota (60 a minute); the next starts in about 8 s"},
		Steps:   []api.Step{{Name: "main", Status: "running", Needs: []string{}, Job: "projects/p/locations/us-central1/jobs/j", TaskCount: 5, Counts: counts, StartedAt: before(12 * time.Second)}},
	}
}

func failedRun() api.Run {
	return api.Run{
		ID: "0199b3c2-0000-7000-8000-000000000311", Name: "nightly-report.311", Workflow: "nightly-report", Number: 311, Version: 4,
		Status: "failed", Mode: "live", Reason: "step transform failed", TaskCount: 251, Counts: api.Counts{Success: 249, Failed: 2},
		Params:    map[string]json.RawMessage{"limit": json.RawMessage("5"), "date": json.RawMessage(`"2026-03-03"`)},
		CreatedAt: *before(7 * time.Hour), StartedAt: before(6*time.Hour + 41*time.Minute), FinishedAt: before(6 * time.Hour),
		Waiting: []string{}, Warnings: []string{"the job transform repeats failed tasks itself (max_retries 3)"}, Executions: 260, Retries: 9,
		Steps: []api.Step{
			{Name: "extract", Status: "success", Needs: []string{}, TaskCount: 1, Counts: api.Counts{Success: 1}},
			{Name: "transform", Status: "failed", Needs: []string{"extract"}, TaskCount: 250, Counts: api.Counts{Success: 248, Failed: 2}, Reason: "2 tasks failed, 0 are tolerated; look at them:\ngcloud logging read transform"},
		},
	}
}

func mockRun() api.Run {
	return api.Run{
		ID: "0199b3c2-0000-7000-8000-000000000001", Name: "example-workflow.1", Workflow: "example-workflow", Number: 1, Version: 1,
		Status: "success", Mode: "mock", TaskCount: 12345, Counts: api.Counts{Success: 12345}, CreatedAt: *before(50 * time.Hour), FinishedAt: before(50 * time.Hour), Waiting: []string{},
		Steps: []api.Step{{Name: "main", Status: "success", Needs: []string{}, TaskCount: 12345, Counts: api.Counts{Success: 12345}}},
	}
}

func failedTasks() []api.Task {
	code, none := 137, 0
	return []api.Task{
		{ID: "x/transform/17", Step: "transform", TaskIndex: 17, Status: "failed", Attempt: 3, Reason: "out_of_memory", ExitCode: &code, CloudRunExecutionName: "projects/p/locations/l/jobs/transform/executions/transform-x7k2p", StartedAt: before(12 * time.Minute), FinishedAt: before(0)},
		{ID: "x/transform/203", Step: "transform", TaskIndex: 203, Status: "failed", Attempt: 1, Reason: "lost"},
		{ID: "x/transform/204", Step: "transform", TaskIndex: 204, Status: "success", Attempt: 1, ExitCode: &none, CloudRunExecutionName: "e-1", StartedAt: before(3 * time.Second), FinishedAt: before(0)},
	}
}

func (f *fake) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status/{$}", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, api.Overview{Mode: "emulator", Installation: "i", Now: noon()})
	})
	mux.HandleFunc("GET /workflows/{$}", f.listWorkflows)
	mux.HandleFunc("GET /workflows/{name}", f.getWorkflow)
	mux.HandleFunc("PUT /workflows/{name}", f.putWorkflow)
	mux.HandleFunc("POST /trigger/{workflow}", f.triggerRun)
	mux.HandleFunc("POST /trigger/runs/{run}/cancel", f.cancelRun)
	mux.HandleFunc("GET /status/runs", f.listRuns)
	mux.HandleFunc("GET /status/runs/{run}", f.getRun)
	mux.HandleFunc("GET /status/runs/{run}/tasks", f.listTasks)
	mux.HandleFunc("POST /tick/{$}", f.doTick)
	mux.HandleFunc("/tick/doctor", f.doctor)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.requests = append(f.requests, r.Method+" "+r.RequestURI)
		f.mu.Unlock()
		if f.before != nil && f.before(w, r) {
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(api.Problem{Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)})
}

func (f *fake) listWorkflows(w http.ResponseWriter, _ *http.Request) {
	reply(w, 200, api.WorkflowList{Workflows: f.workflows})
}

func (f *fake) getWorkflow(w http.ResponseWriter, r *http.Request) {
	for _, found := range f.workflows {
		if found.Name == r.PathValue("name") {
			reply(w, 200, found)
			return
		}
	}
	refuse(w, 404, "there is no workflow %q; did you mean %q?", r.PathValue("name"), "example-workflow")
}

// putWorkflow knows three definitions by their task count: 5 is the present one, 0 is invalid, every other is a new version.
func (f *fake) putWorkflow(w http.ResponseWriter, r *http.Request) {
	var d struct {
		Name  string
		Tasks struct{ Count *int }
	}
	body, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(body, &d); err != nil || d.Name != r.PathValue("name") {
		refuse(w, 400, "not a definition of %q: %s", r.PathValue("name"), body)
		return
	}
	count := 5
	if d.Tasks.Count != nil {
		count = *d.Tasks.Count
	}
	if count < 1 {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(422)
		fmt.Fprint(w, `{"title":"Unprocessable Entity","detail":"the definition is wrong","errors":[{"message":"0 is out of range; write 1 to 1,000,000","location":"tasks.count"}]}`)
		return
	}
	answer := exampleWorkflow()
	answer.Name, answer.TaskCount = d.Name, count
	status := 201
	for _, found := range f.workflows {
		switch {
		case found.Name != d.Name:
		case count == found.TaskCount:
			status = 200
		case r.Header.Get("If-None-Match") == "*":
			refuse(w, 409, "workflow %q exists already, with another definition", d.Name)
			return
		default:
			status, answer.Version = 200, found.Version+1
			answer.Warnings = []string{"LIMIT_TOKEN looks like a secret"}
		}
	}
	reply(w, status, answer)
}

func (f *fake) triggerRun(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := r.Header.Get(api.IdempotencyKeyHeader)
	f.posted = append(f.posted, key)
	if r.PathValue("workflow") != "example-workflow" {
		refuse(w, 404, "there is no workflow %q; did you mean %q?", r.PathValue("workflow"), "example-workflow")
		return
	}
	run, replayed := f.keys[key]
	if !replayed {
		n := int64(13 + len(f.keys))
		run = api.Run{ID: "id-" + strconv.FormatInt(n, 10), Name: fmt.Sprintf("example-workflow.%d", n), Workflow: "example-workflow", Number: n, Version: 1,
			Status: "pending", Mode: "emulator", TaskCount: 5, Counts: api.Counts{Pending: 5}, CreatedAt: noon(), Waiting: []string{}}
		f.keys[key] = run
		f.runs = append([]api.Run{run}, f.runs...)
	}
	run.Replayed = replayed
	if f.loseAnswer != nil && f.loseAnswer() {
		panic(http.ErrAbortHandler)
	}
	reply(w, 200, run)
}

func (f *fake) find(ref string) *api.Run {
	for i := range f.runs {
		if f.runs[i].Name == ref || f.runs[i].ID == ref {
			return &f.runs[i]
		}
	}
	return nil
}

func (f *fake) cancelRun(w http.ResponseWriter, r *http.Request) {
	run := f.find(r.PathValue("run"))
	switch {
	case run == nil:
		refuse(w, 404, "there is no run %q", r.PathValue("run"))
	case run.FinishedAt != nil:
		refuse(w, 409, "run %s has ended: %s", run.Name, run.Status)
	default:
		run.Stopping = true
		reply(w, 200, run)
	}
}

func (f *fake) getRun(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	run := f.find(r.PathValue("run"))
	if run == nil {
		refuse(w, 404, "there is no run %q", r.PathValue("run"))
		return
	}
	if f.polled != nil {
		f.polled(run)
	}
	reply(w, 200, run)
}

// listRuns pages two by two, whatever is asked for.
func (f *fake) listRuns(w http.ResponseWriter, r *http.Request) {
	list := api.RunList{Runs: []api.Run{}}
	for _, run := range f.runs {
		if name := r.URL.Query().Get("workflow"); name == "" || name == run.Workflow {
			run.Steps, run.Params = nil, nil
			list.Runs = append(list.Runs, run)
		}
	}
	list.Runs, list.NextPageToken = slicePage(list.Runs, r, 2)
	reply(w, 200, list)
}

func (f *fake) listTasks(w http.ResponseWriter, r *http.Request) {
	list := api.TaskList{Tasks: []api.Task{}}
	for _, task := range f.tasks {
		if status := r.URL.Query().Get("status"); status == "" || status == task.Status {
			list.Tasks = append(list.Tasks, task)
		}
	}
	list.Tasks, list.NextPageToken = slicePage(list.Tasks, r, 2)
	reply(w, 200, list)
}

func slicePage[T any](all []T, r *http.Request, size int) (page []T, next string) {
	from, _ := strconv.Atoi(r.URL.Query().Get("page_token"))
	to := min(from+size, len(all))
	if to < len(all) {
		next = strconv.Itoa(to)
	}
	return all[from:to], next
}

func (f *fake) doTick(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	f.ticks++
	n := f.ticks
	f.mu.Unlock()
	if f.tick != nil {
		status, body := f.tick(n)
		reply(w, status, body)
		return
	}
	due := noon().Add(8 * time.Second)
	reply(w, 200, api.TickReport{Passes: 2, Moved: 15, TookMS: 1234, Phases: []api.PhaseReport{{Phase: "expand", Moved: 10, TookMS: 7}, {Phase: "launch", Moved: 5, TookMS: 1200}},
		Errors: []string{}, NextDue: &due, Active: true, Finished: []string{"example-workflow.12 success"}})
}

// doctor finds one thing of each severity, and one in the jobs; a fix puts one of them right.
func (f *fake) doctor(w http.ResponseWriter, r *http.Request) {
	const job = "projects/my-gcp-project/locations/us-central1/jobs/load"
	checked := api.DoctorChecked{At: noon(), Installation: "0199b3c2-7d41-7c0e-9a55-0d2f7a1b6c00", Mode: "emulator", SchemaVersion: 1, LastTickAt: before(12 * time.Second), LastTickBy: "orchestrator-scheduler@my-gcp-project.iam.gserviceaccount.com", Rules: 38, Executions: 3, Calls: 11,
		Jobs:      []api.DoctorJob{{Job: job, Listed: 1000, Back: before(3 * time.Hour)}, {Job: job + "-all", Listed: 7, Back: before(time.Minute), Complete: true}},
		NotLooked: []string{}, TookMS: 420}
	if r.URL.Query().Get("cloud") == "true" {
		checked.ComparedJobs = 2
		reply(w, 200, api.DoctorReport{Checked: checked, Findings: []api.DoctorFinding{{Kind: "job_permissions", Severity: "error", Subject: "job " + job,
			Detail: "orchestrator-tick@my-gcp-project.iam.gserviceaccount.com lacks run.jobs.runWithOverrides", Action: "grant it"}}})
		return
	}
	if f.healthy {
		reply(w, 200, api.DoctorReport{Findings: []api.DoctorFinding{}, Checked: checked})
		return
	}
	checked.NotLooked = []string{"executions of job " + job + " before the newest 1000"}
	fixed := r.Method == http.MethodPost
	reply(w, 200, api.DoctorReport{Checked: checked, Findings: []api.DoctorFinding{
		{Kind: "launch_blocked", Severity: "error", Subject: "installation", Detail: "nothing is launched: it was restored", Action: "find out which of the two is to go on", Since: before(3 * time.Minute)},
		{Kind: "orphan", Severity: "warning", Subject: "step main, execution " + job + "/executions/load-x7k2p", Run: "example-workflow.12", Detail: "Cloud Run shows it although its row has ended", Action: "doctor --fix cancels it", Fixed: fixed},
		{Kind: "other_installation", Severity: "note", Subject: "job " + job, Detail: "2 executions carry\x1b[31m the markers of other installations", Action: "they are never touched", Since: before(26 * time.Hour)},
	}})
}

func (f *fake) count(prefix string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.requests {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	return n
}

// triggers are the keys of all triggers that came, and the number of runs that they made.
func (f *fake) triggers() (keys []string, runs int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.posted), len(f.keys)
}
