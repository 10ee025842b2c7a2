package engine_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/lifecycle"

	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What one look that fails, or says too little, may not decide.

func notFound() emulator.Fault {
	return emulator.Fault{Before: status.Error(codes.NotFound, "there is no such job")}
}

func TestAListThatDoesNotFindTheJobOnceRepeatsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("flicker", "wait", 1)
	w.loseAnswers()
	run := w.trigger("flicker")
	w.disturb("ListExecutions", notFound())
	w.sent(run, 1)
	w.later(20 * time.Second) // past claim and settle window
	w.tickUntil(run, "told why it waits", func(d engine.RunDetail) bool {
		return strings.Contains(strings.Join(d.Waiting, " "), "Cloud Run does not know job")
	})
	w.disturb("ListExecutions", emulator.Fault{})
	w.answer()
	w.release()
	w.later(time.Minute)
	if d := w.finish(run); d.Run.Status != lifecycle.Success {
		t.Errorf("run %s: %s", d.Run.Status, d.Run.Reason)
	}
	w.startedOnce(1)
}

func TestALaunchWhoseJobIsGoneMayHaveRunAndIsNotRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("deleted", "ok", 1)
	w.loseAnswers()
	run := w.trigger("deleted")
	w.disturb("ListExecutions", notFound())
	w.sent(run, 1)
	w.answer()
	d := w.tickUntil(run, "final", func(d engine.RunDetail) bool {
		w.later(10 * time.Second)
		return d.Run.FinishedAt != nil
	})
	if task := w.tasks(run)[0]; d.Run.Status != lifecycle.Failed || task.Reason != lifecycle.ReasonLaunchUnknown || task.Returns != 0 {
		t.Errorf("run %s, task %+v", d.Run.Status, task)
	}
	w.startedOnce(1)
}

func TestATaskThatIsListedBeforeItsEndIsNotRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("stale", "fail", 1)
	var lists atomic.Int32
	e := w.newEngine(patient, w.through(func(ctx context.Context, name string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		err := invoke(ctx, name, req, reply, cc, opts...)
		if r, ok := reply.(*runpb.ListTasksResponse); ok && lists.Add(1) == 1 {
			for _, task := range r.Tasks {
				task.LastAttemptResult, task.CompletionTime, task.Conditions = nil, nil, nil
			}
		}
		return err
	}))
	run := w.trigger("stale")
	for w.detail(run).Run.FinishedAt == nil {
		if _, err := e.Tick(t.Context(), "test"); err != nil {
			w.later(20 * time.Second)
		}
	}
	if task := w.tasks(run)[0]; task.Reason != lifecycle.ReasonExitCode || task.Returns != 0 {
		t.Errorf("task %+v", task)
	}
	w.startedOnce(1)
}

func TestTheFirstLookAfterADayDecidesNothingByFailing(t *testing.T) {
	t.Parallel()
	forAMoment := emulator.Fault{Before: status.Error(codes.Unavailable, "for a moment")}

	t.Run("of a launch that was not answered", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.simple("day", "ok", 1)
		w.loseAnswers()
		run := w.trigger("day")
		w.disturb("ListExecutions", forAMoment)
		w.sent(run, 1)
		w.answer()
		w.later(25 * time.Hour)
		if _, err := w.tick(); err == nil {
			t.Error("a listing that failed is no error of the tick")
		}
		w.disturb("ListExecutions", emulator.Fault{})
		w.later(time.Minute)
		if d := w.finish(run); d.Run.Status != lifecycle.Success {
			t.Errorf("run %s: %s", d.Run.Status, d.Run.Reason)
		}
	})

	t.Run("of an execution that was asked to stop", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.simple("stop", "wait", 1)
		run := w.trigger("stop")
		w.tickUntil(run, "running", func(d engine.RunDetail) bool { return d.Run.Counts.Running == 1 })
		w.exec(`UPDATE executions SET cancel_sent_at = clock() - interval '25 hours'`)
		w.later(time.Minute)
		w.disturb("GetExecution", forAMoment)
		if _, err := w.tick(); err == nil {
			t.Error("a look that failed is no error of the tick")
		}
		if d := w.detail(run); d.Run.Counts.Running != 1 {
			t.Errorf("after one look that failed the task is %+v", w.tasks(run)[0])
		}
		w.release()
		w.disturb("GetExecution", emulator.Fault{})
		w.later(time.Minute)
		if d := w.finish(run); d.Run.Status != lifecycle.Success {
			t.Errorf("run %s: %s", d.Run.Status, d.Run.Reason)
		}
	})
}

func TestAJobWhoseContainerWasRenamedIsStillLaunched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("renamed", "ok", 1)
	w.finish(w.trigger("renamed"))
	w.exec(`UPDATE jobs SET containers = '{old-name}'`) // as its executions before the change told
	w.engine = w.newEngine()
	if d := w.finish(w.trigger("renamed")); d.Run.Status != lifecycle.Success {
		t.Errorf("run %s: %s", d.Run.Status, d.Run.Reason)
	}
}

func TestATickOfAnotherModeLeavesNoTrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.newEngine(func(o *engine.Options) { o.Mode = lifecycle.Mock })
	if _, err := other.Tick(t.Context(), "test"); err == nil || !strings.Contains(err.Error(), "belongs to mode emulator") {
		t.Errorf("error %v", err)
	}
	if n := w.count(`SELECT count(*) FROM installation WHERE last_tick_at IS NOT NULL`); n != 0 {
		t.Error("it counts as a tick")
	}
}
