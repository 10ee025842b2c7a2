// Package wake has a tick come at once where somebody asked for something, which would otherwise wait for the next one.
//
// Whoever asks calls Wake after the commit. A Queue reaches the tick function of a deployment, a Bell the ticker of the same process.
package wake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"sync"
	"time"

	cloudtasks "cloud.google.com/go/cloudtasks/apiv2"
	"cloud.google.com/go/cloudtasks/apiv2/cloudtaskspb"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	// slotSeconds is how long wakes are gathered: all of one slot are one task of the queue, which comes at the slot's end.
	slotSeconds = 2
	// deadline is how long whoever asked for something waits for the queue at most.
	deadline = 2 * time.Second
)

// Options say which queue calls which tick.
type Options struct {
	Queue        string // projects/P/locations/L/queues/Q
	URL          string // of the tick function
	Account      string // email of the service account as which the queue calls
	Installation string // part of the tasks' names, so that installations can share a queue
	UserAgent    string
	Log          *slog.Logger
	// Endpoint is the host:port of a stand-in for Cloud Tasks, spoken to in plaintext and without credentials. Empty is Cloud Tasks itself.
	Endpoint string
	// Now is this machine's clock where it is nil.
	Now func() time.Time
}

// Queue wakes the tick function through Cloud Tasks. It is safe for use by many goroutines, and does nothing between two calls.
type Queue struct {
	Options
	target   string
	audience string
	client   *cloudtasks.Client

	mu    sync.Mutex
	slot  int64               // of the newest task that surely exists
	known bool                // there is such a task
	told  map[codes.Code]bool // kinds of failures since the last success that are in the log
}

// NewQueue makes a Queue without calling Cloud Tasks. It fails without credentials.
func NewQueue(ctx context.Context, o Options) (*Queue, error) {
	q := &Queue{Options: o, told: map[codes.Code]bool{}}
	if q.Now == nil {
		q.Now = time.Now
	}
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("wake queue: the address of tick: %w", err)
	}
	q.audience = u.Scheme + "://" + u.Host // what Cloud Run demands, whatever the path
	if u.Path == "" {
		u.Path = "/"
	}
	q.target = u.String()
	if q.client, err = connect(ctx, o); err != nil {
		return nil, fmt.Errorf("wake queue %s: %w", o.Queue, err)
	}
	return q, nil
}

func connect(ctx context.Context, o Options) (*cloudtasks.Client, error) {
	if o.Endpoint == "" {
		return cloudtasks.NewClient(ctx,
			option.WithUserAgent(o.UserAgent),
			option.WithGRPCConnectionPool(1),
			// An instance that was frozen between two requests may wake with a connection that broke in silence.
			option.WithGRPCDialOption(grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: time.Second})),
		)
	}
	conn, err := grpc.NewClient(o.Endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(), grpc.WithUserAgent(o.UserAgent))
	if err != nil {
		return nil, err
	}
	client, err := cloudtasks.NewClient(ctx, option.WithGRPCConn(conn))
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return client, nil
}

// Close ends the connection.
func (q *Queue) Close() error { return q.client.Close() }

// Wake has a tick begin within seconds, and after this call did: whatever was committed before is seen by it. It takes 2 s at most. A failure costs
// no more than the wait for the next tick that comes anyway, so it is only logged, each kind once until a wake succeeds.
func (q *Queue) Wake(ctx context.Context) {
	slot := q.Now().Unix() / slotSeconds
	if q.covered(slot) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline)
	defer cancel()
	// Trying again is safe: the task has a name.
	again := gax.WithRetry(func() gax.Retryer {
		return gax.OnCodes([]codes.Code{codes.Unavailable}, gax.Backoff{Initial: 100 * time.Millisecond, Max: 500 * time.Millisecond, Multiplier: 2})
	})
	_, err := q.client.CreateTask(ctx, q.task(slot), again)
	if status.Code(err) == codes.AlreadyExists { // it comes at the slot's end, which is yet to come
		err = nil
	}
	q.note(ctx, slot, err)
}

// task is the request for a slot's tick.
func (q *Queue) task(slot int64) *cloudtaskspb.CreateTaskRequest {
	return &cloudtaskspb.CreateTaskRequest{
		Parent: q.Queue,
		Task: &cloudtaskspb.Task{
			Name:         q.Queue + "/tasks/wake-" + q.Installation + "-" + strconv.FormatInt(slot, 10),
			ScheduleTime: timestamppb.New(time.Unix((slot+1)*slotSeconds, 0)),
			MessageType: &cloudtaskspb.Task_HttpRequest{HttpRequest: &cloudtaskspb.HttpRequest{
				HttpMethod: cloudtaskspb.HttpMethod_POST,
				Url:        q.target,
				Headers:    map[string]string{"Content-Type": "application/json"},
				Body:       []byte("{}"),
				AuthorizationHeader: &cloudtaskspb.HttpRequest_OidcToken{OidcToken: &cloudtaskspb.OidcToken{
					ServiceAccountEmail: q.Account, Audience: q.audience,
				}},
			}},
		},
	}
}

// covered says whether this process has made the slot's task already. Then a burst of triggers is one call.
func (q *Queue) covered(slot int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.known && q.slot == slot
}

// note keeps what became of a call.
func (q *Queue) note(ctx context.Context, slot int64, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil {
		q.slot, q.known = slot, true
		clear(q.told)
		return
	}
	code := status.Code(err)
	if errors.Is(err, context.DeadlineExceeded) { // where our own deadline ended a pause between two tries
		code = codes.DeadlineExceeded
	}
	if q.told[code] {
		return
	}
	q.told[code] = true
	attrs := []any{"queue", q.Queue, "code", code.String(), "error", err}
	if hint := q.hint(code); hint != "" {
		attrs = append(attrs, "hint", hint)
	}
	q.Log.WarnContext(ctx, "no tick could be called at once; what was asked for waits for the next one", attrs...)
}

// hint says what to do about a failure, where that is known.
func (q *Queue) hint(code codes.Code) string {
	switch code {
	case codes.NotFound:
		return "ORCHESTRATOR_WAKE_QUEUE names a queue that is not there"
	case codes.PermissionDenied:
		return "the account that calls needs roles/cloudtasks.enqueuer on the queue, and roles/iam.serviceAccountUser on " + q.Account
	case codes.DeadlineExceeded:
		return "Cloud Tasks did not answer within " + deadline.String()
	}
	return ""
}
