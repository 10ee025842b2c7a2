package functions

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// document is as much of an OpenAPI document as the tests look at.
type document struct {
	OpenAPI string `json:"openapi"`
	Info    struct{ Title, Version string }
	Paths   map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Summary     string
		Parameters  []struct{ Name, In string }
		RequestBody *struct {
			Required bool
			Content  map[string]struct{ Schema map[string]any }
		} `json:"requestBody"`
		Responses map[string]struct {
			Content map[string]struct{ Schema map[string]any }
		}
	}
	Components struct{ Schemas map[string]any }
}

func readDocument(t *testing.T) (document, string) {
	t.Helper()
	f, _ := withoutEngine(Options{Version: "v1.2.3"})
	a := send(t, http.MethodGet, listen(t, f.Handler("status"))+"/openapi.json", "")
	var d document
	if err := json.Unmarshal([]byte(a.body), &d); err != nil || a.status != http.StatusOK {
		t.Fatalf("status %d: %v", a.status, err)
	}
	if got := a.header.Get("Content-Type"); got != "application/openapi+json" {
		t.Errorf("Content-Type %q", got)
	}
	return d, a.body
}

func TestTheDocumentDescribesAllFourFunctions(t *testing.T) {
	t.Parallel()
	d, _ := readDocument(t)
	if d.OpenAPI != "3.1.0" || d.Info.Version != "v1.2.3" || d.Info.Title == "" {
		t.Errorf("document %s, info %+v", d.OpenAPI, d.Info)
	}
	var got []string
	for path, methods := range d.Paths {
		for method, op := range methods {
			got = append(got, strings.ToUpper(method)+" "+path+" "+strings.Join(slices.Sorted(maps.Keys(op.Responses)), ","))
		}
	}
	slices.Sort(got)
	want := []string{
		"DELETE /workflows/{name} 204,default",
		"GET /health 200,default",
		"GET /status 200,default",
		"GET /status/events 200,default",
		"GET /status/executions 200,default",
		"GET /status/health 200,default",
		"GET /status/runs 200,default",
		"GET /status/runs/{run} 200,default",
		"GET /status/runs/{run}/events 200,default",
		"GET /status/runs/{run}/executions 200,default",
		"GET /status/runs/{run}/tasks 200,default",
		"GET /tick/doctor 200,default",
		"GET /tick/health 200,default",
		"GET /trigger/health 200,default",
		"GET /workflows 200,default",
		"GET /workflows/health 200,default",
		"GET /workflows/{name} 200,default",
		"GET /workflows/{name}/versions 200,default",
		"POST /tick 200,500,default",
		"POST /tick/doctor 200,default",
		"POST /tick/doctor/restore 200,default",
		"POST /trigger/runs/{run}/cancel 200,default",
		"POST /trigger/{workflow} 200,201,default",
		"PUT /workflows/{name} 200,201,default",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestTheDocumentHoldsTogether(t *testing.T) {
	t.Parallel()
	d, text := readDocument(t)
	for _, m := range regexp.MustCompile(`"\$ref":"#/components/schemas/([^"]+)"`).FindAllStringSubmatch(text, -1) {
		if d.Components.Schemas[m[1]] == nil {
			t.Errorf("there is no schema %s", m[1])
		}
	}
	for name := range d.Components.Schemas {
		if !strings.Contains(text, `"$ref":"#/components/schemas/`+name+`"`) {
			t.Errorf("nothing uses the schema %s", name)
		}
	}
	ids := map[string]bool{}
	for path, methods := range d.Paths {
		for method, op := range methods {
			if op.OperationID == "" || op.Summary == "" || ids[op.OperationID] {
				t.Errorf("%s %s: operation id %q, summary %q", method, path, op.OperationID, op.Summary)
			}
			ids[op.OperationID] = true
			problem := map[string]any{"$ref": "#/components/schemas/Problem"}
			if diff := cmp.Diff(problem, op.Responses["default"].Content["application/problem+json"].Schema); diff != "" {
				t.Errorf("%s %s: problems -want +got\n%s", method, path, diff)
			}
			for _, p := range op.Parameters {
				if strings.Contains(p.Name, "Authorization") {
					t.Errorf("%s %s documents the header %s", method, path, p.Name)
				}
			}
		}
	}
}

func TestTheDocumentTellsBodiesAsTheyAre(t *testing.T) {
	t.Parallel()
	d, _ := readDocument(t)
	put := d.Paths["/workflows/{name}"]["put"].RequestBody
	if put == nil || !put.Required || put.Content["application/json"].Schema["type"] != "object" {
		t.Errorf("PUT takes %+v", put)
	}
	trigger := d.Paths["/trigger/{workflow}"]["post"].RequestBody
	if trigger == nil || trigger.Required || len(trigger.Content) != 1 || trigger.Content["application/json"].Schema["$ref"] != "#/components/schemas/TriggerRequest" {
		t.Errorf("a trigger takes %+v", trigger)
	}
	lastRun := d.Components.Schemas["Workflow"].(map[string]any)["properties"].(map[string]any)["last_run"]
	want := map[string]any{
		"description": "the newest run, null before the first",
		"anyOf":       []any{map[string]any{"$ref": "#/components/schemas/RunRef"}, map[string]any{"type": "null"}},
	}
	if diff := cmp.Diff(want, lastRun); diff != "" {
		t.Errorf("last_run -want +got\n%s", diff)
	}
}
