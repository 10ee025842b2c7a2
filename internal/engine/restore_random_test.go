package engine_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/engine"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var restores = flag.Int("restores", 6, "how many stories with a restore to a random point are told")

// SAFETY: whatever the point, and whatever goes on meanwhile, no task is started twice. LIVENESS: all runs that the database knows succeed.
func TestARestoreToAnyPointSendsNothingTwiceAndEnds(t *testing.T) {
	t.Parallel()
	for seed := range *restores {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s := &restoreStory{world: newWorld(t), rand: rand.New(rand.NewPCG(uint64(seed), 1))}
			s.begin()
			for point := s.rand.IntN(6); len(s.dumps) < 2; point = s.rand.IntN(12) {
				s.goOn(point)
				s.dump()
			}
			s.goOn(s.rand.IntN(15))
			s.restoreTo(1)
			s.goOn(s.rand.IntN(10))
			if s.rand.IntN(2) == 0 {
				s.restoreTo(0)
			}
			s.end()
		})
	}
}

// restoreStory is a world with backups.
type restoreStory struct {
	*world
	rand  *rand.Rand
	dumps []string
	at    []time.Time
}

func (s *restoreStory) begin() {
	limit := ""
	if s.rand.IntN(2) == 0 {
		limit = fmt.Sprintf("max_executions: %d\n", 1+s.rand.IntN(4))
	}
	s.apply(fmt.Sprintf(`
name: chain
%ssteps:
  x: {job: {name: ok}, tasks: {count: %d}}
  y: {needs: [x], job: {name: ok}, tasks: {count: %d}}
  z: {needs: [y], job: {name: ok}, tasks: {count: %d}}
`, limit, 1+s.rand.IntN(8), 1+s.rand.IntN(8), 1+s.rand.IntN(8)))
	s.trigger("chain")
}

func (s *restoreStory) upTo(d time.Duration) time.Duration {
	return time.Duration(s.rand.Int64N(int64(d)))
}

// fault is shorter than the settle window, or a refusal.
func (s *restoreStory) fault() emulator.Fault {
	lost := status.Error(codes.Unavailable, "lost")
	switch s.rand.IntN(8) {
	case 0:
		return emulator.Fault{Quota: true}
	case 1:
		return emulator.Fault{Before: lost}
	case 2:
		return emulator.Fault{After: lost, HideFor: s.upTo(3500 * time.Millisecond)}
	}
	return emulator.Fault{HideFor: s.upTo(3500 * time.Millisecond)}
}

// onceFor is one tick with a budget; what goes wrong in it is for the next.
func (s *restoreStory) onceFor(budget time.Duration) {
	_, _ = s.newEngine(func(o *engine.Options) { o.Budget = budget }).Tick(s.t.Context(), "test")
}

func (s *restoreStory) goOn(steps int) {
	for range steps {
		s.disturb("RunJob", s.fault())
		s.onceFor(time.Millisecond + s.upTo(100*time.Millisecond))
		if s.rand.IntN(3) == 0 {
			s.later(s.upTo(12 * time.Second))
		}
		if s.rand.IntN(6) == 0 {
			s.trigger("chain")
		}
	}
}

// dump takes a backup while calls are under way that are refused or accepted later.
func (s *restoreStory) dump() {
	s.at = append(s.at, s.now())
	s.disturb("RunJob", emulator.Fault{Quota: s.rand.IntN(2) == 0, Delay: 700 * time.Millisecond})
	var group sync.WaitGroup
	group.Go(func() { s.onceFor(time.Second) })
	time.Sleep(s.upTo(150 * time.Millisecond))
	s.dumps = append(s.dumps, s.db.Dump(s.t))
	group.Wait()
	s.later(s.upTo(30 * time.Second))
}

// restoreTo goes back, perhaps with a scheduler that nobody has stopped, and with somebody else who restores too.
func (s *restoreStory) restoreTo(i int) {
	s.goBack(s.dumps[i])
	for range s.rand.IntN(4) {
		s.onceFor(time.Millisecond)
		s.later(s.upTo(4 * time.Second))
	}
	if s.rand.IntN(2) == 0 {
		var group sync.WaitGroup
		for range 2 {
			e := s.newEngine()
			group.Go(func() { _, _ = e.Restore(s.t.Context(), engine.Restore{To: s.at[i], Actor: "test"}) }) // the other may be done first
			group.Go(func() { s.onceFor(500 * time.Millisecond) })
		}
		group.Wait()
	}
	s.restored(s.at[i])
}

func (s *restoreStory) end() {
	s.answer()
	const unfinished = `SELECT count(*) FROM runs WHERE finished_at IS NULL`
	for range 150 {
		s.later(8 * time.Second)
		s.onceFor(300 * time.Millisecond)
		if s.count(unfinished) == 0 {
			break
		}
	}
	if n := s.count(`SELECT count(*) FROM runs WHERE status <> 'success'`); n != 0 {
		s.t.Errorf("%d runs did not succeed, %d do not end", n, s.count(unfinished))
	}
	seen := map[string]int{}
	for _, x := range s.run.Started() {
		seen[x.Env["ORCHESTRATOR_RUN_ID"]+"/"+x.Env["ORCHESTRATOR_STEP"]+"/"+x.Env["ORCHESTRATOR_TASK_INDEX"]]++
	}
	for task, n := range seen {
		if n != 1 {
			s.t.Errorf("task %s was started %d times", task, n)
		}
	}
}
