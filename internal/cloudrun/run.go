package cloudrun

import (
	"context"

	run "cloud.google.com/go/run/apiv2"
	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/googleapis/gax-go/v2"
	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"cloud-run-orchestrator/internal/lifecycle"
)

// Run starts one execution with one RunJob call, and tells what is known after it. The call is never repeated: RunJob has no idempotency key.
// Only an answer of the server itself is a no; a broken connection, a proxy's refusal and a deadline leave it unknown whether something was started.
func (c *Client) Run(ctx context.Context, l lifecycle.Launch) lifecycle.Answer {
	ctx, cancel := context.WithTimeout(ctx, c.deadline)
	defer cancel()
	ctx, seen := watch(ctx)
	op, err := c.jobs.RunJob(ctx, runRequest(l), gax.WithGRPCOptions(
		// grpc-go repeats a call by itself, whatever the dial options say, when the server reports its stream as not processed (REFUSED_STREAM, or
		// GOAWAY below its id). That report is a promise of every proxy on the way, and we have only one send, so it counts as unknown. With no
		// buffer the call is committed as soon as its message has been handed to the transport; before that, a repeat sends the only copy.
		grpc.MaxRetryRPCBufferSize(0),
		anySize(),
		grpc.Header(&seen.header),
		grpc.Trailer(&seen.trailer),
	))
	if err != nil {
		return notStarted(err, seen)
	}
	return started(l.Job, op)
}

func runRequest(l lifecycle.Launch) *runpb.RunJobRequest {
	overrides := &runpb.RunJobRequest_Overrides{TaskCount: int32(l.TaskCount)}
	if l.Timeout > 0 {
		overrides.Timeout = durationpb.New(l.Timeout)
	}
	if l.Container != "" || l.SetArgs || len(l.Env) > 0 {
		overrides.ContainerOverrides = []*runpb.RunJobRequest_Overrides_ContainerOverride{containerOverride(l)}
	}
	return &runpb.RunJobRequest{Name: l.Job, Overrides: overrides}
}

func containerOverride(l lifecycle.Launch) *runpb.RunJobRequest_Overrides_ContainerOverride {
	container := &runpb.RunJobRequest_Overrides_ContainerOverride{Name: l.Container}
	if l.SetArgs {
		container.Args = l.Args
		container.ClearArgs = len(l.Args) == 0 // no args at all would keep the job's own
	}
	for _, v := range l.Env {
		container.Env = append(container.Env, &runpb.EnvVar{Name: v.Name, Values: &runpb.EnvVar_Value{Value: v.Value}})
	}
	return container
}

// started reads the name out of an answer without error. Without one of the job's executions the answer is as good as lost, though something may run.
func started(job string, op *run.RunJobOperation) lifecycle.Answer {
	execution, err := op.Metadata()
	if err != nil {
		return lifecycle.Answer{Words: words("the answer cannot be read: " + err.Error()), Code: codeName(codes.OK)}
	}
	name, ok := executionOf(job, execution.GetName())
	if !ok {
		return lifecycle.Answer{Words: words("the answer does not name an execution of the job: " + execution.GetName()), Code: codeName(codes.OK)}
	}
	return lifecycle.Answer{Kind: lifecycle.AnswerNamed, Name: name}
}

func notStarted(err error, seen *evidence) lifecycle.Answer {
	st := statusOf(err)
	answer := lifecycle.Answer{Words: words(st.Message()), Code: codeName(st.Code())}
	if !seen.serverSaid() {
		return answer
	}
	switch st.Code() {
	case codes.ResourceExhausted:
		if hasQuotaDetails(err) {
			answer.Kind = lifecycle.AnswerQuota
		}
	case codes.NotFound, codes.PermissionDenied, codes.Unauthenticated, codes.InvalidArgument,
		codes.FailedPrecondition, codes.OutOfRange, codes.Unimplemented:
		answer.Kind = lifecycle.AnswerRejected
	}
	return answer
}

// hasQuotaDetails tells a quota's refusal, which comes before anything is created, from an overload anywhere on the way.
func hasQuotaDetails(err error) bool {
	e, ok := apierror.FromError(err)
	return ok && (e.Details().QuotaFailure != nil || e.Details().ErrorInfo != nil)
}
