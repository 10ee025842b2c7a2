package emulator

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"cloud.google.com/go/iam/apiv1/iampb"
	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// route is one method of the REST API and the gRPC method behind it.
type route struct {
	verb   string            // of HTTP
	form   string            // of the path, below /v2/
	action string            // after the colon
	target protoreflect.Name // the field that the path names
	body   bool              // the request comes as JSON
	method string            // of gRPC
	newReq func() proto.Message
	call   func(*Server, context.Context, any) (any, error)
}

// to adapts a gRPC method of Server.
func to[Req proto.Message, Resp any](method func(*Server, context.Context, Req) (Resp, error)) func(*Server, context.Context, any) (any, error) {
	return func(s *Server, ctx context.Context, req any) (any, error) { return method(s, ctx, req.(Req)) }
}

func request[T any, P interface {
	*T
	proto.Message
}]() proto.Message {
	return P(new(T))
}

func routes() []route {
	return []route{
		{"GET", locationForm + "/jobs", "", "parent", false, "ListJobs", request[runpb.ListJobsRequest], to((*Server).ListJobs)},
		{"GET", jobForm, "", "name", false, "GetJob", request[runpb.GetJobRequest], to((*Server).GetJob)},
		{"POST", jobForm, "run", "name", true, "RunJob", request[runpb.RunJobRequest], to((*Server).RunJob)},
		{"POST", jobForm, "testIamPermissions", "resource", true, "TestIamPermissions", request[iampb.TestIamPermissionsRequest], to((*Server).TestIamPermissions)},
		{"GET", jobForm + "/executions", "", "parent", false, "ListExecutions", request[runpb.ListExecutionsRequest], to((*Server).ListExecutions)},
		{"GET", executionForm, "", "name", false, "GetExecution", request[runpb.GetExecutionRequest], to((*Server).GetExecution)},
		{"POST", executionForm, "cancel", "name", true, "CancelExecution", request[runpb.CancelExecutionRequest], to((*Server).CancelExecution)},
		{"DELETE", executionForm, "", "name", false, "DeleteExecution", request[runpb.DeleteExecutionRequest], to((*Server).DeleteExecution)},
		{"GET", executionForm + "/tasks", "", "parent", false, "ListTasks", request[runpb.ListTasksRequest], to((*Server).ListTasks)},
		{"GET", taskForm, "", "name", false, "GetTask", request[runpb.GetTaskRequest], to((*Server).GetTask)},
		{"GET", locationForm + "/operations", "", "name", false, "ListOperations", request[longrunningpb.ListOperationsRequest], to((*Server).ListOperations)},
		{"GET", operationForm, "", "name", false, "GetOperation", request[longrunningpb.GetOperationRequest], to((*Server).GetOperation)},
		{"POST", operationForm, "wait", "name", true, "WaitOperation", request[longrunningpb.WaitOperationRequest], to((*Server).WaitOperation)},
	}
}

// serveREST answers one REST call through the gRPC method behind it.
func (s *Server) serveREST(w http.ResponseWriter, r *http.Request) {
	asNumbers := strings.Contains(r.URL.Query().Get("$alt"), "enum-encoding=int")
	out := s.callREST(w, r)
	out.abandon()
	code, body := http.StatusOK, []byte(nil)
	if out.err == nil {
		body, out.err = protojson.MarshalOptions{UseEnumNumbers: asNumbers}.Marshal(out.answer.(proto.Message))
	}
	if out.err != nil {
		code, body = errorBody(out.err)
	}
	if out.spoilt {
		body = spoilBytes(body)
	}
	writeBody(w, code, body)
}

func (s *Server) callREST(w http.ResponseWriter, r *http.Request) outcome {
	path, ok := strings.CutPrefix(r.URL.Path, "/v2/")
	name, action, _ := strings.Cut(path, ":")
	for _, route := range routes() {
		if !ok || route.verb != r.Method || route.action != action {
			continue
		}
		resource, fits := route.resource(name)
		if !fits {
			continue
		}
		req, err := route.decode(w, r, resource)
		if err != nil {
			return outcome{err: err}
		}
		return s.pass(r.Context(), route.method, req, func(ctx context.Context, req any) (any, error) { return route.call(s, ctx, req) })
	}
	return outcome{err: status.Errorf(codes.NotFound,
		"the emulator has no method for %s %s; it has jobs, executions, tasks and operations of the Cloud Run Admin API v2", r.Method, r.URL.Path)}
}

// resource is what the path names, for the request's name or parent.
func (rt route) resource(path string) (string, bool) {
	if _, err := parts(rt.form, path); err != nil {
		return "", false
	}
	if strings.HasSuffix(rt.form, "*") {
		return path, true
	}
	return path[:strings.LastIndexByte(path, '/')], true
}

// decode makes the gRPC request out of path, query and body. Faults are INVALID_ARGUMENT.
func (rt route) decode(w http.ResponseWriter, r *http.Request, resource string) (proto.Message, error) {
	req := rt.newReq()
	if rt.body {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "read the body: %v", err)
		}
		if len(body) > 0 {
			if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
				return nil, status.Errorf(codes.InvalidArgument, "the body must be application/json, not %q", r.Header.Get("Content-Type"))
			}
			if err := protojson.Unmarshal(body, req); err != nil {
				return nil, status.Errorf(codes.InvalidArgument, "Invalid JSON payload received. %v", err)
			}
		}
	}
	if err := decodeQuery(req, r.URL.Query()); err != nil {
		return nil, err
	}
	m := req.ProtoReflect()
	m.Set(m.Descriptor().Fields().ByName(rt.target), protoreflect.ValueOfString(resource))
	return req, nil
}

// refuseBrowsers keeps web pages from starting processes here: no page of anybody's is meant to call this API.
func refuseBrowsers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site := r.Header.Get("Sec-Fetch-Site")
		if r.Header.Get("Origin") != "" || site != "" && site != "none" {
			code, body := errorBody(status.Error(codes.PermissionDenied, "the emulator does not answer web pages"))
			writeBody(w, code, body)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// errorBody is an error as Google's REST APIs answer it.
func errorBody(err error) (int, []byte) {
	st := status.Convert(err)
	c := codeOf(st.Code())
	var details []string
	for _, d := range st.Proto().GetDetails() {
		if text, err := protojson.Marshal(d); err == nil {
			details = append(details, string(text))
		}
	}
	return c.http, fmt.Appendf(nil, `{"error":{"code":%d,"message":%s,"status":%q,"details":[%s]}}`,
		c.http, quote(st.Message()), c.name, strings.Join(details, ","))
}

func writeBody(w http.ResponseWriter, code int, body []byte) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(code)
	w.Write(body)
}
