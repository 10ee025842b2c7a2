package wake_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/wake"

	"cloud.google.com/go/cloudtasks/apiv2/cloudtaskspb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// cloudTasks is a Cloud Tasks that knows one method, and never makes two tasks of one name.
type cloudTasks struct {
	cloudtaskspb.UnimplementedCloudTasksServer
	address string

	mu     sync.Mutex
	tasks  []*cloudtaskspb.Task
	calls  int
	before func(context.Context) error // runs ahead of every call; its error is the answer
}

func startCloudTasks(t *testing.T) *cloudTasks {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cloudTasks{address: l.Addr().String()}
	s := grpc.NewServer()
	cloudtaskspb.RegisterCloudTasksServer(s, c)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return c
}

// CreateTask makes a task.
func (c *cloudTasks) CreateTask(ctx context.Context, r *cloudtaskspb.CreateTaskRequest) (*cloudtaskspb.Task, error) {
	c.mu.Lock()
	c.calls++
	before := c.before
	c.mu.Unlock()
	if before != nil {
		if err := before(ctx); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	task := r.GetTask()
	if !strings.HasPrefix(task.GetName(), r.GetParent()+"/tasks/") {
		return nil, status.Error(codes.InvalidArgument, "the task is not of the queue")
	}
	if slices.ContainsFunc(c.tasks, func(known *cloudtaskspb.Task) bool { return known.GetName() == task.GetName() }) {
		return nil, status.Error(codes.AlreadyExists, "the task exists already")
	}
	c.tasks = append(c.tasks, task)
	return task, nil
}

// answer sets what every call gets from now on; nil is success.
func (c *cloudTasks) answer(before func(context.Context) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before = before
}

func (c *cloudTasks) refuse(code codes.Code) {
	c.answer(func(context.Context) error { return status.Error(code, "not now") })
}

func (c *cloudTasks) seen() (calls int, tasks []*cloudtaskspb.Task) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls, slices.Clone(c.tasks)
}

// clock is a clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// noon begins a slot.
func noon() time.Time { return time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) }

const (
	queueName    = "projects/p1/locations/europe-west1/queues/wake"
	installation = "0199b3c2-7d41-7c0e-9a55-0d2f7a1b6c00"
	account      = "wake@p1.iam.gserviceaccount.com"
)

// newQueue is a queue of which the log is kept.
func newQueue(t *testing.T, c *cloudTasks, now func() time.Time, url string) (*wake.Queue, *strings.Builder) {
	t.Helper()
	var log strings.Builder
	q, err := wake.NewQueue(t.Context(), wake.Options{
		Queue: queueName, URL: url, Account: account, Installation: installation, UserAgent: "test",
		Log: slog.New(slog.NewTextHandler(&log, nil)), Endpoint: c.address, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return q, &log
}

func TestAWakeIsATaskThatCallsTickAtTheEndOfItsSlot(t *testing.T) {
	t.Parallel()
	c := startCloudTasks(t)
	now := &clock{now: noon().Add(700 * time.Millisecond)}
	for url, target := range map[string]string{
		"https://tick-1.run.app": "https://tick-1.run.app/", "https://tick-2.run.app/": "https://tick-2.run.app/", "https://tick-3.run.app/tick": "https://tick-3.run.app/tick",
	} {
		now.set(now.read().Add(2 * time.Second))
		q, log := newQueue(t, c, now.read, url)
		q.Wake(t.Context())
		_, tasks := c.seen()
		slotEnd := now.read().Truncate(2 * time.Second).Add(2 * time.Second)
		want := &cloudtaskspb.Task{
			Name:         queueName + "/tasks/wake-" + installation + "-" + decimal(now.read().Unix()/2),
			ScheduleTime: timestamppb.New(slotEnd),
			MessageType: &cloudtaskspb.Task_HttpRequest{HttpRequest: &cloudtaskspb.HttpRequest{
				Url: target, HttpMethod: cloudtaskspb.HttpMethod_POST, Headers: map[string]string{"Content-Type": "application/json"}, Body: []byte("{}"),
				AuthorizationHeader: &cloudtaskspb.HttpRequest_OidcToken{OidcToken: &cloudtaskspb.OidcToken{
					ServiceAccountEmail: account, Audience: strings.TrimSuffix(strings.TrimSuffix(target, "tick"), "/"),
				}},
			}},
		}
		if d := cmp.Diff(want, tasks[len(tasks)-1], protocmp.Transform()); d != "" || log.String() != "" {
			t.Errorf("-want +got\n%s\nlog %s", d, log)
		}
	}
}

func TestWakesOfOneSlotAreOneTask(t *testing.T) {
	t.Parallel()
	c := startCloudTasks(t)
	now := &clock{now: noon()}
	one, oneLog := newQueue(t, c, now.read, "https://tick.run.app")
	other, otherLog := newQueue(t, c, now.read, "https://tick.run.app") // another instance of the function
	for _, at := range []time.Duration{0, time.Second, 1999 * time.Millisecond} {
		now.set(noon().Add(at))
		one.Wake(t.Context())
		other.Wake(t.Context())
	}
	if calls, tasks := c.seen(); calls != 2 || len(tasks) != 1 {
		t.Errorf("%d calls made %d tasks, want one call of each process and one task", calls, len(tasks))
	}
	now.set(noon().Add(2 * time.Second))
	one.Wake(t.Context())
	if _, tasks := c.seen(); len(tasks) != 2 || !tasks[1].GetScheduleTime().AsTime().Equal(noon().Add(4*time.Second)) {
		t.Errorf("the next slot's tasks: %v", tasks)
	}
	if logged := oneLog.String() + otherLog.String(); logged != "" {
		t.Errorf("a task that was there already is a failure: %s", logged)
	}
}

func TestAWakeThatFailedIsTriedAgainByTheNextOneOfItsSlot(t *testing.T) {
	t.Parallel()
	c := startCloudTasks(t)
	q, _ := newQueue(t, c, noon, "https://tick.run.app")
	c.refuse(codes.Internal)
	q.Wake(t.Context())
	c.answer(nil)
	q.Wake(t.Context())
	if _, tasks := c.seen(); len(tasks) != 1 {
		t.Errorf("%d tasks", len(tasks))
	}
}

func TestAConnectionThatBrokeIsNoFailure(t *testing.T) {
	t.Parallel()
	c := startCloudTasks(t)
	q, log := newQueue(t, c, noon, "https://tick.run.app")
	broken := true
	c.answer(func(context.Context) error {
		if !broken {
			return nil
		}
		broken = false
		return status.Error(codes.Unavailable, "connection lost")
	})
	q.Wake(t.Context())
	if calls, tasks := c.seen(); calls != 2 || len(tasks) != 1 || log.String() != "" {
		t.Errorf("%d calls made %d tasks: %s", calls, len(tasks), log)
	}
}

func TestEachKindOfFailureIsLoggedOnceUntilAWakeSucceeds(t *testing.T) {
	t.Parallel()
	c := startCloudTasks(t)
	now := &clock{now: noon()}
	q, log := newQueue(t, c, now.read, "https://tick.run.app")
	wakeAll := func(kinds ...codes.Code) int {
		log.Reset()
		for _, kind := range kinds {
			now.set(now.read().Add(2 * time.Second))
			if c.answer(nil); kind != codes.OK {
				c.refuse(kind)
			}
			q.Wake(t.Context())
		}
		return strings.Count(log.String(), "level=WARN")
	}
	if n := wakeAll(codes.PermissionDenied, codes.PermissionDenied, codes.NotFound, codes.PermissionDenied, codes.NotFound); n != 2 {
		t.Errorf("two kinds of failures have %d lines: %s", n, log)
	}
	for _, want := range []string{"queue=" + queueName, "code=NotFound", "not now", "roles/cloudtasks.enqueuer", "roles/iam.serviceAccountUser on " + account} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %s: %s", want, log)
		}
	}
	if n := wakeAll(codes.NotFound, codes.OK, codes.NotFound, codes.NotFound); n != 1 {
		t.Errorf("after a success a failure has %d lines: %s", n, log)
	}
}

func TestAQueueThatHangsCostsTwoSeconds(t *testing.T) {
	t.Parallel()
	c := startCloudTasks(t)
	c.answer(func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never speaks
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	for name, address := range map[string]string{"in a call": c.address, "in connecting": silent.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q, log := newQueue(t, &cloudTasks{address: address}, nil, "https://tick.run.app")
			began := time.Now()
			q.Wake(t.Context())
			if took := time.Since(began); took < 1900*time.Millisecond || took > 4*time.Second || !strings.Contains(log.String(), "code=DeadlineExceeded") {
				t.Errorf("it took %s: %s", took, log)
			}
		})
	}
}

func TestACallerWhoHasGoneStillWakes(t *testing.T) {
	t.Parallel()
	c := startCloudTasks(t)
	q, log := newQueue(t, c, noon, "https://tick.run.app")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the caller hung up"))
	q.Wake(ctx)
	if _, tasks := c.seen(); len(tasks) != 1 || log.String() != "" {
		t.Errorf("%d tasks: %s", len(tasks), log)
	}
}

func TestARingThatNobodyHeardYetIsKept(t *testing.T) {
	t.Parallel()
	b := wake.NewBell()
	for range 3 {
		b.Wake(t.Context())
	}
	heard := 0
	for {
		select {
		case <-b:
			heard++
			continue
		default:
		}
		break
	}
	if heard != 1 {
		t.Errorf("three rings were heard %d times, want once", heard)
	}
}
