package cloudrun

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
)

// evidence is what one call saw on the wire. grpc-go makes the same codes itself, out of stream resets, of HTTP statuses without a gRPC status, and of
// trouble on our own side, and its errors do not tell which is which.
type evidence struct {
	header, trailer metadata.MD // as the call options gave them
	status          atomic.Bool // a gRPC trailer came
	message         atomic.Bool // an answer came, too
}

type evidenceKey struct{}

// watch gives a context whose call leaves its evidence.
func watch(ctx context.Context) (context.Context, *evidence) {
	e := &evidence{}
	return context.WithValue(ctx, evidenceKey{}, e), e
}

// serverSaid tells whether a definite no, of the codes in notStarted, was sent by the server itself. (After a trailer with OK grpc-go makes only
// INTERNAL and RESOURCE_EXHAUSTED, when it cannot take the answer in. Neither counts, the latter because it has no quota details.)
func (e *evidence) serverSaid() bool {
	// An answer of trailers only, seen without the observer's help: grpc-go keeps the content type nowhere but there.
	if len(e.header) == 0 && len(e.trailer.Get("content-type")) > 0 {
		return true
	}
	return e.status.Load() && !e.message.Load()
}

// observer hands what a connection sees to the evidence of the call that it belongs to.
type observer struct{}

func (observer) HandleRPC(ctx context.Context, s stats.RPCStats) {
	e, ok := ctx.Value(evidenceKey{}).(*evidence)
	if !ok {
		return
	}
	switch s.(type) {
	case *stats.InPayload:
		e.message.Store(true)
	case *stats.InTrailer:
		e.status.Store(true)
	}
}

func (observer) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (observer) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (observer) HandleConn(context.Context, stats.ConnStats) {}
