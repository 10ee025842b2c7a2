package functions

import (
	"context"
	"net/http"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/engine"

	"github.com/danielgtaylor/huma/v2"
)

type tickRequest struct {
	Caller
	Body *struct{} `doc:"nothing"`
}

// DoctorQuery is embedded by what doctor is asked for.
type DoctorQuery struct {
	Cloud bool `query:"cloud" doc:"compare the jobs that workflows name with what they need of them, too: settings and permissions"`
}

type fixRequest struct {
	Caller
	DoctorQuery
	Body *struct{} `doc:"nothing"`
}

type restoreRequest struct {
	Caller
	Body api.RestoreRequest
}

// tickRoutes are called by Cloud Scheduler, the wake queue or the local ticker, as a caller that may do nothing else.
// A tick may be repeated, overlap another, or be killed anywhere.
func (f *Functions) tickRoutes() {
	const root = "/" + api.FunctionTick
	register(f, huma.Operation{
		OperationID: "tick", Method: http.MethodPost, Path: root,
		Summary: "Move everything that is due", Description: "Answers 500 when a phase failed; the report is complete all the same, and the other phases ran.",
	}, f.tick)
	register(f, huma.Operation{
		OperationID: "doctor", Method: http.MethodGet, Path: root + "/doctor",
		Summary: "Compare the database with its own rules and with Cloud Run", Description: "Changes nothing, and may be called at any time, also while ticks run.",
	}, f.doctor)
	register(f, huma.Operation{
		OperationID: "doctor-fix", Method: http.MethodPost, Path: root + "/doctor",
		Summary: "Put right what doctor finds", Description: "Does what a tick would do about what the listings show, and no more: no execution's row is ended, and nothing of another installation is touched.",
	}, f.fix)
	register(f, huma.Operation{
		OperationID: "doctor-restore", Method: http.MethodPost, Path: root + "/doctor/restore",
		Summary:     "Go on from a database that was restored to an earlier time",
		Description: "Puts back the sends that it has forgotten; nothing is launched meanwhile. To be repeated until it is done, and may be repeated after that.",
	}, f.restore)
	tick := f.api.OpenAPI().Paths[root].Post
	tick.Responses["500"] = &huma.Response{Description: "A phase failed", Content: tick.Responses["200"].Content}
}

// tick answers with the report in both cases, so that the scheduler's metric shows a failure and a person sees what failed.
func (f *Functions) tick(ctx context.Context, in *tickRequest) (*coded[api.TickReport], error) {
	report, err := f.engine.Tick(ctx, f.actorOf(in.Caller))
	if err != nil {
		id := f.fail(ctx, "tick", err)
		if len(report.Errors) == 0 {
			report.Errors = append(report.Errors, tickError(err, id))
		}
	}
	status := http.StatusOK
	if len(report.Errors) > 0 {
		status = http.StatusInternalServerError
	}
	return &coded[api.TickReport]{Status: status, Body: encodeReport(report)}, nil
}

func (f *Functions) doctor(ctx context.Context, in *DoctorQuery) (*reply[api.DoctorReport], error) {
	return f.checkup(ctx, engine.Doctor{Cloud: in.Cloud})
}

func (f *Functions) fix(ctx context.Context, in *fixRequest) (*reply[api.DoctorReport], error) {
	return f.checkup(ctx, engine.Doctor{Fix: true, Cloud: in.Cloud, Actor: f.actorOf(in.Caller)})
}

func (f *Functions) restore(ctx context.Context, in *restoreRequest) (*reply[api.RestoreReport], error) {
	r, err := f.engine.Restore(ctx, engine.Restore{To: in.Body.RestoredTo, GiveUp: in.Body.GiveUp, Actor: f.actorOf(in.Caller)})
	if err != nil {
		return nil, err
	}
	return &reply[api.RestoreReport]{Body: encodeRestored(r)}, nil
}

func (f *Functions) checkup(ctx context.Context, o engine.Doctor) (*reply[api.DoctorReport], error) {
	found, err := f.engine.Doctor(ctx, o)
	if err != nil {
		return nil, err
	}
	return &reply[api.DoctorReport]{Body: encodeCheckup(found)}, nil
}

// tickError is for a tick that failed before its phases could say anything.
func tickError(err error, id string) string {
	status, words := statusOf(err)
	if status == http.StatusInternalServerError {
		return internalProblem(id).Detail + "; its log has the details under the id " + id
	}
	return words
}
