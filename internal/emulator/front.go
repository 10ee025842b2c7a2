package emulator

import (
	"context"
	"fmt"
	"net"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// maxRequest is the largest call in bytes: a thousand variables of 32 KiB and their names.
const maxRequest = 64 << 20

// service is the part of Cloud Run's API that Server and Mock answer.
type service interface {
	runpb.JobsServer
	runpb.ExecutionsServer
	runpb.TasksServer
	longrunningpb.OperationsServer
}

// front is the gRPC side of a service, with a listener inside the process.
type front struct {
	grpc   *grpc.Server
	inside *bufconn.Listener
}

// serve starts answering inside the process; every call passes through around.
func (f *front) serve(s service, around grpc.UnaryServerInterceptor) {
	f.grpc = grpc.NewServer(grpc.UnaryInterceptor(around), grpc.MaxRecvMsgSize(maxRequest))
	runpb.RegisterJobsServer(f.grpc, s)
	runpb.RegisterExecutionsServer(f.grpc, s)
	runpb.RegisterTasksServer(f.grpc, s)
	longrunningpb.RegisterOperationsServer(f.grpc, s)
	f.inside = bufconn.Listen(256 << 10)
	go f.grpc.Serve(f.inside) // ends with close; the listener cannot fail otherwise
}

func (f *front) dial() (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///emulator",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return f.inside.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("emulator: dial: %w", err)
	}
	return conn, nil
}

func (f *front) close() { f.grpc.Stop() }
