package e2e_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/testdb"
)

// The commands of the program that this one follows, in the order of its README, before any server runs.
func TestTheWholeFlowWorksBeforeAnythingRuns(t *testing.T) {
	t.Parallel()
	w := &world{t: t, db: testdb.Empty(t)}
	w.env = []string{"DATABASE_URL=" + w.db.DSN}

	w.cli("init").ok().shows("made, version", "mock")
	before := w.dump()
	w.cli("init").ok().shows("nothing to do", "mock")
	w.unchanged(before)

	create := []string{"create-workflow", "--name", "example-workflow", "--description", "Example workflow",
		"--job-name", "my-cloud-run-job", "--project", "my-gcp-project", "--region", "us-central1", "--task-count", "5"}
	w.cli(create...).ok().shows("created example-workflow (version 1): 5 tasks on my-cloud-run-job in us-central1").tells("working in this process")
	w.cli(create...).ok().shows("nothing changed")
	create[len(create)-1] = "6"
	w.cli(create...).refused(4, `"example-workflow"`)
	w.cli("create-workflow", "--name", "smallest", "--job-name", "my-job").ok().shows("1 task on my-job in us-central1")
	w.cli("list-workflows").ok().shows("example-workflow", "smallest", "my-cloud-run-job us-central1")

	w.cli("trigger", "example-workflow").ok().shows("run example-workflow.1 started (5 tasks, mock)").tells("nothing moves this run until")
	w.cli("status").ok().shows("example-workflow.1", "pending", "mock")
	w.cli("tick").ok().shows("ended: example-workflow.1 success")
	w.cli("status", "example-workflow.1").ok().shows("success", "(mock)")
	w.cli("trigger", "smallest", "--wait").ok().shows("run smallest.1  success", "(mock)")
	w.cli("status", "--workflow", "smallest").ok().shows("smallest.1")
	w.cli("tasks", "example-workflow.1").ok().shows("mock-", "success")
	w.checkTasks("example-workflow.1", 5)
}

var mockName = regexp.MustCompile(`^projects/my-gcp-project/locations/us-central1/jobs/my-cloud-run-job/executions/mock-`)

// checkTasks checks what the tasks of a finished mock run are in JSON.
func (w *world) checkTasks(ref string, want int) {
	w.t.Helper()
	var tasks struct {
		Tasks []struct {
			api.Task
			Params *json.RawMessage `json:"params"`
		}
	}
	if err := json.Unmarshal([]byte(w.cli("tasks", ref, "-o", "json").ok().stdout), &tasks); err != nil {
		w.t.Fatal(err)
	}
	var run api.Run
	if err := json.Unmarshal([]byte(w.cli("status", ref, "-o", "json").ok().stdout), &run); err != nil {
		w.t.Fatal(err)
	}
	if len(tasks.Tasks) != want || run.Status != "success" {
		w.t.Errorf("%s with %d tasks, want success and %d", run.Status, len(tasks.Tasks), want)
	}
	for i, task := range tasks.Tasks {
		id := run.ID + "/main/" + string(rune('0'+i))
		if task.ID != id || task.Status != "success" || task.DispatchedAt == nil || task.FinishedAt == nil || !mockName.MatchString(task.CloudRunExecutionName) {
			w.t.Errorf("task %d is %+v; want %s with a mock execution", i, task, id)
		}
	}
}

func TestAMockRunSurvivesTheDeathOfItsProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Mock)
	all := w.runAll()
	w.workflow("nightly", "any-job-at-all", many)
	w.cli("trigger", "nightly").ok()
	w.disturb("nightly.1", points(3, 2), func(int) {
		all.kill()
		all = w.runAll()
	})
	got := w.awaitRun("nightly.1", "ends", final)
	if got.Status != "success" || got.Mode != "mock" || got.Counts != (api.Counts{Success: many}) {
		t.Errorf("%s in mode %s, %+v: %s", got.Status, got.Mode, got.Counts, got.Reason)
	}
	real := query[int](w, `SELECT count(*) FROM executions WHERE outcome = 'success' AND cloud_run_execution_name NOT LIKE '%/executions/mock-%'`)
	mocked := query[int](w, `SELECT count(*) FROM executions WHERE outcome = 'success' AND cloud_run_execution_name LIKE '%/executions/mock-%'`)
	if real != 0 || mocked != many {
		t.Errorf("%d executions succeeded with a mock name and %d with another, want %d and 0", mocked, real, many)
	}
}

func TestVersionAndHelpNeedNothing(t *testing.T) {
	t.Parallel()
	for _, program := range []string{orchestrator, server, migrate} {
		run(t, program, nil, "--version").ok().shows(program + " " + released + " (commit 0123456789ab)")
	}
	help := run(t, orchestrator, nil, "--help").ok()
	for _, command := range []string{"init", "run", "create-workflow", "list-workflows", "trigger", "status", "tasks", "apply", "cancel", "tick", "emulator", "config", "completion"} {
		help.shows("\n  " + command + " ")
		if !strings.Contains(run(t, orchestrator, nil, command, "--help").ok().stdout, "Usage:") {
			t.Errorf("%s --help shows no usage", command)
		}
	}
	run(t, orchestrator, []string{"DATABASE_URL=postgres://u:hidden@h/d"}, "config").ok().shows("http://localhost:8080", "postgres://u:xxxxx@h/d")
}
