package engine_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/lifecycle"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// roomy windows are so long that the time which a busy machine takes does not matter.
func roomy(o *engine.Options) { o.Claim, o.SettleWindow = time.Minute, 3*time.Minute }

// unanswered ticks until a launch of the run has been called and its answer is not known.
func (w *world) unanswered(run string) {
	w.t.Helper()
	w.tickUntil(run, "sent", func(engine.RunDetail) bool { return w.calls("RunJob") > 0 })
	if n := w.count(`SELECT count(*) FROM executions WHERE status = 'launching'`); n != 1 || w.calls("RunJob") != 1 {
		w.t.Fatalf("%d rows are unknown after %d calls", n, w.calls("RunJob"))
	}
}

func TestAnOverloadWithoutQuotaDetailsIsUnknownAndNotSentAgainBeforeItIsSettled(t *testing.T) {
	t.Parallel()
	overload := status.Error(codes.ResourceExhausted, "too much of everything")
	for _, story := range []struct {
		name     string
		fault    emulator.Fault
		launches int // until the run has succeeded
	}{
		{"accepted all the same", emulator.Fault{After: overload}, 1},
		{"not accepted", emulator.Fault{Before: overload}, 2},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, roomy)
			w.simple("busy", "ok", 1)
			w.disturb("RunJob", story.fault)
			run := w.trigger("busy")
			w.unanswered(run)
			w.answer()
			w.later(90 * time.Second) // the claim has expired, the settle window has not passed
			w.tickUntil(run, "looked for", func(engine.RunDetail) bool { return w.calls("ListExecutions") > 0 })
			if n, lost := w.calls("RunJob"), w.count(`SELECT count(*) FROM executions WHERE outcome IS NOT NULL AND outcome <> 'success'`); n != 1 || lost != 0 {
				t.Errorf("%d calls, %d rows given up before the first was settled", n, lost)
			}
			w.later(5 * time.Minute)
			if d := w.finish(run); d.Run.Status != lifecycle.Success || d.Executions != story.launches || w.calls("RunJob") != story.launches {
				t.Errorf("run %s with %d executions and %d launches, want %d", d.Run.Status, d.Executions, w.calls("RunJob"), story.launches)
			}
			if n := w.count(`SELECT max(send) FROM executions`); n != 1 {
				t.Errorf("a row reached send %d", n)
			}
			w.startedOnce(1)
		})
	}
}

func TestAnAnswerWithoutMetadataIsALostAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, roomy)
	w.simple("nameless", "ok", 1)
	w.disturb("RunJob", emulator.Fault{DropMetadata: true})
	run := w.trigger("nameless")
	w.unanswered(run)
	w.later(90 * time.Second)
	if d := w.finish(run); d.Run.Status != lifecycle.Success || w.calls("RunJob") != 1 {
		t.Errorf("run %s after %d launches", d.Run.Status, w.calls("RunJob"))
	}
	w.startedOnce(1)
}

func TestAnExecutionThatSomebodyCancelledIsNoSuccessThoughItsOperationHasNoError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("stopped", "wait", 1)
	run := w.trigger("stopped")
	operations := make(chan string, 1)
	var conn *grpc.ClientConn
	e := w.newEngine(w.through(func(ctx context.Context, name string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		err := invoke(ctx, name, req, reply, cc, opts...)
		if op, ok := reply.(*longrunningpb.Operation); ok && err == nil && strings.HasSuffix(name, "/RunJob") {
			conn = cc
			operations <- op.Name
		}
		return err
	}))
	for w.calls("RunJob") == 0 {
		if _, err := e.Tick(t.Context(), "test"); err != nil {
			t.Fatal(err)
		}
	}
	operation := <-operations
	execution := w.run.Started()[0].Execution
	if _, err := runpb.NewExecutionsClient(conn).CancelExecution(t.Context(), &runpb.CancelExecutionRequest{Name: execution}); err != nil {
		t.Fatal(err)
	}
	d := w.finish(run)
	op, err := longrunningpb.NewOperationsClient(conn).GetOperation(t.Context(), &longrunningpb.GetOperationRequest{Name: operation})
	if err != nil || !op.GetDone() || op.GetError() != nil {
		t.Fatalf("operation %v, error %v: this story needs one that ended without an error", op, err)
	}
	task := w.tasks(run)[0]
	if d.Run.Status != lifecycle.Failed || task.Status != lifecycle.Failed || task.Reason != lifecycle.ReasonCancelledOutside {
		t.Errorf("run %s, task %+v", d.Run.Status, task)
	}
	if n := w.count(`SELECT count(*) FROM executions WHERE outcome = 'cancelled'`); n != 1 {
		t.Errorf("%d executions are cancelled", n)
	}
}

func TestMarkersOfOtherInstallationsAreNeverTouched(t *testing.T) {
	t.Parallel()
	w := newWorld(t, roomy)
	w.simple("shared", "wait", 1)
	w.disturb("RunJob", emulator.Fault{Before: status.Error(codes.Unavailable, "lost")})
	run := w.trigger("shared")
	w.unanswered(run)
	w.answer()
	var row, here uuid.UUID
	if err := w.db.Pool.QueryRow(t.Context(), `SELECT x.id, i.id FROM executions x, installation i`).Scan(&row, &here); err != nil {
		t.Fatal(err)
	}
	conn, err := w.run.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	for _, marker := range []string{
		lifecycle.Marker{Installation: uuid.New(), Row: row, Send: 1}.String(), // the same row's, of a copy elsewhere
		lifecycle.Marker{Installation: uuid.New(), Row: uuid.New(), Send: 7}.String(),
		here.String() + "/" + row.String(), // no marker, though it begins like ours
		strings.ToUpper(lifecycle.Marker{Installation: here, Row: row, Send: 1}.String()),
		"",
	} {
		env := []*runpb.EnvVar{{Name: lifecycle.MarkerEnv, Values: &runpb.EnvVar_Value{Value: marker}}}
		_, err := runpb.NewJobsClient(conn).RunJob(t.Context(), &runpb.RunJobRequest{
			Name:      "projects/test-project/locations/europe-west1/jobs/wait",
			Overrides: &runpb.RunJobRequest_Overrides{ContainerOverrides: []*runpb.RunJobRequest_Overrides_ContainerOverride{{Env: env}}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	foreign := len(w.run.Started())
	w.later(90 * time.Second)
	before := w.ledger(`true`)
	w.tickUntil(run, "looked for, before the settle window has passed", func(engine.RunDetail) bool { return w.calls("ListExecutions") > 0 })
	if now := w.ledger(`x.status <> 'launching'`); now != "" {
		t.Errorf("the row\n%s\nbecame\n%s", before, now)
	}
	w.later(5 * time.Minute)
	w.tickUntil(run, "running in an execution of its own", func(d engine.RunDetail) bool { return d.Run.Counts.Running == 1 })
	w.later(2 * time.Minute) // the watch of the lost row
	if _, err := w.tick(); err != nil {
		t.Fatal(err)
	}
	if o := w.count(`SELECT count(*) FROM orphans`); o != 0 || w.calls("CancelExecution") != 0 || len(w.run.Started()) != foreign+1 {
		t.Errorf("%d orphans, %d cancels, %d started by others and %d in all", o, w.calls("CancelExecution"), foreign, len(w.run.Started()))
	}
	if n := w.count(`SELECT count(*) FROM executions WHERE outcome = 'lost' AND cloud_run_execution_name IS NULL`); n != 1 {
		t.Errorf("%d lost rows without a name, want the one", n)
	}
	o, err := w.engine.Overview(t.Context())
	if err != nil || o.LaunchBlockedReason != "" {
		t.Errorf("launching is blocked: %q, %v", o.LaunchBlockedReason, err)
	}
	w.release()
	w.later(time.Minute)
	if d := w.finish(run); d.Run.Status != lifecycle.Success {
		t.Errorf("run %s", d.Run.Status)
	}
}
