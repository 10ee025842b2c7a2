package emulator

import (
	"context"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// outcome is what a call comes to. gRPC and REST each show it in their own way.
type outcome struct {
	answer any
	err    error
	loss   Loss // no answer is sent; err is what the caller makes of that
	spoilt bool // text in answer or err is marked to become something that is not UTF-8
}

// serveGRPC passes every call of gRPC.
func (s *Server) serveGRPC(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	out := s.pass(ctx, last(info.FullMethod), req, handle)
	switch {
	case out.loss == Cut:
		if p, ok := peer.FromContext(ctx); ok {
			p.Addr.(*wire).Close()
		}
	case out.loss == ResetExhausted, out.loss == ResetDenied:
		mark(ctx, out.loss)
	case out.spoilt && out.err != nil:
		mark(ctx, NoLoss)
	case out.spoilt:
		return spoilt{out.answer.(proto.Message)}, nil
	}
	return out.answer, out.err
}

// pass lets a call through: it counts it, asks Intercept, and does what that says.
func (s *Server) pass(ctx context.Context, method string, req any, handle grpc.UnaryHandler) outcome {
	began := s.now()
	s.knowProject(req)
	p := &passage{Call: s.calls.begin(method, resource(req))}
	p.Since = began.Sub(s.born)
	if s.intercept != nil {
		p.fault = s.intercept(ctx, p.Call)
	}
	out := s.disturbed(ctx, p, req, handle)
	if p.fault.BadText && out.loss == NoLoss {
		out = spoil(out)
	}
	if p.made != nil && (out.err != nil || p.fault.DropMetadata || p.fault.BadText || ctx.Err() != nil) {
		s.mu.Lock()
		p.made.unanswered = true
		s.mu.Unlock()
	}
	s.calls.end(p, began, status.Code(out.err))
	return out
}

func (s *Server) disturbed(ctx context.Context, p *passage, req any, handle grpc.UnaryHandler) outcome {
	f := p.fault
	if f.Delay > 0 && !s.wait(context.Background(), f.Delay) {
		return outcome{err: status.Error(codes.Unavailable, errClosed.Error())}
	}
	switch {
	case f.Before != nil:
		return outcome{err: f.Before}
	case f.LoseBefore != NoLoss:
		return s.lose(ctx, f.LoseBefore)
	case f.Quota:
		return outcome{err: s.limits.refusal(p.Call)}
	}
	if err := s.limits.admit(p.Call, s.now()); err != nil {
		p.limit = true
		return outcome{err: err}
	}
	var answer any
	err := s.permit(p.Method, req)
	if err == nil {
		answer, err = handle(context.WithValue(ctx, callKey{}, p), req)
	}
	if f.Slow > 0 {
		s.wait(ctx, f.Slow)
	}
	switch {
	case f.After != nil:
		return outcome{err: f.After}
	case f.LoseAfter != NoLoss:
		return s.lose(ctx, f.LoseAfter)
	case err != nil:
		return outcome{err: err}
	}
	return outcome{answer: s.changed(answer.(proto.Message), p)}
}

// wait lets real time pass. It is false when ctx or the Server ended before.
func (s *Server) wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
	return false
}

// lose ends a call without an answer. It returns at once, or when the caller has given up.
func (s *Server) lose(ctx context.Context, l Loss) outcome {
	switch l {
	case ResetExhausted:
		return outcome{loss: l, err: status.Error(codes.ResourceExhausted, "the stream was reset")}
	case ResetDenied:
		return outcome{loss: l, err: status.Error(codes.PermissionDenied, "the stream was reset")}
	case Hang:
		select {
		case <-ctx.Done():
			return outcome{loss: l, err: status.FromContextError(ctx.Err()).Err()}
		case <-s.ctx.Done():
		}
	}
	return outcome{loss: Cut, err: status.Error(codes.Unavailable, "the connection was cut")}
}

// abandon ends a REST call whose answer is lost: the connection is closed.
func (o outcome) abandon() {
	if o.loss != NoLoss {
		panic(http.ErrAbortHandler)
	}
}

// resource is the name, or else the parent or the resource, that a request is about.
func resource(req any) string {
	switch r := req.(type) {
	case interface{ GetName() string }:
		return r.GetName()
	case interface{ GetParent() string }:
		return r.GetParent()
	case interface{ GetResource() string }:
		return r.GetResource()
	}
	return ""
}
