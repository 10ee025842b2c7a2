package emulator

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
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
	taken  *takenConns
}

// serve starts answering inside the process; every call passes through around, which may disturb connections where wired says so.
func (f *front) serve(s service, around grpc.UnaryServerInterceptor, wired bool) {
	f.grpc = grpc.NewServer(grpc.UnaryInterceptor(around), grpc.MaxRecvMsgSize(maxRequest), grpc.ForceServerCodecV2(codec{encoding.GetCodecV2(proto.Name)}))
	runpb.RegisterJobsServer(f.grpc, s)
	runpb.RegisterExecutionsServer(f.grpc, s)
	runpb.RegisterTasksServer(f.grpc, s)
	longrunningpb.RegisterOperationsServer(f.grpc, s)
	f.inside = bufconn.Listen(256 << 10)
	f.taken = &takenConns{conns: make(chan net.Conn), closed: make(chan struct{})}
	for _, l := range []net.Listener{f.inside, f.taken} {
		if wired {
			l = wireListener{l}
		}
		go f.grpc.Serve(l) // ends with close; the listeners cannot fail otherwise
	}
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

// preface is how an HTTP/2 connection begins. net/http reads it as a request, and lets a handler have the connection.
const preface = "PRI * HTTP/2.0\r\n\r\n"

func isPreface(r *http.Request) bool { return r.Method == "PRI" && r.ProtoMajor == 2 }

// take hands a connection that net/http has accepted to the gRPC server.
func (f *front) take(w http.ResponseWriter) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "the emulator cannot take over this connection: "+err.Error(), http.StatusHTTPVersionNotSupported)
		return
	}
	conn.SetDeadline(time.Time{})
	begun := &begunConn{Conn: conn, reader: io.MultiReader(strings.NewReader(preface), buffered)}
	select {
	case f.taken.conns <- begun:
	case <-f.taken.closed:
		conn.Close()
	}
}

// begunConn is a connection that somebody has begun to read.
type begunConn struct {
	net.Conn
	reader io.Reader
}

func (c *begunConn) Read(p []byte) (int, error) { return c.reader.Read(p) }

// takenConns is a listener whose connections others accept.
type takenConns struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (t *takenConns) Accept() (net.Conn, error) {
	select {
	case conn := <-t.conns:
		return conn, nil
	case <-t.closed:
		return nil, net.ErrClosed
	}
}

func (t *takenConns) Close() error {
	t.once.Do(func() { close(t.closed) })
	return nil
}

func (t *takenConns) Addr() net.Addr { return &net.TCPAddr{} }
