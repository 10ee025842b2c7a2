package lifecycle

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// update rewrites what is generated or golden: go test ./internal/lifecycle -update
var update = flag.Bool("update", false, "rewrite golden files and the README's diagrams")

func marker() Marker {
	return Marker{Installation: uuid.MustParse(installation), Row: uuid.MustParse(row), Send: 2}
}

// dispatch is a first attempt of task 7 without params.
func dispatch() Dispatch {
	x := single()
	x.RunID, x.Step = uuid.MustParse("0199b3c2-7d41-7c0e-9a55-0d2f7a1b6c33"), "transform"
	return Dispatch{
		Execution: x, Workflow: "nightly-report", RunName: "nightly-report.42", RunParams: json.RawMessage("{}"),
		ScheduledAt: base().In(time.FixedZone("", 3600)), StepTasks: 250, Attempts: []int{1},
	}
}

func TestLaunch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*Dispatch)
	}{
		{"separate", func(*Dispatch) {}},
		{"separate_with_everything", func(d *Dispatch) {
			d.Container, d.Timeout = "main", 30*time.Minute
			d.Args = &[]string{"--country=de", ""}
			d.Env = []EnvVar{{"LIMIT", "100"}, {"MODE", ""}}
			d.RunParams = json.RawMessage(`{"date":"2026-01-30"}`)
			d.Attempts = []int{3}
			d.TaskParams = []json.RawMessage{json.RawMessage(`{"country":"de"}`)}
		}},
		{"args_cleared", func(d *Dispatch) { d.Args = &[]string{} }},
		{"packed", func(d *Dispatch) {
			d.Execution.Indexes, d.Execution.TaskCount = Ranges{{0, 2}, {5, 6}}, 5
			d.Attempts = []int{1, 1, 1, 2, 1}
			d.TaskParams = []json.RawMessage{json.RawMessage(`"a"`), nil, json.RawMessage(`[1,2]`), json.RawMessage(`null`), json.RawMessage(`{"n":1}`)}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := dispatch()
			test.change(&d)
			golden(t, "launch_"+test.name, showLaunch(d.Launch(marker())))
		})
	}
}

func showLaunch(l Launch) string {
	var b strings.Builder
	fmt.Fprintf(&b, "job %s\ntasks %d\ncontainer %q\ntimeout %v\n", l.Job, l.TaskCount, l.Container, l.Timeout)
	if l.SetArgs {
		fmt.Fprintf(&b, "args %q\n", l.Args)
	}
	for _, v := range l.Env {
		fmt.Fprintf(&b, "%s=%s\n", v.Name, v.Value)
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", path, diff)
	}
}

// Where a name comes twice the last one counts, and the last one is ours.
func TestLaunchCannotBeOverwrittenByADefinition(t *testing.T) {
	t.Parallel()
	d := dispatch()
	d.TaskParams = []json.RawMessage{json.RawMessage(`"mine"`)}
	plain := valuesOf(d.Launch(marker()))
	for name := range plain {
		d.Env = append(d.Env, EnvVar{name, "overwritten"})
	}
	if diff := cmp.Diff(plain, valuesOf(d.Launch(marker()))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, ok := plain[MarkerEnv]; !ok || len(plain) < 12 {
		t.Errorf("this is not what a container sees: %v", plain)
	}
}

func valuesOf(l Launch) map[string]string {
	values := map[string]string{}
	for _, v := range l.Env {
		values[v.Name] = v.Value
	}
	return values
}

func TestLaunchLeavesItsDispatchAsItWas(t *testing.T) {
	t.Parallel()
	d := dispatch()
	d.Env = append(make([]EnvVar, 0, 100), EnvVar{"LIMIT", "100"})
	first := d.Launch(marker())
	second := d.Launch(Marker{Installation: marker().Installation, Row: marker().Row, Send: 3})
	if got := valuesOf(first)[MarkerEnv]; got != marker().String() {
		t.Errorf("a second launch has changed the marker of the first to %s", got)
	}
	if valuesOf(second)[MarkerEnv] == marker().String() || len(d.Env) != 1 {
		t.Errorf("second marker %s, definition's variables %v", valuesOf(second)[MarkerEnv], d.Env)
	}
}

func TestLaunchCutsParamsThatFillAVariable(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		params []string
		sizes  []int // of each variable, in bytes
	}{
		{"just one variable", []string{strings.Repeat("a", MaxEnvValue-4)}, []int{MaxEnvValue}},
		{"a byte too many", []string{strings.Repeat("a", MaxEnvValue-3)}, []int{MaxEnvValue, 1}},
		{"three variables", []string{strings.Repeat("a", MaxEnvValue), strings.Repeat("b", MaxEnvValue)}, []int{MaxEnvValue, MaxEnvValue, 7}},
		{"no character is cut", []string{strings.Repeat("€", MaxEnvValue/3)}, []int{MaxEnvValue, 2}},
		{"nor a longer one", []string{strings.Repeat("🜁", MaxEnvValue/2)}, []int{MaxEnvValue - 2, MaxEnvValue, 6}},
	}
	for _, test := range tests {
		t.Run(strings.ReplaceAll(test.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			d := dispatch()
			d.Execution.TaskCount = 2 // a single task would get its params once more, by themselves
			for _, p := range test.params {
				d.TaskParams = append(d.TaskParams, json.RawMessage(`"`+p+`"`))
			}
			parts := taskVariables(t, d.Launch(marker()))
			var sizes []int
			for _, part := range parts {
				sizes = append(sizes, len(part))
				if !utf8.ValidString(part) || len(part) > MaxEnvValue {
					t.Errorf("a variable of %d bytes, valid UTF-8 %v", len(part), utf8.ValidString(part))
				}
			}
			if diff := cmp.Diff(test.sizes, sizes); diff != "" {
				t.Errorf("sizes (-want +got)\n%s", diff)
			}
			var read []string
			if err := json.Unmarshal([]byte(strings.Join(parts, "")), &read); err != nil {
				t.Fatalf("the parts are no JSON array: %v", err)
			}
			if diff := cmp.Diff(test.params, read); diff != "" {
				t.Error("the params do not survive")
			}
		})
	}
}

// taskVariables are the values of ORCHESTRATOR_TASKS, ORCHESTRATOR_TASKS_1 and so on, in this order.
func taskVariables(t *testing.T, l Launch) []string {
	t.Helper()
	values := valuesOf(l)
	var parts []string
	for i, name := 1, "ORCHESTRATOR_TASKS"; ; i++ {
		part, ok := values[name]
		if !ok {
			break
		}
		parts = append(parts, part)
		name = fmt.Sprintf("ORCHESTRATOR_TASKS_%d", i)
	}
	for name := range values {
		if strings.HasPrefix(name, "ORCHESTRATOR_TASKS") && len(parts) == 0 {
			t.Errorf("%s has no beginning", name)
		}
	}
	return parts
}

func TestAttemptsAreWrittenAsRunLengths(t *testing.T) {
	t.Parallel()
	tests := []struct {
		attempts []int
		want     string
	}{
		{nil, ""},
		{[]int{1}, "1"},
		{[]int{1, 2}, "1,2"},
		{[]int{1, 1, 1, 2}, "3x1,2"},
		{[]int{2, 1, 1, 2, 2}, "2,2x1,2x2"},
		{make([]int, 10_000), "10000x0"},
	}
	for _, test := range tests {
		d := dispatch()
		d.Execution.TaskCount = 2
		d.Attempts = test.attempts
		if got := valuesOf(d.Launch(marker()))["ORCHESTRATOR_TASK_ATTEMPTS"]; got != test.want {
			t.Errorf("%v: %s, want %s", test.attempts, got, test.want)
		}
	}
}
