package functions

import (
	"context"
	"crypto/sha256"
	"net/http"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/engine"

	"github.com/danielgtaylor/huma/v2"
)

// RunRef is the path of one run.
type RunRef struct {
	Run string `path:"run" doc:"the run's UUID, or WORKFLOW.NUMBER as in nightly-report.42"`
}

type triggerRun struct {
	Caller
	Workflow string              `path:"workflow" doc:"the workflow's name"`
	Key      string              `header:"Idempotency-Key" maxLength:"255" pattern:"^[ -~]*$" patternDescription:"at most 255 printable ASCII characters" doc:"repeat a request with the same key and body, and you get the same run"`
	Body     *api.TriggerRequest `doc:"params of the run; may be left out"`
	RawBody  []byte
}

type cancelRun struct {
	RunRef
	Caller
	Body *api.CancelRequest `doc:"why; may be left out"`
}

// triggerRoutes are called by whoever may start and stop runs. A trigger may be repeated with an Idempotency-Key, a cancel always.
func (f *Functions) triggerRoutes() {
	const root = "/" + api.FunctionTrigger
	register(f, huma.Operation{
		OperationID: "trigger-run", Method: http.MethodPost, Path: root + "/{workflow}", DefaultStatus: http.StatusCreated,
		Summary: "Start a run", Description: "Answers 200 with the run of an earlier request that had the same Idempotency-Key and body.",
	}, f.triggerRun)
	register(f, huma.Operation{
		OperationID: "cancel-run", Method: http.MethodPost, Path: root + "/runs/{run}/cancel",
		Summary: "Ask a run to stop", Description: "Unsent work ends at once; live executions are cancelled by the ticks that follow.",
	}, f.cancelRun)

	trigger := f.api.OpenAPI().Paths[root+"/{workflow}"].Post
	// The raw body, read for its digest, is the same body and not a second form of it.
	delete(trigger.RequestBody.Content, "application/octet-stream")
	trigger.RequestBody.Required = false
	trigger.Responses["200"] = &huma.Response{Description: "The run of an earlier request", Content: trigger.Responses["201"].Content}
}

func (f *Functions) triggerRun(ctx context.Context, in *triggerRun) (*coded[api.Run], error) {
	t := engine.Trigger{Workflow: in.Workflow, Key: in.Key, Actor: f.actorOf(in.Caller)}
	digest := sha256.Sum256(in.RawBody)
	t.Digest = digest[:]
	if in.Body != nil {
		t.Params = in.Body.Params
	}
	run, replayed, err := f.engine.Trigger(ctx, t)
	if err != nil {
		return nil, err
	}
	out, err := encodeRun(run)
	if err != nil {
		return nil, err
	}
	out.Replayed = replayed
	status := http.StatusCreated
	if replayed {
		status = http.StatusOK
	}
	return &coded[api.Run]{Status: status, Body: out}, nil
}

func (f *Functions) cancelRun(ctx context.Context, in *cancelRun) (*reply[api.Run], error) {
	reason := ""
	if in.Body != nil {
		reason = in.Body.Reason
	}
	run, err := f.engine.Cancel(ctx, in.Run, reason, f.actorOf(in.Caller))
	if err != nil {
		return nil, err
	}
	out, err := encodeRun(run)
	if err != nil {
		return nil, err
	}
	return &reply[api.Run]{Body: out}, nil
}
