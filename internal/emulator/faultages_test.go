package emulator

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/api/iterator"
	"google.golang.org/grpc/codes"
)

// clock is one that a test moves.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time { return time.Unix(0, c.nanos.Load()) }

func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

func atTime(c *clock, o Options) Options {
	o.Now = c.now
	return o
}

func TestAnExecutionIsNotFoundForAWhile(t *testing.T) {
	t.Parallel()
	eachTransport(t, func() Options {
		return scripted(t, "faults: [{on: RunJob, do: not-found, for: 1h}]")
	}, func(t *testing.T, s *Server, c clients) {
		x := c.run(t, "instant")
		_, err := c.executions.GetExecution(t.Context(), &runpb.GetExecutionRequest{Name: x.GetName()})
		wantCode(t, err, codes.NotFound)
		_, err = c.tasks.ListTasks(t.Context(), &runpb.ListTasksRequest{Parent: x.GetName()}).Next()
		wantCode(t, err, codes.NotFound)
		wantCode(t, c.cancel(t, x.GetName()), codes.NotFound)
		if got := c.list(t, somewhere+"/jobs/instant", 0); len(got) != 0 {
			t.Errorf("the list is %v", got)
		}
	})
}

func TestWhatIsHiddenIsFoundByTheServersClock(t *testing.T) {
	t.Parallel()
	at := newClock()
	s := newServer(t, atTime(at, scripted(t, "faults: [{on: RunJob, calls: [1], do: not-found, for: 10s}, {on: RunJob, calls: [2], do: list-lag, for: 20s}]")))
	c := inside(t, s)
	absent, unlisted := c.run(t, "instant").GetName(), c.run(t, "instant").GetName()
	for _, step := range []struct {
		after  time.Duration
		found  codes.Code
		listed int
	}{{0, codes.NotFound, 0}, {9 * time.Second, codes.NotFound, 0}, {time.Second, codes.OK, 1}, {9 * time.Second, codes.OK, 1}, {time.Second, codes.OK, 2}} {
		at.advance(step.after)
		_, err := c.executions.GetExecution(t.Context(), &runpb.GetExecutionRequest{Name: absent})
		wantCode(t, err, step.found)
		c.get(t, unlisted) // by name it is there at once
		if got := c.list(t, somewhere+"/jobs/instant", 0); len(got) != step.listed {
			t.Errorf("the list is %v, want %d", got, step.listed)
		}
	}
}

func TestAnExecutionVanishesForGood(t *testing.T) {
	t.Parallel()
	at := newClock()
	s := newServer(t, atTime(at, scripted(t, "faults: [{on: RunJob, do: vanish, for: 1m}]")))
	c := inside(t, s)
	running, ended := c.run(t, "endless").GetName(), c.run(t, "instant").GetName()
	c.end(t, ended)
	at.advance(59 * time.Second)
	c.get(t, running)
	at.advance(time.Second)
	for _, name := range []string{running, ended} {
		_, err := c.executions.GetExecution(t.Context(), &runpb.GetExecutionRequest{Name: name})
		wantCode(t, err, codes.NotFound)
		_, err = c.tasks.ListTasks(t.Context(), &runpb.ListTasksRequest{Parent: name}).Next()
		wantCode(t, err, codes.NotFound)
	}
	if _, err := c.executions.ListExecutions(t.Context(), &runpb.ListExecutionsRequest{Parent: somewhere + "/jobs/-"}).Next(); err != iterator.Done {
		t.Errorf("the list is not empty: %v", err)
	}
	s.wantTruth(t, running, "cancelled", "vanished") // its task has ended
	s.wantTruth(t, ended, "succeeded", "vanished")
}

func TestSomebodyElseCancelsAnExecution(t *testing.T) {
	t.Parallel()
	at := newClock()
	s := newServer(t, atTime(at, scripted(t, "faults: [{on: RunJob, do: cancel-outside, for: 1m}]")))
	c := inside(t, s)
	running, ended := c.run(t, "endless", tasks(3)).GetName(), c.run(t, "instant").GetName()
	c.end(t, ended)
	at.advance(time.Minute)
	x := c.end(t, running)
	if state, reason := completed(x); state != runpb.Condition_CONDITION_FAILED || reason != runpb.Condition_CANCELLED || x.GetCancelledCount() != 3 {
		t.Errorf("%v", x)
	}
	s.wantTruth(t, running, "cancelled", "")
	s.wantTruth(t, ended, "succeeded", "")
}

// wantTruth waits until the record says so of an execution.
func (s *Server) wantTruth(t *testing.T, name, outcome, gone string) {
	t.Helper()
	var last Execution
	for give := time.Now().Add(patience); time.Now().Before(give); time.Sleep(time.Millisecond) {
		for _, x := range s.Executions() {
			if x.Name == name {
				last = x
			}
		}
		if last.Outcome == outcome && last.Gone == gone {
			return
		}
	}
	t.Errorf("the record of %s is %+v, want %s and gone %q", name, last, outcome, gone)
}

// By the real clock it happens without any call.
func TestAnExecutionThatSomebodyElseEndsStopsItsProcesses(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"vanish", "cancel-outside"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := scripted(t, "faults: [{on: RunJob, do: "+kind+", for: 300ms}]")
			o.Jobs["process"] = sh(`sleep 1000 & echo $! > "$DIR/0"; wait`)
			dir := t.TempDir()
			inside(t, newServer(t, o)).run(t, "process", env("DIR", dir))
			waitGone(t, readPID(t, filepath.Join(dir, "0")))
		})
	}
}

func TestAnOperationMayHaveNoMetadata(t *testing.T) {
	t.Parallel()
	eachTransport(t, func() Options { return scripted(t, "faults: [{on: RunJob, do: drop-metadata}]") }, func(t *testing.T, s *Server, c clients) {
		op, err := c.jobs.RunJob(t.Context(), &runpb.RunJobRequest{Name: somewhere + "/jobs/instant"})
		if err != nil {
			t.Fatal(err)
		}
		if m, err := op.Metadata(); m != nil || err != nil {
			t.Errorf("metadata %v, %v", m, err)
		}
		if all := s.Executions(); len(all) != 1 || !all[0].AnswerLost {
			t.Errorf("the record is %+v", all)
		}
	})
}

func TestTheOldestFinishedExecutionsOfAJobGo(t *testing.T) {
	t.Parallel()
	s := newServer(t, scripted(t, "keep: 2\nfaults: []"))
	c := inside(t, s)
	endless := c.run(t, "endless").GetName()
	var ended []string
	for range 4 {
		ended = append(ended, c.end(t, c.run(t, "instant").GetName()).GetName())
	}
	c.get(t, endless)
	for i, name := range ended {
		_, err := c.executions.GetExecution(t.Context(), &runpb.GetExecutionRequest{Name: name})
		if i < 2 {
			wantCode(t, err, codes.NotFound)
			s.wantTruth(t, name, "succeeded", "evicted")
		} else {
			wantCode(t, err, codes.OK)
			s.wantTruth(t, name, "succeeded", "")
		}
	}
	if listed := c.list(t, somewhere+"/jobs/instant", 0); len(listed) != 2 {
		t.Errorf("the list is %v", listed)
	}
	if n := len(s.Started()); n != 5 {
		t.Errorf("%d starts on record, want 5", n)
	}
	// What is deleted makes no room, and what is running is not touched by a cancel that makes it the last to end.
	for range 3 {
		if err := c.cancel(t, c.run(t, "endless").GetName()); err != nil {
			t.Fatal(err)
		}
	}
	op, err := c.executions.DeleteExecution(t.Context(), &runpb.DeleteExecutionRequest{Name: endless})
	if err != nil {
		t.Fatal(op, err)
	}
	s.wantTruth(t, endless, "cancelled", "deleted")
}
