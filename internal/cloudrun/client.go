// Package cloudrun is the only client of Cloud Run's Admin API: it runs, reads, lists and cancels executions, reads jobs, and says what is certain after each call.
package cloudrun

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	run "cloud.google.com/go/run/apiv2"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Options say where Cloud Run is and how long one may wait for it. The zero value is Cloud Run itself, with the default credentials.
type Options struct {
	// Endpoint is the host:port of an emulator, spoken to in plaintext and without credentials. Empty is Cloud Run itself.
	Endpoint string
	// Conn is used instead of Endpoint where it is set. It stays the caller's: Close leaves it open.
	Conn *grpc.ClientConn
	// CallDeadline bounds every Run and Cancel, and every read with its repeats; 0 is 30 s. Tasks, a read per page, has it for each page.
	CallDeadline time.Duration
	// UserAgent is how the client names itself to Cloud Run. A Conn has its own.
	UserAgent string
}

const defaultCallDeadline = 30 * time.Second

// Client calls Cloud Run. It is safe for use by many goroutines.
type Client struct {
	jobs       *run.JobsClient
	executions *run.ExecutionsClient
	tasks      *run.TasksClient
	close      func() error
	deadline   time.Duration
	pause      time.Duration // before the second try of a read; the next is longer
}

// New makes a Client without calling Cloud Run. It fails when Endpoint is no host:port, and, where Cloud Run itself is meant, when there are no credentials.
// Only the search for credentials may take time: the metadata server is asked where no file has any. ctx ends that wait.
func New(ctx context.Context, o Options) (*Client, error) {
	c := &Client{deadline: o.CallDeadline, pause: 200 * time.Millisecond}
	if c.deadline <= 0 {
		c.deadline = defaultCallDeadline
	}
	var err error
	switch {
	case o.Conn != nil:
		c.close = func() error { return nil }
		err = c.share(ctx, o.Conn)
	case o.Endpoint != "":
		err = c.dialEmulator(ctx, o)
	default:
		err = c.dialCloudRun(ctx, o)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Close ends the connection that New made. Calls under way fail.
func (c *Client) Close() error { return c.close() }

func (c *Client) dialEmulator(ctx context.Context, o Options) error {
	if _, _, err := net.SplitHostPort(o.Endpoint); err != nil {
		return fmt.Errorf("the emulator's address %q is not host:port, as in localhost:8085: %w", o.Endpoint, err)
	}
	conn, err := grpc.NewClient(o.Endpoint, append(dialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(), // an emulator is near; a proxy for the internet would not find it
		grpc.WithUserAgent(o.UserAgent),
	)...)
	if err != nil {
		return fmt.Errorf("connect to the emulator at %s: %w", o.Endpoint, err)
	}
	c.close = conn.Close
	if err := c.share(ctx, conn); err != nil {
		return errors.Join(err, conn.Close())
	}
	return nil
}

// dialCloudRun leaves endpoint and credentials to the client library; more lets a test replace them.
func (c *Client) dialCloudRun(ctx context.Context, o Options, more ...option.ClientOption) error {
	opts := []option.ClientOption{
		option.WithUserAgent(o.UserAgent),
		option.WithGRPCConnectionPool(1),
		// Without it a connection that broke in silence, perhaps while the instance was frozen between two requests, is used for a quarter of an hour.
		option.WithGRPCDialOption(grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second})),
	}
	for _, d := range dialOptions() {
		opts = append(opts, option.WithGRPCDialOption(d))
	}
	jobs, err := newJobsClient(ctx, append(opts, more...))
	if err != nil {
		return fmt.Errorf("no usable Google Cloud credentials: set GOOGLE_APPLICATION_CREDENTIALS to a key file, or run `gcloud auth application-default login`: %w", err)
	}
	c.close = jobs.Close
	// One connection for all three, so that reads find out that it broke before a launch meets it.
	//lint:ignore SA1019 it is deprecated because a pool has several connections; this one has one
	conn := jobs.Connection()
	if err := c.share(ctx, conn); err != nil {
		return errors.Join(err, jobs.Close())
	}
	return nil
}

// newJobsClient gives up when ctx ends: the library's own search for credentials knows no context, and may wait seconds for a metadata server that is not there.
func newJobsClient(ctx context.Context, opts []option.ClientOption) (*run.JobsClient, error) {
	type answer struct {
		jobs *run.JobsClient
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		jobs, err := run.NewJobsClient(context.WithoutCancel(ctx), opts...)
		answers <- answer{jobs, err}
	}()
	select {
	case a := <-answers:
		return a.jobs, a.err
	case <-ctx.Done():
		go func() {
			if a := <-answers; a.jobs != nil {
				a.jobs.Close()
			}
		}()
		return nil, fmt.Errorf("looking for them: %w", context.Cause(ctx))
	}
}

// share lets the three services use one connection.
func (c *Client) share(ctx context.Context, conn *grpc.ClientConn) error {
	var jobsErr, executionsErr, tasksErr error
	c.jobs, jobsErr = run.NewJobsClient(ctx, option.WithGRPCConn(conn))
	c.executions, executionsErr = run.NewExecutionsClient(ctx, option.WithGRPCConn(conn))
	c.tasks, tasksErr = run.NewTasksClient(ctx, option.WithGRPCConn(conn))
	if err := errors.Join(jobsErr, executionsErr, tasksErr); err != nil {
		return fmt.Errorf("cloud run client: %w", err)
	}
	return nil
}

// dialOptions are those of every connection that we make ourselves.
func dialOptions() []grpc.DialOption {
	return append(mortal(),
		// Nobody may switch on retries from outside, in a DNS record for instance.
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithStatsHandler(observer{}),
		// The default would stay away for two minutes from a server that was down for a while.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           grpcbackoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
			MinConnectTimeout: 10 * time.Second,
		}),
	)
}

// anySize lets answers be large: a page of executions carries every execution's environment.
func anySize() grpc.CallOption { return grpc.MaxCallRecvMsgSize(math.MaxInt32) }
