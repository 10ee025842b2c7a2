package cloudrun

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"cloud.google.com/go/iam/apiv1/iampb"
	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/lifecycle"
)

func TestJob_is_what_Cloud_Run_says_of_it(t *testing.T) {
	t.Parallel()
	noRetries := &runpb.TaskTemplate_MaxRetries{}
	failed := func(c *runpb.Condition) *runpb.Job {
		c.State, c.LastTransitionTime = runpb.Condition_CONDITION_FAILED, timestamppb.New(created)
		return &runpb.Job{TerminalCondition: c, Template: &runpb.ExecutionTemplate{Template: &runpb.TaskTemplate{Retries: noRetries}}}
	}
	missing := &runpb.Condition_Reason{Reason: runpb.Condition_CONTAINER_MISSING}
	state := func(words string) lifecycle.JobState {
		return lifecycle.JobState{JobFacts: lifecycle.JobFacts{Job: aJob}, NotReady: words, NotReadySince: &created}
	}
	for name, test := range map[string]struct {
		job  *runpb.Job
		want lifecycle.JobState
	}{
		"a job that is ready": {&runpb.Job{
			TerminalCondition: &runpb.Condition{Type: "Ready", State: runpb.Condition_CONDITION_SUCCEEDED, Message: "fine"},
			Template: &runpb.ExecutionTemplate{Parallelism: 4, TaskCount: 9, Template: &runpb.TaskTemplate{
				Retries: &runpb.TaskTemplate_MaxRetries{MaxRetries: 2}, Timeout: durationpb.New(time.Hour),
				Containers: []*runpb.Container{{Name: "main", Image: "report:1"}, {Name: "proxy", Image: "proxy:1"}},
			}},
		}, lifecycle.JobState{JobFacts: lifecycle.JobFacts{Job: aJob, Containers: []string{"main", "proxy"}, Image: "report:1", MaxRetries: 2, Parallelism: 4, Timeout: time.Hour}}},
		"a job that says nothing": {&runpb.Job{}, lifecycle.JobState{JobFacts: lifecycle.JobFacts{Job: aJob, MaxRetries: 3}}},
		"a reason and words":      {failed(&runpb.Condition{Reasons: missing, Message: "Image 'report:1' not found."}), state("CONTAINER_MISSING: Image 'report:1' not found.")},
		"a reason":                {failed(&runpb.Condition{Reasons: missing}), state("CONTAINER_MISSING")},
		"words":                   {failed(&runpb.Condition{Message: "no\x00"}), state("no")},
		"neither":                 {failed(&runpb.Condition{}), state("it did not say why")},
		"a reason of tomorrow":    {failed(&runpb.Condition{Reasons: &runpb.Condition_Reason{Reason: 99}, Message: "new"}), state("99: new")},
		"a revision's reason": {failed(&runpb.Condition{Reasons: &runpb.Condition_RevisionReason_{RevisionReason: runpb.Condition_HEALTH_CHECK_CONTAINER_ERROR}}),
			state("HEALTH_CHECK_CONTAINER_ERROR")},
		"a job that is being changed": {&runpb.Job{
			TerminalCondition: &runpb.Condition{State: runpb.Condition_CONDITION_RECONCILING, Message: "wait"},
			Template:          &runpb.ExecutionTemplate{Template: &runpb.TaskTemplate{Retries: noRetries}},
		}, lifecycle.JobState{JobFacts: lifecycle.JobFacts{Job: aJob}}},
	} {
		for _, answered := range []string{aJob, "projects/1234567890/locations/europe-west1/jobs/report"} {
			test.job.Name = answered
			s := &script{job: func(context.Context, *runpb.GetJobRequest) (*runpb.Job, error) { return test.job, nil }}
			got, err := s.client(t).Job(t.Context(), aJob)
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("%s: error %v (-want +got):\n%s", name, err, diff)
			}
		}
	}
}

func TestJob_takes_no_answer_about_another_job(t *testing.T) {
	t.Parallel()
	for _, answered := range []string{"", "report", aJob + "s", anExecution, strings.Replace(aJob, "acme", "other", 1)} {
		s := &script{job: func(context.Context, *runpb.GetJobRequest) (*runpb.Job, error) {
			return &runpb.Job{Name: answered}, nil
		}}
		if _, err := s.client(t).Job(t.Context(), aJob); err == nil || errors.Is(err, lifecycle.ErrGone) || !strings.Contains(err.Error(), "the answer is about") {
			t.Errorf("an answer about %q: error %v", answered, err)
		}
	}
}

func TestPermissions_are_those_that_are_lacking(t *testing.T) {
	t.Parallel()
	wanted := []string{"run.jobs.run", "run.jobs.get", "run.tasks.list"}
	s := &script{test: func(_ context.Context, r *iampb.TestIamPermissionsRequest) (*iampb.TestIamPermissionsResponse, error) {
		if diff := cmp.Diff(wanted, r.Permissions); diff != "" || r.Resource != aJob {
			t.Errorf("asked about %s (-want +got):\n%s", r.Resource, diff)
		}
		return &iampb.TestIamPermissionsResponse{Permissions: []string{"run.jobs.delete", "run.jobs.get"}}, nil
	}}
	got, err := s.client(t).Permissions(t.Context(), aJob, wanted)
	if diff := cmp.Diff([]string{"run.jobs.run", "run.tasks.list"}, got); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	if got := s.lastHeader("x-goog-request-params"); got != "resource=projects%2Facme%2Flocations%2Feurope-west1%2Fjobs%2Freport" {
		t.Errorf("routing header %q", got)
	}
}

func TestJobs_that_are_not_text_are_errors(t *testing.T) {
	t.Parallel()
	c, _ := answers(t, text(1, aJob+"\xff"))
	_, err := c.Job(t.Context(), aJob)
	_, testErr := c.Permissions(t.Context(), aJob, []string{"run.jobs.get"})
	for _, err := range []error{err, testErr} {
		if err == nil || errors.Is(err, lifecycle.ErrGone) || !utf8.ValidString(err.Error()) {
			t.Errorf("error %v", err)
		}
	}
}

func TestEmulator_shows_jobs_and_permissions(t *testing.T) {
	work := func(context.Context, emulator.Task) emulator.Result { return emulator.Result{} }
	o := emulator.Options{Jobs: emulator.Jobs{
		"report": {Func: work, Containers: []string{"main", "proxy"}, Image: "report:1", MaxRetries: 2, Parallelism: 3, Timeout: time.Minute, Denied: []string{"run.jobs.runWithOverrides"}},
		"shut":   {Func: work, Denied: []string{"run.jobs.get"}},
	}}
	onBothWays(t, o, func(t *testing.T, c *Client) {
		want := lifecycle.JobState{JobFacts: lifecycle.JobFacts{
			Job: aJob, Containers: []string{"main", "proxy"}, Image: "report:1", MaxRetries: 2, Parallelism: 3, Timeout: time.Minute,
		}}
		got, err := c.Job(t.Context(), aJob)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("error %v (-want +got):\n%s", err, diff)
		}
		lacking, err := c.Permissions(t.Context(), aJob, []string{"run.jobs.run", "run.jobs.runWithOverrides"})
		if len(lacking) != 1 || lacking[0] != "run.jobs.runWithOverrides" || err != nil {
			t.Errorf("lacking %v, error %v", lacking, err)
		}
		shut := strings.Replace(aJob, "report", "shut", 1)
		if _, err := c.Job(t.Context(), shut); status.Code(err) != codes.PermissionDenied || errors.Is(err, lifecycle.ErrGone) {
			t.Errorf("a job that may not be read: %v", err)
		}
		if _, err := c.Job(t.Context(), aJob+"-of-tomorrow"); !errors.Is(err, lifecycle.ErrGone) {
			t.Errorf("a job that is not there: %v", err)
		}
	})
}
