package emulator

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Not parallel: it sets the environment that the file refers to.
func TestLoadJobsReadsEveryField(t *testing.T) {
	t.Setenv("EMULATOR_TEST_SET", "from outside")
	t.Setenv("EMULATOR_TEST_EMPTY", "")
	dir := t.TempDir()
	path := filepath.Join(dir, "jobs.yaml")
	text := `
jobs:
  all:
    command: [./bin/tool, sub]
    args: [--n, 3]
    env:
      PLAIN: 010
      SET: "a ${EMULATOR_TEST_SET} b"
      EMPTY: "${EMULATOR_TEST_EMPTY}"
      FALLBACK: "${EMULATOR_TEST_EMPTY:-${EMULATOR_TEST_SET:-x}"
      LITERAL: "$${HOME} $HOME"
      NULL:
    containers: [main, proxy]
    image: example/all
    task_count: 4
    max_retries: 0
    parallelism: 2
    timeout: 1d2h
    denied: [run.jobs.runWithOverrides]
    dir: work
  least: &least
    command: [true]
  again: *least
`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := LoadJobs(path)
	if err != nil {
		t.Fatal(err)
	}
	least := Job{Command: []string{"true"}, TaskCount: 1, MaxRetries: 3, Timeout: 10 * time.Minute, Dir: dir}
	want := Jobs{"least": least, "again": least, "all": {
		Command: []string{"./bin/tool", "sub"}, Args: []string{"--n", "3"},
		Env: map[string]string{"PLAIN": "010", "SET": "a from outside b", "EMPTY": "", "FALLBACK": "${EMULATOR_TEST_SET:-x",
			"LITERAL": "${HOME} $HOME", "NULL": ""},
		Containers: []string{"main", "proxy"}, Image: "example/all", TaskCount: 4, MaxRetries: 0, Parallelism: 2, Timeout: 26 * time.Hour,
		Denied: []string{mayOverride}, Dir: filepath.Join(dir, "work"),
	}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Job{}, "Func")); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	newServer(t, Options{Jobs: got})
}

func TestAWrongJobsFileSaysWhereAndWhat(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"everything at once": {`jobs:
  Bad_Name:
    command: [x]
  a:
    comand: [x]
    max_retries: 11
    timeout: "6 hours"
    task_count: many
    env:
      CLOUD_RUN_JOB: x
      OUT: ${EMULATOR_TEST_UNSET}
      OPEN: ${HOME
  b:
    command: sh -c true
    timeout: 8d
    args: [[x]]
    env: [A]
  c:
    command: []
    command: [x]
  d:
    command: [x]
    denied: [run.jobs.runWithOverride]
  e: {command: [x], denied: all}
limits: {}
`, `jobs.yaml:3:5: jobs.Bad_Name: a job's name is lowercase letters, digits and hyphens, begins with a letter, does not end with a hyphen, at most 63 long
jobs.yaml:5:5: jobs.a: needs a command, as in command: [sh, -c, "echo hello"]
jobs.yaml:5:13: jobs.a.comand: there is no such field; allowed are command, args, env, containers, image, task_count, max_retries, parallelism, timeout, denied, dir
jobs.yaml:6:18: jobs.a.max_retries: "11" is not a whole number from 0 to 10
jobs.yaml:7:14: jobs.a.timeout: "6 hours" is not a duration above 0 and up to 7d; write 90s, 10m, 1h30m or 7d
jobs.yaml:8:17: jobs.a.task_count: "many" is not a whole number from 1 to 10000
jobs.yaml:10:22: jobs.a.env.CLOUD_RUN_JOB: the name is Cloud Run's own; choose one that is not PORT and begins with none of CLOUD_RUN_, K_, X_GOOGLE_
jobs.yaml:11:12: jobs.a.env.OUT: EMULATOR_TEST_UNSET is not set in the emulator's environment; set it, or write ${EMULATOR_TEST_UNSET:-default}
jobs.yaml:12:13: jobs.a.env.OPEN: "${HOME" has no closing brace; write ${NAME}, ${NAME:-default}, or $${ for a plain ${
jobs.yaml:14:14: jobs.b.command: must be a list of words, as in [a, b]
jobs.yaml:15:14: jobs.b.timeout: "8d" is not a duration above 0 and up to 7d; write 90s, 10m, 1h30m or 7d
jobs.yaml:16:12: jobs.b.args[0]: must be a text
jobs.yaml:17:10: jobs.b.env: must be a mapping of names to values
jobs.yaml:19:14: jobs.c.command: must not be empty
jobs.yaml:20:5: jobs.c: "command" stands there twice, or is no name
jobs.yaml:23:13: jobs.d.denied: there is no permission "run.jobs.runWithOverride" on a job; allowed are run.jobs.get, run.jobs.run, run.jobs.runWithOverrides, run.executions.get, run.executions.list, run.executions.cancel, run.executions.delete, run.tasks.get, run.tasks.list
jobs.yaml:24:29: jobs.e.denied: must be a list of words, as in [a, b]
jobs.yaml:25:9: limits: there is no such field; allowed are jobs`},
		"no YAML":           {"jobs: [a,\nb: 2\n", "jobs.yaml:3:1: while parsing a flow sequence: did not find expected ',' or ']'"},
		"an empty file":     {"", "jobs.yaml:1:1: no documents in stream"},
		"a list":            {"- a\n", "jobs.yaml:1:1: must be a mapping of names to values"},
		"no jobs":           {"{}\n", "jobs.yaml:1:1: jobs: is missing; write jobs: and below it a job per name"},
		"an unknown anchor": {"jobs: *a\n", "jobs.yaml:1:7: unknown anchor 'a' referenced"},
		"a job of nothing":  {"jobs:\n  a:\n", "jobs.yaml:2:5: jobs.a: must be a mapping of names to values"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseJobs("jobs.yaml", []byte(test.text))
			if err == nil {
				t.Fatal("it was taken")
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAJobsFileThatIsNotThereIsNamed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none.yaml")
	if _, err := LoadJobs(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

func TestNewRefusesJobsThatCannotRun(t *testing.T) {
	t.Parallel()
	for name, job := range map[string]Job{
		"nothing":     {},
		"both":        {Func: instant, Command: []string{"x"}},
		"retries":     {Func: instant, MaxRetries: 11},
		"tasks":       {Func: instant, TaskCount: 10_001},
		"timeout":     {Func: instant, Timeout: -1},
		"parallelism": {Func: instant, Parallelism: -1},
		"denied":      {Func: instant, Denied: []string{"run.jobs"}},
		"Upper":       {Func: instant},
	} {
		if s, err := New(Options{Jobs: Jobs{name: job}}); err == nil {
			s.Close()
			t.Errorf("%s was taken", name)
		}
	}
}

func TestACommandIsFoundFromTheFilesFolderWhereverThatIs(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("deep/jobs", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("deep/jobs/jobs.yaml", []byte("jobs: {a: {command: [./run]}, b: {command: [./run], dir: sub}}"), 0o644); err != nil {
		t.Fatal(err)
	}
	jobs, err := LoadJobs("deep/jobs/jobs.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if jobs["a"].Dir != "deep/jobs" || jobs["b"].Dir != "deep/jobs/sub" {
		t.Errorf("folders %q and %q", jobs["a"].Dir, jobs["b"].Dir)
	}
}
