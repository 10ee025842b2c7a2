//go:build crashpoints

package cloudrun

import (
	"context"
	"path"

	"cloud-run-orchestrator/internal/crash"

	"google.golang.org/grpc"
)

// mortal gives calls their crash points, named after the method of Cloud Run's API. Every call of a connection that we make passes here.
func mortal() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		crash.Before(ctx, path.Base(method))
		err := call(ctx, method, req, reply, conn, opts...)
		crash.After(ctx, path.Base(method), true)
		return err
	})}
}
