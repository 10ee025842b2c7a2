package workflow

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// parsed is the Spec of a document that must be correct.
func parsed(t *testing.T, file, doc string) Spec {
	t.Helper()
	d, err := Parse(file, []byte(doc))
	if err != nil {
		t.Fatalf("Parse:\n%v", err)
	}
	spec, err := d.Spec(Defaults{Project: "default-project"})
	if err != nil {
		t.Fatalf("Spec:\n%v", err)
	}
	return spec
}

const wholeLanguage = `
name: nightly-report
description: Rebuild yesterday's reports.
labels: {team: data}
params:
  limit: 100
  countries: [de, fr]
  greeting: costs $${price}
max_executions: 50
defaults:
  job: {project: my-project, region: europe-west1, name: worker}
steps:
  extract:
    job: {name: extract, container: main}
    tasks: {items: ["de", 1.50, 1e2, null, {shards: 4, country: us}]}
    args: ["--verbose", 7, true, 010]
    env: {LIMIT: 100, EMPTY: "", SHELL_VAR: "$${HOME}", DATE: 2026-01-01}
    timeout: 30m
  transform:
    needs: [extract]
    job: {region: europe-west4}
    tasks: {count: 10000}
    args: []
    max_executions: 4
    tolerate: 1%
  report:
    needs: [transform, extract]
    tasks: {count: 1}
    tolerate: 3
`

func wholeSpec() Spec {
	return Spec{
		Name:          "nightly-report",
		Description:   "Rebuild yesterday's reports.",
		Labels:        map[string]string{"team": "data"},
		Params:        map[string]json.RawMessage{"limit": json.RawMessage(`100`), "countries": json.RawMessage(`["de","fr"]`), "greeting": json.RawMessage(`"costs ${price}"`)},
		MaxExecutions: 50,
		Steps: []Step{
			{
				Name: "extract",
				Job:  Job{Project: "my-project", Region: "europe-west1", Name: "extract", Container: "main"},
				Tasks: Tasks{Items: []json.RawMessage{json.RawMessage(`"de"`), json.RawMessage(`1.50`), json.RawMessage(`100`),
					json.RawMessage(`null`), json.RawMessage(`{"country":"us","shards":4}`)}},
				Args:    &[]string{"--verbose", "7", "true", "010"},
				Env:     map[string]string{"LIMIT": "100", "EMPTY": "", "SHELL_VAR": "${HOME}", "DATE": "2026-01-01"},
				Timeout: Duration(30 * time.Minute),
			},
			{
				Name:          "transform",
				Needs:         []string{"extract"},
				Job:           Job{Project: "my-project", Region: "europe-west4", Name: "worker"},
				Tasks:         Tasks{Count: 10000},
				Args:          &[]string{},
				MaxExecutions: 4,
				Tolerate:      Tolerate{Percent: 1},
			},
			{
				Name:     "report",
				Needs:    []string{"transform", "extract"},
				Job:      Job{Project: "my-project", Region: "europe-west1", Name: "worker"},
				Tasks:    Tasks{Count: 1},
				Tolerate: Tolerate{Tasks: 3},
			},
		},
	}
}

func TestTheWholeLanguageBecomesASpec(t *testing.T) {
	t.Parallel()
	spec := parsed(t, "nightly-report.yaml", wholeLanguage)
	if diff := cmp.Diff(wholeSpec(), spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if got := spec.TaskCount(); got != 10006 {
		t.Errorf("TaskCount() = %d, want 10006", got)
	}
}

func TestTheShortFormIsOneStepNamedMain(t *testing.T) {
	t.Parallel()
	spec := parsed(t, "", `
name: example-workflow
job: {name: my-cloud-run-job}
tasks: {count: 5}
max_executions: 2
timeout: 90s
tolerate: 1
env: {A: b}
`)
	want := Spec{
		Name:          "example-workflow",
		MaxExecutions: 2,
		Steps: []Step{{
			Name:     "main",
			Job:      Job{Project: "default-project", Region: "us-central1", Name: "my-cloud-run-job"},
			Tasks:    Tasks{Count: 5},
			Env:      map[string]string{"A": "b"},
			Timeout:  Duration(90 * time.Second),
			Tolerate: Tolerate{Tasks: 1},
		}},
	}
	if diff := cmp.Diff(want, spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}

func TestADocumentIsYAMLOrJSON(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, file, doc, problems string }{
		{"YAML", "w.yaml", "name: a\njob: {name: j}\ntasks: {count: 1}", ""},
		{"JSON by its name", "W.JSON", ` {"name":"a","job":{"name":"j"},"tasks":{"count":1}} `, ""},
		{"JSON by its first character", "", "\n\t{\"name\":\"a\",\"job\":{\"name\":\"j\"},\"tasks\":{\"count\":1}}", ""},
		{"a byte order mark before YAML", "", "\ufeffname: a\njob: {name: j}\ntasks: {count: 1}", ""},
		{"a byte order mark before JSON", "", "\ufeff{\"name\":\"a\",\"job\":{\"name\":\"j\"},\"tasks\":{\"count\":1}}", ""},
		{"Windows lines", "w.yaml", "name: a\r\njob:\r\n  name: j\r\ntasks: {count: 1}\r\n", ""},
		{"an alias as a field's name", "w.yaml", "name: &n a\njob: {name: j}\ntasks: {items: [{*n : 1}]}", ""},
		{"YAML in a file for JSON", "w.json", "name: a", "w.json:1:2: not valid JSON: invalid character 'a' in literal null (expecting 'u')"},
		{"a list in a file for JSON", "w.json", "[]", "w.json:1:1: a list is not a mapping; write {name: my-workflow, job: {name: my-job}, tasks: {count: 5}}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := Parse(tt.file, []byte(tt.doc))
			checkError(t, err, tt.problems)
			if err == nil && d.Name() != "a" {
				t.Errorf("Name() = %q", d.Name())
			}
		})
	}
}

func TestSimpleWritesTheShortForm(t *testing.T) {
	t.Parallel()
	doc := Simple(SimpleArgs{Name: "example-workflow", Description: "Five <tasks>", JobName: "my-job", Project: "p", Region: "europe-west1", TaskCount: 5})
	want := Spec{
		Name:        "example-workflow",
		Description: "Five <tasks>",
		Steps:       []Step{{Name: "main", Job: Job{Project: "p", Region: "europe-west1", Name: "my-job"}, Tasks: Tasks{Count: 5}}},
	}
	if diff := cmp.Diff(want, parsed(t, "", string(doc))); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if got, want := string(Simple(SimpleArgs{Name: "a", JobName: "b", TaskCount: 1})), `{"name":"a","job":{"name":"b"},"tasks":{"count":1}}`; got != want {
		t.Errorf("without project: %s, want %s", got, want)
	}
}

func TestJobsAreResolved(t *testing.T) {
	t.Parallel()
	const noProject = "name: a\nsteps:\n  x: {job: {name: j}, tasks: {count: 1}}\n  y:\n    tasks: {count: 1}\n    job: {name: k, project: own}\n  z: {job: {name: j}, tasks: {count: 1}}\n"
	tests := []struct {
		name, doc string
		defaults  Defaults
		want      []string
		problems  string
	}{
		{"from the orchestrator", noProject, Defaults{Project: "theirs", Region: "europe-north2"},
			[]string{"projects/theirs/locations/europe-north2/jobs/j", "projects/own/locations/europe-north2/jobs/k", "projects/theirs/locations/europe-north2/jobs/j"}, ""},
		{"the document's defaults come first", "name: a\ndefaults: {job: {project: ours, region: me-west1}}\njob: {name: j}\ntasks: {count: 1}", Defaults{Project: "theirs", Region: "europe-north2"},
			[]string{"projects/ours/locations/me-west1/jobs/j"}, ""},
		{"the last resort for the region", "name: a\njob: {name: j}\ntasks: {count: 1}", Defaults{Project: "theirs"},
			[]string{"projects/theirs/locations/us-central1/jobs/j"}, ""},
		{"no project anywhere", noProject, Defaults{}, nil,
			"w.yaml:3:7: steps.x.job.project: missing; write it here or in defaults.job.project, or set ORCHESTRATOR_PROJECT for the orchestrator that runs it; 1 more of the steps lack it too"},
		{"no project and no job in a short form", "name: a\ndefaults: {job: {name: j}}\ntasks: {count: 1}", Defaults{}, nil,
			"w.yaml:1:1: job.project: missing; write it here or in defaults.job.project, or set ORCHESTRATOR_PROJECT for the orchestrator that runs it"},
		{"defaults that cannot be", "name: a\njob: {name: j}\ntasks: {count: 1}", Defaults{Project: "My Project", Region: "us-central1-a"}, nil,
			"w.yaml:2:1: job.project: ORCHESTRATOR_PROJECT is \"My Project\", which cannot be a project; allowed are ids such as my-gcp-project\n" +
				"w.yaml:2:1: job.region: ORCHESTRATOR_REGION is \"us-central1-a\", which cannot be a region; allowed are names such as us-central1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := Parse("w.yaml", []byte(tt.doc))
			if err != nil {
				t.Fatal(err)
			}
			spec, err := d.Spec(tt.defaults)
			var jobs []string
			for _, step := range spec.Steps {
				jobs = append(jobs, step.Job.FullName())
			}
			if diff := cmp.Diff(tt.want, jobs); diff != "" {
				t.Errorf("jobs (-want +got):\n%s", diff)
			}
			checkError(t, err, tt.problems)
		})
	}
}

func TestOneDocumentServesSeveralProjects(t *testing.T) {
	t.Parallel()
	d, err := Parse("", []byte(head+foot))
	if err != nil {
		t.Fatal(err)
	}
	for _, project := range []string{"development", "production", "development"} {
		spec, err := d.Spec(Defaults{Project: project})
		if err != nil || spec.Steps[0].Job.Project != project {
			t.Errorf("project %s, %v; want %s", spec.Steps[0].Job.Project, err, project)
		}
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestADocumentAsJSONKeepsOrderAndSpelling(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, doc, want string }{
		{"order of fields and steps",
			"name: a\ndefaults: {job: {name: j}}\nsteps:\n  z: {tasks: {count: 1}}\n  a: {tasks: {count: 2}}\n",
			`{"name":"a","defaults":{"job":{"name":"j"}},"steps":{"z":{"tasks":{"count":1}},"a":{"tasks":{"count":2}}}}`},
		{"texts and numbers as typed",
			"name: a\njob: {name: j}\ntasks: {items: [1.50, 1E+2, 12345678901234567890, \"<&>\", \"ü\\n\\\"\", yes, no, ~, true]}\n",
			`{"name":"a","job":{"name":"j"},"tasks":{"items":[1.50,1E+2,12345678901234567890,"<&>","ü\n\"","yes","no",null,true]}}`},
		{"what only YAML takes for a number becomes text",
			"name: a\njob: {name: j}\ntasks: {count: 1}\nenv: {A: 010, B: 0x1F, C: True, D: 5, E: 1_000, F: .5}\n",
			`{"name":"a","job":{"name":"j"},"tasks":{"count":1},"env":{"A":"010","B":"0x1F","C":"True","D":5,"E":"1_000","F":".5"}}`},
		{"aliases and merges are written out",
			"name: a\njob: &job {name: j, region: me-west1}\ntasks: {items: [*job, {<<: *job, region: us-east1}, {<<: [{x: 1}, {x: 2, y: 2}]}]}\n",
			`{"name":"a","job":{"name":"j","region":"me-west1"},"tasks":{"items":[{"name":"j","region":"me-west1"},{"region":"us-east1","name":"j"},{"x":1,"y":2}]}}`},
		{"control characters are escaped",
			"name: a\njob: {name: j}\ntasks: {items: [\"\\x07\\t\\r\\\\\"]}\n",
			`{"name":"a","job":{"name":"j"},"tasks":{"items":["\u0007\t\r\\"]}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := Parse("a.yaml", []byte(tt.doc))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(d.JSON())); diff != "" {
				t.Errorf("JSON (-want +got):\n%s", diff)
			}
			if !json.Valid(d.JSON()) {
				t.Error("not valid JSON")
			}
			if parsed(t, "a.yaml", tt.doc).Digest() != parsed(t, "", string(d.JSON())).Digest() {
				t.Error("the JSON is another definition")
			}
		})
	}
}
