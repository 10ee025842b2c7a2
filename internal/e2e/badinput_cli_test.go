package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloud-run-orchestrator/internal/lifecycle"
)

// definition is a workflow's file with these lines after its name and job.
func definition(t *testing.T, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestBadInputIsOneSentenceAndChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Emulator)
	w.runAll()
	w.workflow("nightly", "instant", 2)
	w.cli("trigger", "nightly", "--key", "once", "--wait").ok()
	w.cli("apply", "-f", definition(t, "name: daily\njob: {name: instant}\nparams: {day: 1}\ntasks: {count: 1}\n")).ok()
	w.cli("trigger", "daily", "--key", "monday", "--wait", "--param", "day=1").ok()
	before := w.dump()

	large := definition(t, "name: large\ndescription: "+strings.Repeat("x", 2<<20)+"\n")
	params := filepath.Join(t.TempDir(), "params.json")
	if err := os.WriteFile(params, []byte(`{"day": "`+strings.Repeat("x", 2<<20)+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	apply := func(text string) []string { return []string{"apply", "-f", definition(t, text)} }
	create := func(more ...string) []string {
		return append([]string{"create-workflow", "--name", "new", "--job-name", "instant"}, more...)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		told []string
	}{
		{"unknown workflow", []string{"trigger", "nightyl"}, 3, []string{`there is no workflow "nightyl"`, `did you mean "nightly"?`}},
		{"unknown workflow of a list", []string{"status", "--workflow", "nobody"}, 3, []string{`there is no workflow "nobody"`}},
		{"unknown run", []string{"status", "nightly.9"}, 3, []string{"nightly.9"}},
		{"unknown run of a known form", []string{"tasks", "0199b3c2-7d41-7c0e-9a55-0d2f7a1b6c11"}, 3, []string{"0199b3c2-7d41-7c0e-9a55-0d2f7a1b6c11"}},
		{"cancel an unknown run", []string{"cancel", "nightly.9"}, 3, []string{"nightly.9"}},
		{"bad run reference", []string{"status", "nightly.x"}, 2, []string{"nightly.x", "nightly-report.42"}},
		{"run zero", []string{"status", "nightly.0"}, 2, []string{"nightly.0", "nightly-report.42"}},
		{"a name for a run", []string{"tasks", "nightly"}, 2, []string{"nightly", "nightly-report.42"}},
		{"a path for a run", []string{"cancel", "../runs"}, 2, []string{"../runs"}},
		{"unknown status", []string{"tasks", "nightly.1", "--status", "done"}, 2, []string{"pending, dispatched, running, success, failed, cancelled or skipped"}},
		{"unknown param", []string{"trigger", "daily", "--param", "hour=1"}, 2, []string{"hour", "day"}},
		{"param for a workflow without", []string{"trigger", "nightly", "--param", "a=1"}, 2, []string{"a"}},
		{"param without a value", []string{"trigger", "daily", "--param", "day"}, 2, []string{"day", "NAME=VALUE"}},
		{"the same key for other params", []string{"trigger", "daily", "--key", "monday", "--param", "day=2"}, 4, []string{"monday"}},
		{"params of 2 MiB", []string{"trigger", "daily", "--params-file", params}, 2, []string{"larger than 64 KiB"}},
		{"a definition of 2 MiB", []string{"apply", "-f", large}, 2, []string{"larger than 1024 KiB"}},
		{"no such file", []string{"apply", "-f", "/nowhere.yaml"}, 2, []string{"/nowhere.yaml", "no such file"}},
		{"count 0", create("--task-count", "0"), 2, []string{"1", "1,000,000"}},
		{"count of a million and one", create("--task-count", "1000001"), 2, []string{"1,000,000"}},
		{"count of a word", create("--task-count", "many"), 2, []string{`--task-count "many"`, "whole number"}},
		{"illegal name", create("--name", "New_Workflow"), 2, []string{"New_Workflow"}},
		{"illegal job", create("--job-name", "Job Name"), 2, []string{"Job Name"}},
		{"name of 64 characters", create("--name", strings.Repeat("n", 64)), 2, []string{"63"}},
		{"an existing name", []string{"create-workflow", "--name", "nightly", "--job-name", "other"}, 4, []string{`"nightly"`}},
		{"count 0 in a file", apply("name: new\njob: {name: a}\ntasks: {count: 0}\n"), 2, []string{"bad.yaml:3:9: tasks.count", "1,000,000"}},
		{"a count too large in a file", apply("name: new\njob: {name: a}\ntasks: {count: 1000001}\n"), 2, []string{"bad.yaml:3:9: tasks.count", "1,000,000"}},
		{"a wrong type", apply("name: new\njob: {name: a}\ntasks: {count: lots}\n"), 2, []string{"bad.yaml:3:9: tasks.count"}},
		{"another wrong type", apply("name: new\njob: a\ntasks: {count: 1}\n"), 2, []string{"bad.yaml:2:1: job"}},
		{"unknown field", apply("name: new\njob: {name: a}\ntask: {count: 1}\n"), 2, []string{"bad.yaml:3:1: task", `"tasks"`}},
		{"unknown step", apply("name: new\njob: {name: a}\nsteps:\n  one: {tasks: {count: 1}}\n  two: {tasks: {count: 1}, needs: [on]}\n"), 2, []string{"bad.yaml:", "steps.two.needs", `there is no step "on"`}},
		{"a cycle", apply("name: new\nsteps:\n  one: {job: {name: a}, tasks: {count: 1}, needs: [two]}\n  two: {job: {name: a}, tasks: {count: 1}, needs: [one]}\n"), 2, []string{"steps.one.needs", "the steps wait for each other: one → two → one"}},
		{"no YAML", apply("name: [new\n"), 2, []string{"bad.yaml:"}},
		{"an empty file", apply(""), 2, []string{"bad.yaml"}},
		{"a flag that is none", []string{"status", "--everything"}, 2, []string{"--everything"}},
		{"an output that is none", []string{"status", "-o", "xml"}, 2, []string{"table or json"}},
		{"a ticker too fast", []string{"tick", "--every", "1ms"}, 2, []string{"1s or more"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := w.cli(c.args...)
			o.t = t
			o.refused(c.code, c.told...)
		})
	}
	w.unchanged(before)
}
