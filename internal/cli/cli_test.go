package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// clock is a clock that moves only while somebody pauses.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Pause(_ context.Context, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// lockedBuffer may be read while a command writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// terminal is one use of the command.
type terminal struct {
	Options
	out, err lockedBuffer
	env      map[string]string
}

// at gives a terminal whose orchestrator is at a URL.
func at(url string) *terminal {
	return withEnv(map[string]string{urlVariable: url})
}

func withEnv(env map[string]string) *terminal {
	c := &clock{now: noon()}
	tm := &terminal{env: env}
	tm.Options = Options{Version: "v1", Stdin: strings.NewReader(""), Stdout: &tm.out, Stderr: &tm.err, Now: c.Now, Pause: c.Pause,
		Getenv: func(name string) string { return tm.env[name] }, DefaultURL: "http://127.0.0.1:1"}
	return tm
}

func (tm *terminal) run(t *testing.T, args ...string) int {
	t.Helper()
	return Run(t.Context(), args, tm.Options)
}

// transcript is what a person saw.
func (tm *terminal) transcript(args []string, code int, url string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "$ orchestrator %s\n%s", strings.Join(args, " "), tm.out.String())
	if tm.err.String() != "" {
		fmt.Fprintf(&b, "-- stderr --\n%s", tm.err.String())
	}
	fmt.Fprintf(&b, "-- exit code %d --\n", code)
	return strings.ReplaceAll(b.String(), url, "http://SERVER")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestCommandsSayWhatHappened(t *testing.T) {
	t.Parallel()
	create := func(name, count string) []string {
		return []string{"create-workflow", "--name", name, "--description", "Example workflow", "--job-name", "my-cloud-run-job",
			"--project", "my-gcp-project", "--region", "us-central1", "--task-count", count}
	}
	tests := []struct {
		name string
		args []string
	}{
		{"help", []string{"--help"}},
		{"help_trigger", []string{"trigger", "--help"}},
		{"version", []string{"--version"}},
		{"create_new", create("new", "7")},
		{"create_equal", create("example-workflow", "5")},
		{"create_conflict", create("example-workflow", "6")},
		{"create_invalid", create("new", "0")},
		{"create_json", append(create("new", "7"), "-o", "json")},
		{"list_workflows", []string{"list-workflows"}},
		{"list_workflows_json", []string{"list-workflows", "-o", "json"}},
		{"trigger", []string{"trigger", "example-workflow"}},
		{"trigger_json", []string{"trigger", "example-workflow", "-o", "json"}},
		{"trigger_unknown", []string{"trigger", "exmaple-workflow"}},
		{"status", []string{"status"}},
		{"status_json", []string{"status", "-o", "json"}},
		{"status_limit", []string{"status", "--limit", "1"}},
		{"status_workflow", []string{"status", "--workflow", "nightly-report"}},
		{"status_workflow_unknown", []string{"status", "--workflow", "nope"}},
		{"status_running", []string{"status", "example-workflow.12"}},
		{"status_failed", []string{"status", "nightly-report.311"}},
		{"status_mock", []string{"status", "example-workflow.1"}},
		{"status_run_json", []string{"status", "example-workflow.12", "-o", "json"}},
		{"status_unknown", []string{"status", "example-workflow.99"}},
		{"tasks", []string{"tasks", "nightly-report.311", "--status", "failed"}},
		{"tasks_one_step", []string{"tasks", "example-workflow.12"}},
		{"tasks_none", []string{"tasks", "nightly-report.311", "--status", "skipped"}},
		{"tasks_json", []string{"tasks", "nightly-report.311", "-o", "json"}},
		{"tasks_json_none", []string{"tasks", "nightly-report.311", "--status", "skipped", "-o", "json"}},
		{"cancel", []string{"cancel", "example-workflow.12"}},
		{"cancel_ended", []string{"cancel", "nightly-report.311"}},
		{"tick", []string{"tick"}},
		{"tick_json", []string{"tick", "-o", "json"}},
		{"doctor", []string{"doctor"}},
		{"doctor_fix", []string{"doctor", "--fix"}},
		{"doctor_cloud", []string{"doctor", "--cloud"}},
		{"doctor_json", []string{"doctor", "-o", "json"}},
		{"doctor_healthy", []string{"doctor"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.healthy = tt.name == "doctor_healthy"
			tm := at(f.URL)
			golden(t, tt.name, tm.transcript(tt.args, tm.run(t, tt.args...), f.URL))
			if strings.Contains(tt.name, "json") && !json.Valid([]byte(tm.out.String())) {
				t.Error("stdout is not one JSON document")
			}
		})
	}
}

func TestBadInputIsOneSentenceAndExitCodeTwo(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
	}{
		{"unknown command", []string{"staus"}},
		{"unknown command, nothing near", []string{"xyzzy"}},
		{"unknown flag", []string{"status", "--nope"}},
		{"flag without a value", []string{"status", "--workflow"}},
		{"number that is none", []string{"create-workflow", "--task-count", "many"}},
		{"duration that is none", []string{"tick", "--every", "5"}},
		{"output that is none", []string{"status", "-o", "xml"}},
		{"mode that is none", []string{"init", "--mode", "real"}},
		{"no name", []string{"create-workflow", "--job-name", "j"}},
		{"no workflow", []string{"trigger"}},
		{"one argument too many", []string{"trigger", "a", "b"}},
		{"argument where none is", []string{"list-workflows", "x"}},
		{"run and list", []string{"status", "a.1", "--workflow", "a"}},
		{"negative limit", []string{"status", "--limit", "-1"}},
		{"timeout without wait", []string{"trigger", "a", "--timeout", "5s"}},
		{"timeout of nothing", []string{"trigger", "a", "--wait", "--timeout", "0s"}},
		{"param without a value", []string{"trigger", "a", "--param", "date"}},
		{"params file that is not there", []string{"trigger", "a", "--params-file", "testdata/nope.json"}},
		{"params file that is no object", []string{"trigger", "a", "--params-file", "testdata/list.json"}},
		{"ticking too fast", []string{"tick", "--every", "1ms"}},
		{"ticking in JSON", []string{"tick", "--every", "5s", "-o", "json"}},
		{"apply nothing", []string{"apply"}},
		{"apply what is not there", []string{"apply", "-f", "testdata/nope.yaml"}},
		{"a path is no name", []string{"status", ".."}},
	}
	var all strings.Builder
	for _, tt := range tests {
		tm := at("http://127.0.0.1:1")
		code := tm.run(t, tt.args...)
		if code != exitUsage {
			t.Errorf("%s: exit code %d", tt.name, code)
		}
		fmt.Fprintf(&all, "# %s\n%s\n", tt.name, tm.transcript(tt.args, code, "http://127.0.0.1:1"))
	}
	golden(t, "bad_input", all.String())
}

func TestURLThatIsNoneIsWrongUsage(t *testing.T) {
	t.Parallel()
	tm := at("localhost:8080")
	if code := tm.run(t, "status"); code != exitUsage || !strings.HasPrefix(tm.err.String(), `error: ORCHESTRATOR_URL: "localhost:8080" is not the URL`) {
		t.Errorf("exit code %d: %s", code, tm.err.String())
	}
}

func TestServerThatIsNotThereIsSaidInTwoLines(t *testing.T) {
	t.Parallel()
	tm := at("http://127.0.0.1:1")
	code := tm.run(t, "status")
	want := "error: cannot reach the orchestrator at http://127.0.0.1:1: connection refused\n" +
		"       start one with \"orchestrator run\", or set ORCHESTRATOR_URL\n"
	if diff := cmp.Diff(want, tm.err.String()); diff != "" || code != exitFailed {
		t.Errorf("exit code %d\n%s", code, diff)
	}
}
