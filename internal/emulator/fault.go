package emulator

import (
	"context"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Call is one call of the API as Options.Intercept sees it.
type Call struct {
	Method string // as in RunJob
	N      int    // 1 for the first call of this method
	Name   string // the resource it names, or the parent of a list
}

// Fault says how a call is disturbed. The zero value leaves it alone. Errors are best made with google.golang.org/grpc/status.
type Fault struct {
	// Delay passes before all else, also when the caller gives up meanwhile: then the effect comes late.
	Delay time.Duration
	// Before is answered, and the call has no effect.
	Before error
	// After is answered although the call had its effect: the true answer is lost.
	After error
	// HideFor keeps the execution that RunJob makes out of all lists for so long.
	HideFor time.Duration
	// DropMetadata leaves the metadata out of the operation that is answered.
	DropMetadata bool
}

// faultKey carries a call's Fault to the method that obeys it, through gRPC's own dispatch.
type faultKey struct{}

func faultOf(ctx context.Context) Fault {
	f, _ := ctx.Value(faultKey{}).(Fault)
	return f
}

// disturb passes every call, of gRPC and of REST: it counts it, asks Intercept, and does what that says.
func (s *Server) disturb(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	began := s.now()
	c := s.calls.begin(last(info.FullMethod), resource(req))
	answer, err := s.disturbed(ctx, c, req, handle)
	s.calls.end(c, began, status.Code(err))
	return answer, err
}

func (s *Server) disturbed(ctx context.Context, c Call, req any, handle grpc.UnaryHandler) (any, error) {
	var f Fault
	if s.intercept != nil {
		f = s.intercept(ctx, c)
	}
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-s.ctx.Done():
			return nil, status.Error(codes.Unavailable, errClosed.Error())
		}
	}
	if f.Before != nil {
		return nil, f.Before
	}
	if f.HideFor > 0 {
		ctx = context.WithValue(ctx, faultKey{}, f)
	}
	answer, err := handle(ctx, req)
	if err != nil {
		return nil, err
	}
	if f.After != nil {
		return nil, f.After
	}
	if op, ok := answer.(*longrunningpb.Operation); ok && f.DropMetadata {
		return &longrunningpb.Operation{Name: op.Name, Done: op.Done, Result: op.Result}, nil
	}
	return answer, nil
}

// resource is the name, or else the parent, that a request is about.
func resource(req any) string {
	switch r := req.(type) {
	case interface{ GetName() string }:
		return r.GetName()
	case interface{ GetParent() string }:
		return r.GetParent()
	}
	return ""
}
