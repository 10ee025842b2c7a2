package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/lifecycle"
)

// request is a call and the problem that it must meet.
type request struct {
	name, method, path, body string
	header                   map[string]string
	status                   int
	told                     []string
}

// problem sends a request and reads the problem that comes back.
func (w *world) problem(t *testing.T, r request) api.Problem {
	t.Helper()
	req, err := http.NewRequest(r.method, w.url+r.path, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	if r.method != http.MethodGet {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var p api.Problem
	if err := json.Unmarshal(text, &p); err != nil || res.Header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%s %s is answered with %s, Content-Type %q: %s", r.method, r.path, res.Status, res.Header.Get("Content-Type"), text)
	}
	if res.StatusCode != r.status || p.Status != r.status || p.Title != http.StatusText(r.status) || p.Detail == "" {
		t.Errorf("%s %s is answered with %s and %s, want %d", r.method, r.path, res.Status, text, r.status)
	}
	checkWords(t, string(text))
	for _, word := range r.told {
		said := p.Error()
		if !strings.Contains(said, word) {
			t.Errorf("%q is missing in: %s", word, said)
		}
	}
	return p
}

func TestABadRequestIsAProblemAndChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Emulator)
	w.runAll()
	w.workflow("nightly", "instant", 2)
	w.cli("apply", "-f", definition(t, "name: daily\njob: {name: instant}\nparams: {day: 1}\ntasks: {count: 1}\n")).ok()
	w.cli("trigger", "nightly", "--wait").ok()
	if code := w.trigger("daily", "monday", `{"params": {"day": 1}}`); code != http.StatusCreated {
		t.Fatalf("trigger daily: %d", code)
	}
	if code := w.trigger("daily", "monday", `{"params": {"day": 1}}`); code != http.StatusOK {
		t.Fatalf("trigger daily again: %d", code)
	}
	w.awaitRun("daily.1", "ends", final)
	before := w.dump()
	for _, r := range badRequests() {
		t.Run(r.name, func(t *testing.T) { w.problem(t, r) })
	}
	w.unchanged(before)
}

// trigger posts a trigger and gives the status.
func (w *world) trigger(workflow, key, body string) int {
	w.t.Helper()
	req, err := http.NewRequest(http.MethodPost, w.url+"/trigger/"+workflow, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(api.IdempotencyKeyHeader, key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

func badRequests() []request {
	const put, post, read = http.MethodPut, http.MethodPost, http.MethodGet
	large := strings.Repeat("x", 2<<20)
	return []request{
		{"unknown workflow", post, "/trigger/nightyl", "{}", nil, 404, []string{`there is no workflow "nightyl"`}},
		{"unknown workflow to read", read, "/workflows/nightyl", "", nil, 404, []string{`there is no workflow "nightyl"`}},
		{"unknown run", read, "/status/runs/nightly.9", "", nil, 404, []string{"nightly.9"}},
		{"tasks of an unknown run", read, "/status/runs/nightly.9/tasks", "", nil, 404, []string{"nightly.9"}},
		{"unknown run to cancel", post, "/trigger/runs/nightly.9/cancel", "", nil, 404, []string{"nightly.9"}},
		{"bad run reference", read, "/status/runs/nightly", "", nil, 422, []string{`"nightly"`}},
		{"run number zero", read, "/status/runs/nightly.0", "", nil, 422, []string{"nightly.0"}},
		{"run number of ten thousand digits", read, "/status/runs/nightly." + strings.Repeat("9", 10000), "", nil, 422, []string{"nightly-report.42"}},
		{"name with illegal characters", put, "/workflows/Night_ly", `{"name": "Night_ly", "job": {"name": "a"}, "tasks": {"count": 1}}`, nil, 422, []string{"Night_ly"}},
		{"another name in the body", put, "/workflows/new", `{"name": "old", "job": {"name": "a"}, "tasks": {"count": 1}}`, nil, 422, []string{"new", "old"}},
		{"count 0", put, "/workflows/new", `{"name": "new", "job": {"name": "a"}, "tasks": {"count": 0}}`, nil, 422, []string{"tasks.count", "1,000,000"}},
		{"count of a million and one", put, "/workflows/new", `{"name": "new", "job": {"name": "a"}, "tasks": {"count": 1000001}}`, nil, 422, []string{"tasks.count", "1,000,000"}},
		{"count of a text", put, "/workflows/new", `{"name": "new", "job": {"name": "a"}, "tasks": {"count": "5"}}`, nil, 422, []string{"tasks.count"}},
		{"unknown field", put, "/workflows/new", `{"name": "new", "job": {"name": "a"}, "task": {"count": 1}}`, nil, 422, []string{"task"}},
		{"unknown step", put, "/workflows/new", `{"name": "new", "steps": {"one": {"job": {"name": "a"}, "tasks": {"count": 1}, "needs": ["two"]}}}`, nil, 422, []string{`there is no step "two"`}},
		{"a cycle", put, "/workflows/new", `{"name": "new", "steps": {"one": {"job": {"name": "a"}, "tasks": {"count": 1}, "needs": ["two"]}, "two": {"job": {"name": "a"}, "tasks": {"count": 1}, "needs": ["one"]}}}`, nil, 422, []string{"steps.one.needs", "the steps wait for each other: one → two → one"}},
		{"a definition of 2 MiB", put, "/workflows/new", large, nil, 413, []string{"too large", "1 MiB"}},
		{"a trigger of 2 MiB", post, "/trigger/nightly", large, nil, 413, []string{"too large", "64 KiB"}},
		{"no JSON", post, "/trigger/nightly", "{,}", nil, 400, []string{"line 1, column 2"}},
		{"a list", post, "/trigger/nightly", "[]", nil, 422, []string{"an object"}},
		{"params of a wrong type", post, "/trigger/nightly", `{"params": 5}`, nil, 422, []string{"params must be an object"}},
		{"unknown field of a trigger", post, "/trigger/nightly", `{"param": {}}`, nil, 422, []string{`unknown field "param"`, "params"}},
		{"unknown param", post, "/trigger/daily", `{"params": {"hour": 1}}`, nil, 422, []string{"hour", "day"}},
		{"same key and another body", post, "/trigger/daily", `{"params": {"day": 2}}`, map[string]string{"Idempotency-Key": "monday"}, 409, []string{"monday"}},
		{"a key too long", post, "/trigger/daily", `{}`, map[string]string{"Idempotency-Key": strings.Repeat("k", 256)}, 422, []string{"255"}},
		{"a form", post, "/trigger/nightly", "a=b", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, 415, []string{"application/json"}},
		{"another site", post, "/tick", "", map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403, []string{"another site"}},
		{"unknown status", read, "/status/runs?status=done", "", nil, 422, []string{"pending, running, success, failed or cancelled"}},
		{"page of nothing", read, "/status/runs?page_size=0", "", nil, 422, []string{"page_size", "from 1 to 1000"}},
		{"a token that is none", read, "/status/runs?page_token=xyz", "", nil, 422, []string{"page_token"}},
		{"a NUL", read, "/workflows/a%00b", "", nil, 400, []string{"NUL"}},
		{"nothing there", read, "/runs", "", nil, 404, []string{"there is nothing at", "workflows, trigger, status and tick"}},
		{"a wrong method", read, "/tick", "", nil, 405, []string{"POST"}},
	}
}
