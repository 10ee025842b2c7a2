package cloudrun

import (
	"context"
	"fmt"
	"strings"

	"cloud.google.com/go/iam/apiv1/iampb"
	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/googleapis/gax-go/v2"

	"cloud-run-orchestrator/internal/lifecycle"
)

// defaultMaxRetries is what Cloud Run does where a job does not say.
const defaultMaxRetries = 3

// Job reads a job by its full name, which is the name in the facts too. A job that Cloud Run does not know is lifecycle.ErrGone. An answer about another
// one is an error.
func (c *Client) Job(ctx context.Context, name string) (lifecycle.JobState, error) {
	what := "get job " + name
	job, err := read(ctx, c, what, func(ctx context.Context) (*runpb.Job, error) {
		return c.jobs.GetJob(ctx, &runpb.GetJobRequest{Name: name}, gax.WithGRPCOptions(anySize()))
	})
	if err != nil {
		return lifecycle.JobState{}, err
	}
	if !sameJob(name, job.GetName()) {
		return lifecycle.JobState{}, fmt.Errorf("%s: %w", what, otherName(job.GetName()))
	}
	return jobState(name, job), nil
}

// Permissions asks which of some permissions on a job the caller lacks, in their order. Asking needs no permission. A job that is not there may look like
// one on which all are lacking.
func (c *Client) Permissions(ctx context.Context, job string, wanted []string) (lacking []string, err error) {
	answer, err := read(ctx, c, "test permissions on "+job, func(ctx context.Context) (*iampb.TestIamPermissionsResponse, error) {
		return c.jobs.TestIamPermissions(ctx, &iampb.TestIamPermissionsRequest{Resource: job, Permissions: wanted}, gax.WithGRPCOptions(anySize()))
	})
	if err != nil {
		return nil, err
	}
	granted := map[string]bool{}
	for _, permission := range answer.GetPermissions() {
		granted[permission] = true
	}
	for _, permission := range wanted {
		if !granted[permission] {
			lacking = append(lacking, permission)
		}
	}
	return lacking, nil
}

func jobState(name string, job *runpb.Job) lifecycle.JobState {
	template := job.GetTemplate().GetTemplate()
	s := lifecycle.JobState{JobFacts: templateFacts(name, job.GetTemplate().GetParallelism(), template)}
	if template.GetRetries() == nil {
		s.MaxRetries = defaultMaxRetries
	}
	if end := job.GetTerminalCondition(); end.GetState() == runpb.Condition_CONDITION_FAILED {
		s.NotReady = "it did not say why"
		if reason, message := reasonOf(end), words(end.GetMessage()); reason+message != "" {
			s.NotReady = strings.Trim(reason+": "+message, ": ")
		}
		s.NotReadySince = timeOf(end.GetLastTransitionTime())
	}
	return s
}

// reasonOf is the reason of a job's condition, as in CONTAINER_MISSING. A number without a name stays a number.
func reasonOf(c *runpb.Condition) string {
	switch r := c.GetReasons().(type) {
	case *runpb.Condition_Reason:
		return r.Reason.String()
	case *runpb.Condition_RevisionReason_:
		return r.RevisionReason.String()
	}
	return ""
}
