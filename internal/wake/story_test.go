package wake_test

import (
	"context"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloud-run-orchestrator/functions"
	"cloud-run-orchestrator/internal/cloudrun"
	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"
	"cloud-run-orchestrator/internal/testdb"
	"cloud-run-orchestrator/internal/workflow"

	"cloud.google.com/go/cloudtasks/apiv2/cloudtaskspb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// deployment is the functions as Cloud Run serves them: each at an address of its own, and only trigger knows the queue.
type deployment struct {
	t                        *testing.T
	db                       *testdb.DB
	workflows, trigger, tick string // addresses
}

func deploy(t *testing.T, c *cloudTasks) *deployment {
	t.Helper()
	d := &deployment{t: t, db: testdb.New(t, testdb.Mode(lifecycle.Mock))}
	mock := emulator.NewMock(emulator.MockOptions{})
	t.Cleanup(mock.Close)
	conn, err := mock.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	client, err := cloudrun.New(t.Context(), cloudrun.Options{Conn: conn})
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), store.Options{URL: d.db.DSN})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	serve := func(name string, wake func(context.Context)) string {
		log := slog.New(slog.DiscardHandler)
		e := engine.New(engine.Options{
			Store: st, CloudRun: client, Mode: lifecycle.Mock, Defaults: workflow.Defaults{Project: "p1", Region: "europe-west1"}, Log: log, Wake: wake,
			CallDeadline: time.Second, Claim: 3 * time.Second, SettleWindow: 5 * time.Second, Budget: 5 * time.Second, HistoryKept: 900, Concurrency: 4,
		})
		s := httptest.NewServer(functions.New(functions.Options{Engine: e, OnCloudRun: true, Log: log}).Handler(name))
		t.Cleanup(s.Close)
		return s.URL
	}
	d.workflows, d.tick = serve("workflows", nil), serve("tick", nil)
	q, _ := newQueue(t, c, nil, d.tick)
	d.trigger = serve("trigger", q.Wake)
	d.call(http.MethodPut, d.workflows+"/nightly", `{"name":"nightly","job":{"name":"load"},"tasks":{"count":2}}`, 201)
	return d
}

// call makes a request as a caller whose token Cloud Run has checked, and demands its status.
func (d *deployment) call(method, url, body string, status int, headers ...string) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status {
		d.t.Errorf("%s %s: %d %s %v, want %d", method, url, res.StatusCode, text, err, status)
	}
}

// dispatch sends a task as the queue does.
func (d *deployment) dispatch(task *cloudtaskspb.Task) {
	d.t.Helper()
	r := task.GetHttpRequest()
	claims := base64.RawURLEncoding.EncodeToString([]byte(`{"email":"` + r.GetOidcToken().GetServiceAccountEmail() + `","email_verified":true}`))
	headers := []string{
		"User-Agent", "Google-Cloud-Tasks", "X-CloudTasks-QueueName", "wake", "X-CloudTasks-TaskName", task.GetName()[strings.LastIndexByte(task.GetName(), '/')+1:],
		"X-CloudTasks-TaskRetryCount", "0", "X-CloudTasks-TaskExecutionCount", "0", "X-CloudTasks-TaskETA", "1772625602.000000",
		"Authorization", "Bearer e30." + claims + ".SIGNATURE_REMOVED_BY_GOOGLE",
	}
	d.call(r.GetHttpMethod().String(), r.GetUrl(), string(r.GetBody()), 200, append(headers, "Content-Type", r.GetHeaders()["Content-Type"])...)
}

// one reads one value from the database.
func one[T any](d *deployment, sql string) (v T) {
	d.t.Helper()
	if err := d.db.Pool.QueryRow(context.Background(), sql).Scan(&v); err != nil {
		d.t.Errorf("%s: %v", sql, err)
	}
	return v
}

const (
	countRuns   = `SELECT count(*) FROM runs`
	countStops  = `SELECT count(*) FROM runs WHERE stop_requested_at IS NOT NULL`
	runStatuses = `SELECT string_agg(status, ' ' ORDER BY number) FROM runs`
)

func TestATriggerHasTheQueueCallATickThatEndsTheRun(t *testing.T) {
	t.Parallel()
	c := startCloudTasks(t)
	d := deploy(t, c)
	if calls, _ := c.seen(); calls != 0 {
		t.Fatalf("a definition made %d calls", calls)
	}
	began := time.Now()
	d.call(http.MethodPost, d.trigger+"/nightly", "", 201)
	_, tasks := c.seen()
	if len(tasks) != 1 || tasks[0].GetScheduleTime().AsTime().Before(began.Truncate(2*time.Second).Add(2*time.Second)) {
		t.Fatalf("tasks %v", tasks)
	}
	d.dispatch(tasks[0])
	if got := one[string](d, runStatuses); got != "success" {
		t.Errorf("after the tick the run is %s", got)
	}
	if by := one[string](d, `SELECT last_tick_by FROM installation`); by != account {
		t.Errorf("the tick was called by %q", by)
	}
}

func TestTheQueueIsAskedAfterTheCommit(t *testing.T) {
	t.Parallel()
	c := startCloudTasks(t)
	d := deploy(t, c)
	var runs, stops []int
	c.answer(func(context.Context) error {
		runs, stops = append(runs, one[int](d, countRuns)), append(stops, one[int](d, countStops))
		return nil
	})
	d.call(http.MethodPost, d.trigger+"/nightly", "", 201)
	time.Sleep(2 * time.Second) // the next slot
	d.call(http.MethodPost, d.trigger+"/runs/nightly.1/cancel", "", 200)
	if len(runs) != 2 || runs[0] != 1 || stops[0] != 0 || stops[1] != 1 {
		t.Errorf("the calls saw %v runs and %v stops, want 1 1 and 0 1", runs, stops)
	}
}

func TestWhatChangesNothingAsksNoQueue(t *testing.T) {
	t.Parallel()
	c := startCloudTasks(t)
	d := deploy(t, c)
	c.refuse(codes.Internal) // so that no call covers a later one
	d.call(http.MethodPost, d.trigger+"/nightly", "", 201)
	d.call(http.MethodPost, d.tick, "", 200)
	before, _ := c.seen()
	d.call(http.MethodPost, d.trigger+"/nightyl", "", 404)
	d.call(http.MethodPost, d.trigger+"/nightly", `{"params":{"day":1}}`, 422)
	d.call(http.MethodPost, d.trigger+"/runs/nightly.1/cancel", "", 409) // it has ended
	d.call(http.MethodPost, d.trigger+"/runs/nightly.2/cancel", "", 404)
	if calls, _ := c.seen(); calls != before || before != 1 {
		t.Errorf("%d calls, and %d before", calls, before)
	}
}

func TestARepeatedTriggerWakesAgain(t *testing.T) {
	t.Parallel()
	c := startCloudTasks(t)
	d := deploy(t, c)
	c.refuse(codes.Internal)
	d.call(http.MethodPost, d.trigger+"/nightly", "", 201, "Idempotency-Key", "k")
	c.answer(nil)
	d.call(http.MethodPost, d.trigger+"/nightly", "", 200, "Idempotency-Key", "k")
	if _, tasks := c.seen(); len(tasks) != 1 {
		t.Errorf("%d tasks", len(tasks))
	}
}

func TestAQueueThatFailsOrHangsFailsNoRequest(t *testing.T) {
	t.Parallel()
	c := startCloudTasks(t)
	d := deploy(t, c)
	for name, before := range map[string]func(context.Context) error{
		"fails": func(context.Context) error { return status.Error(codes.Internal, "not now") },
		"hangs": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		c.answer(before)
		for _, request := range []struct {
			path   string
			status int
		}{{"/nightly", 201}, {"/runs/nightly.1/cancel", 200}} {
			began := time.Now()
			d.call(http.MethodPost, d.trigger+request.path, "", request.status)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("a queue that %s: %s took %s", name, request.path, took)
			}
		}
	}
	if runs, stops := one[int](d, countRuns), one[int](d, countStops); runs != 2 || stops != 1 {
		t.Errorf("%d runs, %d of them stopping", runs, stops)
	}
}
