package emulator

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Jobs are job definitions by short name, as in projects/any/locations/any/jobs/NAME.
type Jobs map[string]Job

// Job says what a Cloud Run job does here: it runs either a command or a Go function.
type Job struct {
	// Command is run for each attempt of a task; the first word is found on PATH, or in Dir where it contains a slash.
	Command []string
	// Args follow the command. A run may replace them.
	Args []string
	// Env is the job's own environment. A run may add to it.
	Env map[string]string
	// Containers are the names of its containers; nil is one, named like the job. The command stands for the first.
	Containers []string
	// Image is shown and otherwise without meaning.
	Image string
	// TaskCount is the number of tasks of a run that asks for none, at most 10,000; 0 is 1.
	TaskCount int
	// MaxRetries is how often a failed task is tried again, 0 to 10. (A jobs file that does not say gets Cloud Run's 3.)
	MaxRetries int
	// Parallelism is how many tasks of one execution run at the same time; 0 is no limit but the machine's.
	Parallelism int
	// Timeout of one attempt of a task; 0 is 10 minutes.
	Timeout time.Duration
	// Denied are permissions that the caller lacks on this job, as in run.jobs.runWithOverrides; calls that need one are refused.
	Denied []string
	// Dir is the working folder; empty is that of the emulator.
	Dir string
	// Func is run in place of a command. It should end soon after its context, with any result.
	Func func(context.Context, Task) Result
}

// Task is one attempt of one task, as a Go function sees it. The function must not change what it is given.
type Task struct {
	Job       string // short name
	Execution string // full name
	Index     int    // from 0
	Count     int    // tasks of the execution
	Attempt   int    // from 0
	Args      []string
	Env       map[string]string // the job's and the run's, without Cloud Run's own CLOUD_RUN_ variables
}

// Result is how an attempt ended. The zero value is success.
type Result struct {
	ExitCode int
	Signal   int    // the attempt was ended by this signal; ExitCode is 0 then
	Message  string // in Cloud Run's words; empty: the usual words for exit code and signal. Alone it means a failure without either
	NoResult bool   // the task fails, and nothing is said of how its attempt ended
}

func (r Result) ok() bool { return r == Result{} }

// Cloud Run's limits on jobs and runs.
const (
	maxTasks          = 10_000
	maxRetries        = 10
	maxTimeout        = 168 * time.Hour
	defaultTimeout    = 10 * time.Minute
	defaultMaxRetries = 3
)

var jobNamePattern = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)

// check refuses jobs that could not run.
func (jobs Jobs) check() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(jobs)) {
		j := jobs[name]
		switch {
		case !jobNamePattern.MatchString(name):
			errs = append(errs, fmt.Errorf("job %q: a name is %s", name, jobNameRule))
		case (len(j.Command) == 0) == (j.Func == nil):
			errs = append(errs, fmt.Errorf("job %s: exactly one of Command and Func is needed", name))
		case j.TaskCount < 0 || j.TaskCount > maxTasks:
			errs = append(errs, fmt.Errorf("job %s: task count %d is not within 0 and %d", name, j.TaskCount, maxTasks))
		case j.MaxRetries < 0 || j.MaxRetries > maxRetries:
			errs = append(errs, fmt.Errorf("job %s: max retries %d is not within 0 and %d", name, j.MaxRetries, maxRetries))
		case j.Timeout < 0 || j.Timeout > maxTimeout:
			errs = append(errs, fmt.Errorf("job %s: timeout %s is not within 0 and %s", name, j.Timeout, maxTimeout))
		case j.Parallelism < 0:
			errs = append(errs, fmt.Errorf("job %s: parallelism %d is below 0", name, j.Parallelism))
		case checkDenied(j.Denied) != "":
			errs = append(errs, fmt.Errorf("job %s: %s", name, checkDenied(j.Denied)))
		}
	}
	return errors.Join(errs...)
}

const jobNameRule = "lowercase letters, digits and hyphens, begins with a letter, does not end with a hyphen, at most 63 long"

// job is a Job made ready to run.
type job struct {
	Job
	name string // short
	etag string
}

func newJob(name string, def Job) *job {
	j := &job{Job: def, name: name}
	j.TaskCount = max(j.TaskCount, 1)
	if j.Timeout == 0 {
		j.Timeout = defaultTimeout
	}
	if len(j.Containers) == 0 {
		j.Containers = []string{name}
	}
	if j.Image == "" {
		j.Image = "emulator/" + name
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %q %q %q %q %d %d %d %s",
		name, j.Command, j.Args, j.Env, j.Containers, j.TaskCount, j.MaxRetries, j.Parallelism, j.Timeout))
	j.etag = fmt.Sprintf("%x", sum[:8])
	return j
}

// template is what each task of a run without overrides would get.
func (j *job) template() *runpb.TaskTemplate {
	t := &runpb.TaskTemplate{
		Retries: &runpb.TaskTemplate_MaxRetries{MaxRetries: int32(j.MaxRetries)},
		Timeout: durationpb.New(j.Timeout),
	}
	for i, name := range j.Containers {
		c := &runpb.Container{Name: name, Image: j.Image}
		if i == 0 {
			c.Command, c.Args, c.WorkingDir = j.Command, j.Args, j.Dir
			for _, k := range slices.Sorted(maps.Keys(j.Env)) {
				c.Env = append(c.Env, envVar(k, j.Env[k]))
			}
		}
		t.Containers = append(t.Containers, c)
	}
	return t
}

func envVar(name, value string) *runpb.EnvVar {
	return &runpb.EnvVar{Name: name, Values: &runpb.EnvVar_Value{Value: value}}
}

// reserved says whether Cloud Run keeps an environment variable's name for itself.
func reserved(name string) bool {
	if name == "PORT" {
		return true
	}
	for _, prefix := range []string{"CLOUD_RUN_", "K_", "X_GOOGLE_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
