// Package examples_test holds the examples to what they promise.
package examples_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/workflow"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/protobuf/types/known/durationpb"
)

func TestEveryDefinitionIsGoodAndRunsJobsThatAreThere(t *testing.T) {
	t.Parallel()
	jobs := loadJobs(t)
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("the examples are %v, %v", files, err)
	}
	for _, file := range files {
		if file == "jobs.yaml" || file == "faults.yaml" { // these are the emulator's
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := workflow.Parse(file, text)
		if err != nil {
			t.Error(err)
			continue
		}
		spec, err := doc.Spec(workflow.Defaults{Project: "p"})
		if err != nil {
			t.Error(err)
			continue
		}
		if spec.Name+".yaml" != file {
			t.Errorf("%s describes %s", file, spec.Name)
		}
		for _, step := range spec.Steps {
			if _, ok := jobs[step.Job.Name]; !ok {
				t.Errorf("%s: step %s runs job %s, which jobs.yaml does not have", file, step.Name, step.Job.Name)
			}
		}
	}
}

func TestEveryJobDoesWhatItSays(t *testing.T) {
	t.Parallel()
	jobs := loadJobs(t)
	want, err := filepath.Abs("../../bin/primes")
	if got := filepath.Join(jobs["primes"].Dir, jobs["primes"].Command[0]); err != nil || got != want {
		t.Errorf("primes is looked for at %s, want %s; %v", got, want, err)
	}
	results, program := t.TempDir(), filepath.Join(t.TempDir(), "primes")
	if out, err := exec.Command("go", "build", "-o", program, "./primes").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	primes := jobs["primes"]
	primes.Command = []string{program}
	jobs["primes"] = primes
	s, err := emulator.New(emulator.Options{Jobs: jobs, LogDir: t.TempDir(), Grace: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)

	for _, test := range []struct {
		job     string
		tasks   int32
		env     map[string]string
		succeed int32
		log     string // in the log of the first task
	}{
		{"primes", 4, map[string]string{"RESULTS_DIR": results, "LIMIT": "1000000"}, 4, "primes in [0, 250000)"},
		{"total", 1, map[string]string{"RESULTS_DIR": results, "SHARES": "4"}, 1, "78498 primes in 4 shares"},
		{"hello", 2, map[string]string{"ORCHESTRATOR_RUN": "x.1"}, 2, "ORCHESTRATOR_RUN=x.1"},
		{"broken", 3, nil, 2, "input 0 is fine"},
		{"slow", 1, map[string]string{"SECONDS_EACH": "0"}, 1, ""},
	} {
		x := runToEnd(t, s, test.job, test.tasks, test.env)
		if x.GetSucceededCount() != test.succeed {
			t.Errorf("%s: %d of %d tasks succeeded, want %d: %v", test.job, x.GetSucceededCount(), test.tasks, test.succeed, x.GetConditions())
		}
		log, err := os.ReadFile(strings.TrimPrefix(x.GetLogUri(), "file://") + "/task-0-attempt-0.log")
		if err != nil || !strings.Contains(string(log), test.log) {
			t.Errorf("%s: the log is %q, %v; want %q in it", test.job, log, err, test.log)
		}
	}
}

func loadJobs(t *testing.T) emulator.Jobs {
	t.Helper()
	path, err := filepath.Abs("jobs.yaml")
	jobs, loadErr := emulator.LoadJobs(path)
	if err := errors.Join(err, loadErr); err != nil {
		t.Fatal(err)
	}
	return jobs
}

func runToEnd(t *testing.T, s *emulator.Server, job string, tasks int32, env map[string]string) *runpb.Execution {
	t.Helper()
	container := &runpb.RunJobRequest_Overrides_ContainerOverride{}
	for name, value := range env {
		container.Env = append(container.Env, &runpb.EnvVar{Name: name, Values: &runpb.EnvVar_Value{Value: value}})
	}
	op, err := s.RunJob(t.Context(), &runpb.RunJobRequest{
		Name:      "projects/p/locations/l/jobs/" + job,
		Overrides: &runpb.RunJobRequest_Overrides{TaskCount: tasks, ContainerOverrides: []*runpb.RunJobRequest_Overrides_ContainerOverride{container}},
	})
	if err != nil {
		t.Fatal(err)
	}
	op, err = s.WaitOperation(t.Context(), &longrunningpb.WaitOperationRequest{Name: op.GetName(), Timeout: durationpb.New(time.Minute)})
	if err != nil || !op.GetDone() {
		t.Fatalf("%s: done %v, %v", job, op.GetDone(), err)
	}
	var x runpb.Execution
	if err := op.GetMetadata().UnmarshalTo(&x); err != nil {
		t.Fatal(err)
	}
	return &x
}
