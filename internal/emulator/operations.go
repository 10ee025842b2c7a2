package emulator

import (
	"context"
	"slices"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

type opKind uint8

const (
	opRun opKind = iota
	opCancel
	opDelete
)

// operation is the long-running side of a call. It is done when its execution has ended.
type operation struct {
	seq   int64
	name  string
	kind  opKind
	x     *execution
	fixed *longrunningpb.Operation // the answer for good, nil while it depends on x
}

// newOperation makes and remembers an operation. The caller holds mu.
func (s *Server) newOperation(kind opKind, x *execution, location string) *operation {
	s.seq++
	op := &operation{seq: s.seq, name: location + "/operations/" + newUID(), kind: kind, x: x}
	x.operations = append(x.operations, op)
	s.operations[op.name] = op
	s.opsAt[location] = append(s.opsAt[location], op)
	return op
}

// view is the operation as the API shows it. The caller holds mu.
func (op *operation) view() *longrunningpb.Operation {
	if op.fixed != nil {
		return op.fixed
	}
	v := op.x.view()
	if op.x.completed.IsZero() {
		return &longrunningpb.Operation{Name: op.name, Metadata: pack(v)}
	}
	o := finished(op.name, v)
	// A cancelled execution ends its operations without an error, as Cloud Run does.
	if op.kind == opRun && op.x.failed > 0 && op.x.cancelling.IsZero() {
		o.Result = &longrunningpb.Operation_Error{Error: op.x.failedStatus().Proto()}
	}
	return o
}

// finished is an operation that is done, with an execution as its response.
func finished(name string, v *runpb.Execution) *longrunningpb.Operation {
	packed := pack(v)
	return &longrunningpb.Operation{Name: name, Done: true, Metadata: packed, Result: &longrunningpb.Operation_Response{Response: packed}}
}

// pack wraps a message. It cannot fail: all text in it came through protobuf or is our own.
func pack(m proto.Message) *anypb.Any {
	packed, err := anypb.New(m)
	if err != nil {
		panic("emulator: a message cannot be encoded: " + err.Error())
	}
	return packed
}

func (s *Server) findOperation(name string) (*operation, error) {
	if _, err := parts(operationForm, name); err != nil {
		return nil, err
	}
	op, ok := s.operations[name]
	if !ok {
		return nil, status.Errorf(codes.NotFound, "Operation '%s' does not exist.", name)
	}
	return op, nil
}

// opsBefore is the number of operations made before seq.
func opsBefore(ops []*operation, seq int64) int {
	i, _ := slices.BinarySearchFunc(ops, seq, func(op *operation, seq int64) int { return int(op.seq - seq) })
	return i
}

// GetOperation shows an operation.
func (s *Server) GetOperation(_ context.Context, r *longrunningpb.GetOperationRequest) (*longrunningpb.Operation, error) {
	s.lock()
	defer s.mu.Unlock()
	op, err := s.findOperation(r.GetName())
	if err != nil {
		return nil, err
	}
	return op.view(), nil
}

// ListOperations lists the operations of a location, newest first.
func (s *Server) ListOperations(_ context.Context, r *longrunningpb.ListOperationsRequest) (*longrunningpb.ListOperationsResponse, error) {
	if _, err := parts(locationForm, r.GetName()); err != nil {
		return nil, err
	}
	if r.GetFilter() != "" {
		return nil, status.Error(codes.Unimplemented, "the emulator knows no filters of operations")
	}
	size, err := pageSize(r.GetPageSize())
	if err != nil {
		return nil, err
	}
	list := r.GetName() + "/operations"
	at, paged, err := readToken(list, r.GetPageToken())
	if err != nil {
		return nil, err
	}
	s.lock()
	defer s.mu.Unlock()
	ops := s.opsAt[r.GetName()]
	if paged {
		ops = ops[:opsBefore(ops, at.a)]
	}
	out := &longrunningpb.ListOperationsResponse{}
	for _, op := range slices.Backward(ops) {
		if len(out.Operations) == size {
			out.NextPageToken = pageToken(list, position{a: op.seq + 1})
			break
		}
		out.Operations = append(out.Operations, op.view())
	}
	return out, nil
}

// WaitOperation answers when the operation is done, or with its present state after the timeout.
func (s *Server) WaitOperation(ctx context.Context, r *longrunningpb.WaitOperationRequest) (*longrunningpb.Operation, error) {
	s.lock()
	op, err := s.findOperation(r.GetName())
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	done := op.x.done()
	s.mu.Unlock()
	if r.GetTimeout() != nil {
		limited, cancel := context.WithTimeout(ctx, max(r.GetTimeout().AsDuration(), time.Millisecond))
		defer cancel()
		ctx = limited
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
	return s.GetOperation(ctx, &longrunningpb.GetOperationRequest{Name: r.GetName()})
}
