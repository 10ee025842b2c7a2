package functions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// newAPI sets huma up: JSON only, no pages that load from elsewhere, no links in bodies, and problems in our words.
func newAPI(mux *http.ServeMux, version string) huma.API {
	config := huma.DefaultConfig("Cloud Run orchestrator", version)
	config.Info.Description = "Four functions. Deployed, each has an address of its own, and the first segment of the paths below is not part of it."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.RejectUnknownQueryParameters = true
	config.Transformers = []huma.Transformer{func(ctx huma.Context, _ string, v any) (any, error) {
		if m, ok := v.(*huma.ErrorModel); ok {
			return explain(config.Components.Schemas, ctx.Operation(), m), nil
		}
		return v, nil
	}}
	return humago.New(mux, config)
}

// register adds an operation whose errors go through problemOf.
func register[I, O any](f *Functions, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	schemas := f.api.OpenAPI().Components.Schemas
	op.MaxBodyBytes, op.BodyReadTimeout = -1, -1 // readBody has done both
	op.Responses = map[string]*huma.Response{"default": {
		Description: "What went wrong",
		Content: map[string]*huma.MediaType{"application/problem+json": {
			Schema: schemas.Schema(reflect.TypeFor[api.Problem](), true, "Problem"),
		}},
	}}
	huma.Register(f.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, f.problemOf(ctx, op, err)
		}
		return out, nil
	})
	// huma documents its own error type with every operation, though none of ours answers with it.
	delete(schemas.Map(), "ErrorModel")
	delete(schemas.Map(), "ErrorDetail")
}

// problem is an api.Problem that huma and writeProblem can send.
type problem struct{ api.Problem }

func (p *problem) Error() string { return p.Detail }

// GetStatus is the HTTP status.
func (p *problem) GetStatus() int { return p.Status }

// ContentType is RFC 9457's, whatever was asked for.
func (p *problem) ContentType(string) string { return "application/problem+json" }

func newProblem(status int, format string, args ...any) *problem {
	return &problem{api.Problem{Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}}
}

func internalProblem(id string) *problem {
	p := newProblem(http.StatusInternalServerError, "something went wrong inside the orchestrator")
	p.ID = id
	return p
}

func writeProblem(w http.ResponseWriter, p *problem) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	// The status is out; a caller who has gone is not told more.
	_ = json.NewEncoder(w).Encode(p)
}

// statusOf is the one table from errors to HTTP. The words are for errors that bring none of their own to show; without any it is our fault.
func statusOf(err error) (status int, words string) {
	switch {
	case errors.Is(err, lifecycle.ErrNotFound):
		return http.StatusNotFound, "there is no such thing"
	case errors.Is(err, lifecycle.ErrConflict):
		return http.StatusConflict, "the present state forbids this"
	case errors.Is(err, lifecycle.ErrInvalid):
		return http.StatusUnprocessableEntity, "the request is not valid"
	case unreachable(err):
		return http.StatusServiceUnavailable, "the database cannot be reached or has no room for another connection; try again in a moment"
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout, "the answer took too long; try again in a moment"
	case errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable, "the request was given up before it had an answer; send it again"
	}
	return http.StatusInternalServerError, ""
}

// unreachable says whether a dependency did not answer at all. Of those only the database can be seen from here: a tick keeps what Cloud Run says in its report.
func unreachable(err error) bool {
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	var state interface{ SQLState() string } // an error of the PostgreSQL server
	if errors.As(err, &state) {
		class := state.SQLState()
		// Connection exception; too many connections; the server is starting or stopping.
		return strings.HasPrefix(class, "08") || class == "53300" || strings.HasPrefix(class, "57P")
	}
	return errors.Is(err, io.ErrUnexpectedEOF) // the server went away in the middle of an answer
}

// problemOf is what the caller sees of an error. Only a lifecycle.Fault's words go out; the rest stays in the log.
func (f *Functions) problemOf(ctx context.Context, op huma.Operation, err error) *problem {
	status, words := statusOf(err)
	if status == http.StatusInternalServerError {
		return internalProblem(f.fail(ctx, op.OperationID, err))
	}
	p := newProblem(status, "%s", words)
	if status > http.StatusInternalServerError && !errors.Is(ctx.Err(), context.Canceled) { // a caller who has gone is no failure of ours
		p.ID = f.fail(ctx, op.OperationID, err)
		return p
	}
	f.log.DebugContext(ctx, "request refused", "operation", op.OperationID, "error", err)
	if fault, ok := errors.AsType[*lifecycle.Fault](err); ok {
		p.Detail = fault.Message
		for _, field := range fault.Fields {
			p.Errors = append(p.Errors, api.ProblemField{Message: field.Message, Location: location(op.Method, field.Path)})
		}
	}
	return p
}

// location puts a field's path where the request had it: in the body of a write, in the query of a read.
func location(method, path string) string {
	base := "query"
	if isWrite(method) {
		base = "body"
	}
	if path == "" {
		return base
	}
	return base + "." + path
}
