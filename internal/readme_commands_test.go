package internal_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/testdb"
)

// step is a command of the README that TestCommandsOfTheREADME runs.
type step struct {
	line  string // on one line
	wants string // what it says
	stays bool   // it goes on until the session ends
}

// session is a list of commands with one database and one pair of ports.
type session struct {
	name  string
	steps []step
}

func sessions() []session {
	return []session{
		{"mock", []step{
			{line: "orchestrator init", wants: "mode      mock"},
			{line: "orchestrator run", wants: "ticker", stays: true},
			{line: `orchestrator create-workflow --name example-workflow --description "Example workflow" --job-name my-cloud-run-job --project my-gcp-project --region us-central1 --task-count 5`,
				wants: "created example-workflow (version 1): 5 tasks"},
			{line: "orchestrator apply -f nightly-report.yaml -f long-report.yaml", wants: "created long-report (version 1)"},
			{line: "orchestrator list-workflows", wants: "nightly-report"},
			{line: "orchestrator trigger example-workflow", wants: "run example-workflow.1 started (5 tasks, mock)"},
			{line: "orchestrator trigger nightly-report --param date=2026-01-31 --wait --timeout 10m", wants: "run nightly-report.1  success"},
			{line: "orchestrator trigger example-workflow --key order-4711 --wait", wants: "run example-workflow.2  success"},
			{line: "orchestrator trigger example-workflow --key order-4711 --wait", wants: "example-workflow.2"},
			{line: "orchestrator status", wants: "nightly-report.1"},
			{line: "orchestrator status example-workflow.1", wants: "example-workflow.1"},
			{line: "orchestrator status --workflow example-workflow", wants: "example-workflow.2"},
			{line: "orchestrator tasks example-workflow.1", wants: "ATTEMPT"},
			{line: "orchestrator tasks nightly-report.1 --step transform --status success -o json", wants: `"task_index": 39`},
			{line: "orchestrator tick", wants: "PHASE"},
			{line: "orchestrator doctor", wants: "nothing is wrong with what was looked at"},
			{line: "orchestrator doctor --fix", wants: "nothing is wrong with what was looked at"},
			{line: "orchestrator doctor --cloud", wants: "Cloud Run is simulated"},
			{line: "orchestrator doctor -o json", wants: `"findings": []`},
			{line: "orchestrator tick --every 5s", wants: "ticking every 5s", stays: true},
			{line: "orchestrator config", wants: "DATABASE_URL"},
			{line: "orchestrator completion bash", wants: "__start_orchestrator"},
			{line: "orchestrator trigger --help", wants: "--params-file"},
			{line: "orchestrator --version", wants: "orchestrator "},
			{line: "curl -s http://localhost:8080/status/openapi.json", wants: `"openapi":"3.1.0"`},
			{line: `curl -s -X PUT -H 'Content-Type: application/json' -d '{"name": "from-http", "job": {"name": "any-job"}, "tasks": {"count": 3}}' http://localhost:8080/workflows/from-http`,
				wants: `"version":1`},
			{line: "curl -s -X POST -H 'Content-Type: application/json' -H 'Idempotency-Key: 2026-01-31' -d '{}' http://localhost:8080/trigger/from-http", wants: `"name":"from-http.1"`},
			{line: "curl -s http://localhost:8080/status/runs/from-http.1", wants: `"mode":"mock"`},
			{line: "curl -s -X POST -H 'Content-Type: application/json' http://localhost:8080/tick", wants: `"phases":`},
			{line: "orchestrator trigger long-report", wants: "run long-report.1 started"},
			{line: "orchestrator cancel long-report.1", wants: "long-report.1"},
		}},
		{"emulator", []step{
			{line: "orchestrator emulator --jobs local/examples/jobs.yaml --listen 127.0.0.1:8085", wants: "listens on", stays: true},
			{line: "CLOUD_RUN_EMULATOR_HOST=127.0.0.1:8085 orchestrator run", wants: "ticker", stays: true},
			{line: "orchestrator create-workflow --name hello --job-name hello --task-count 3", wants: "created hello (version 1): 3 tasks"},
			{line: "orchestrator trigger hello --wait", wants: "run hello.1  success"},
		}},
		{"faults", []step{
			{line: "orchestrator emulator --jobs local/examples/jobs.yaml --faults local/examples/faults.yaml --limits run=60,read=600 --listen 127.0.0.1:8085", wants: "faults.yaml, 20 rules, seed 42", stays: true},
			{line: "curl -s http://127.0.0.1:8085/_emulator/executions", wants: `"executions":[]`},
		}},
		{"live", []step{
			{line: "ORCHESTRATOR_MODE=live orchestrator init", wants: "mode      live"},
		}},
	}
}

// elsewhere are the commands that the test does not run, and why. Those of compose are in local/scripts/compose-test.sh, in these words.
func elsewhere() (compose, others map[string]string) {
	const exec = "docker-compose exec orchestrator /app/orchestrator "
	const account, ownBuild = "needs a Google Cloud project", "the test builds the program itself"
	compose = map[string]string{
		"docker-compose up -d": "plain_compose up -d",
		exec + "init":          "cli init",
		exec + `create-workflow --name example-workflow --description "Example workflow" --job-name my-cloud-run-job --project my-gcp-project --region us-central1 --task-count 5`: `cli create-workflow --name example-workflow --description "Example workflow" --job-name "$job" --project my-gcp-project --region us-central1 --task-count 5`,
		exec + "list-workflows":                     "cli list-workflows",
		exec + "trigger example-workflow":           "cli trigger example-workflow)",
		exec + "status":                             "cli status)",
		exec + "status example-workflow.1":          "cli status example-workflow.1",
		exec + "tasks example-workflow.1":           `cli tasks "$id")`,
		exec + "apply -f /app/examples/primes.yaml": "cli apply -f /app/examples/primes.yaml",
		exec + "trigger primes --wait":              "cli trigger primes --wait",
		"CLOUD_RUN_EMULATOR_HOST=emulator:8085 docker-compose --profile emulator up -d":                   "export CLOUD_RUN_EMULATOR_HOST=emulator:8085 quietly compose up -d",
		"ORCHESTRATOR_UID=$(id -u) GOOGLE_APPLICATION_CREDENTIALS=/path/to/key.json docker-compose up -d": "ORCHESTRATOR_UID=$(id -u) quietly plain_compose up -d",
		"docker-compose down":           "compose down",
		"docker-compose down --volumes": "compose down --volumes",
	}
	others = map[string]string{
		"make demo":              "runs in CI, and takes too long for a test",
		"make test":              "runs this test",
		"make crash-test":        "runs in CI, and takes too long for a test",
		"make chaos DURATION=2m": "runs in CI, for a minute",
		"make mutation-test":     "runs in CI, and runs tests",
		"make build":             ownBuild,
		"gcloud run jobs create my-cloud-run-job --image us-docker.pkg.dev/my-gcp-project/my-repository/my-image --region us-central1 --project my-gcp-project --max-retries 0": account,
		"gcloud run jobs describe my-cloud-run-job --region us-central1 --project my-gcp-project":                                                                               account,
		"gcloud auth application-default login":                             account,
		"GOOGLE_APPLICATION_CREDENTIALS=/path/to/key.json orchestrator run": account,
		"ORCHESTRATOR_MODE=live orchestrator run":                           account,
		`gcloud iam roles create orchestratorRunner --project my-gcp-project --title "Orchestrator runner" --permissions run.jobs.run,run.jobs.runWithOverrides,run.executions.get,run.executions.list,run.executions.cancel,run.tasks.list,run.jobs.get`: account,
		"gcloud iam roles describe roles/run.jobsExecutorWithOverrides": account,
		"gcloud iam roles describe roles/run.viewer":                    account,
	}
	for _, role := range []string{"projects/my-gcp-project/roles/orchestratorRunner", "roles/run.jobsExecutorWithOverrides", "roles/run.viewer"} {
		others["gcloud run jobs add-iam-policy-binding my-cloud-run-job --region us-central1 --project my-gcp-project --member serviceAccount:orchestrator@my-gcp-project.iam.gserviceaccount.com --role "+role] = account
	}
	return compose, others
}

// commandLines are the commands of the README, continued lines joined, each once.
func commandLines(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, text := range blocksOf(t, "sh") {
		for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
			line = oneLine(line)
			if line != "" && !strings.HasPrefix(line, "#") && !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestCommandsOfTheREADMEAreTriedSomewhere(t *testing.T) {
	t.Parallel()
	compose, others := elsewhere()
	script := oneLine(strings.ReplaceAll(contents(t, "../local/scripts/compose-test.sh"), "\\\n", " "))
	for line, words := range compose {
		if !strings.Contains(script, words) {
			t.Errorf("compose-test.sh does not have %q, which stands for %q", words, line)
		}
	}
	unused := map[string]bool{}
	for _, s := range sessions() {
		for _, step := range s.steps {
			unused[step.line] = true
		}
	}
	for _, m := range []map[string]string{compose, others} {
		for line := range m {
			unused[line] = true
		}
	}
	for _, line := range commandLines(t) {
		if _, known := unused[line]; !known {
			t.Errorf("README.md shows a command that nobody tries; add it to sessions: %s", line)
		}
		unused[line] = false
	}
	for line, is := range unused {
		if is {
			t.Errorf("README.md does not show: %s", line)
		}
	}
}

func TestCommandsOfTheREADMEDoWhatItSays(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "orchestrator")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", program, "../local/orchestrator")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, s := range sessions() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			sh := newShell(t, program)
			for _, step := range s.steps {
				sh.try(step)
			}
		})
	}
}

// patience is how long a session may take. Whatever runs then is killed.
const patience = 5 * time.Minute

// shell runs commands in a folder of its own, with a database of its own and nothing of this machine's settings.
type shell struct {
	t         *testing.T
	ctx       context.Context
	dir       string
	env       []string
	addresses *strings.Replacer // the README's addresses → free ones
}

func newShell(t *testing.T, program string) *shell {
	t.Helper()
	functions, emulator := freeAddress(t), freeAddress(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	s := &shell{t: t, ctx: ctx, dir: t.TempDir(), addresses: strings.NewReplacer("localhost:8080", functions, "127.0.0.1:8085", emulator)}
	s.env = []string{
		"PATH=" + filepath.Dir(program) + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir(),
		"DATABASE_URL=" + testdb.Empty(t).DSN, "ORCHESTRATOR_LISTEN=" + functions, "ORCHESTRATOR_URL=http://" + functions,
	}
	for name, text := range definitions(t) {
		if err := os.WriteFile(filepath.Join(s.dir, name+".yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	local, err := filepath.Abs("../local")
	if err == nil {
		err = os.Symlink(local, filepath.Join(s.dir, "local"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *shell) try(step step) {
	s.t.Helper()
	cmd := exec.CommandContext(s.ctx, "sh", "-c", "exec env "+s.addresses.Replace(step.line))
	cmd.Dir, cmd.Env = s.dir, s.env
	out := &output{wants: step.wants, said: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("%s: %v", step.line, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if step.stays {
		s.stays(step, cmd, out, ended)
		return
	}
	<-ended
	if code := cmd.ProcessState.ExitCode(); code != 0 || !strings.Contains(out.String(), step.wants) {
		s.t.Fatalf("%s\nexit code %d, want 0 and %q in\n%s", step.line, code, step.wants, out)
	}
}

// stays waits until a program that goes on says what it should. When the session is over, an interrupt must end it well.
func (s *shell) stays(step step, cmd *exec.Cmd, out *output, ended chan error) {
	s.t.Helper()
	select {
	case <-out.said:
	case err := <-ended:
		s.t.Fatalf("%s\nended: %v\n%s", step.line, err, out)
	}
	s.t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			s.t.Errorf("%s: %v\n%s", step.line, err, out)
		}
		if err := <-ended; err != nil {
			s.t.Errorf("%s\nafter an interrupt: %v\n%s", step.line, err, out)
		}
	})
}

// output collects what a command says, and tells when the wanted words have come.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wants string
	said  chan struct{}
	told  bool
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(b)
	if !o.told && bytes.Contains(o.text.Bytes(), []byte(o.wants)) {
		o.told = true
		close(o.said)
	}
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
