package lifecycle

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// single is a launched execution of one task, packed one of five; Cloud Run took both at base.
func single() Execution {
	return Execution{
		ID: uuid.MustParse(row), Job: "projects/p/locations/us-central1/jobs/load", Status: Launched, Indexes: One(7), TaskCount: 1, Send: 1,
		Name: "projects/p/locations/us-central1/jobs/load/executions/load-x7k2p", CreatedAt: at(-time.Minute), LaunchedAt: ptr(0),
	}
}

func packed() Execution {
	x := single()
	x.Indexes, x.TaskCount = Ranges{{0, 2}, {5, 6}}, 5
	return x
}

func with(x Execution, changes ...func(*Execution)) Execution {
	for _, change := range changes {
		change(&x)
	}
	return x
}

func running(x *Execution)      { x.Status = Running }
func missedBefore(x *Execution) { x.NotFoundAt = ptr(4 * time.Minute) }
func neverLaunched(x *Execution) {
	x.LaunchedAt = nil
}

func stopping(scope Scope) func(*Execution) {
	return func(x *Execution) {
		x.Stop = Stop{RequestedAt: ptr(time.Minute), As: Cancelled, Scope: scope, Reason: "cancelled by ada"}
	}
}

func cancelSent(d time.Duration) func(*Execution) {
	return func(x *Execution) { x.CancelSent = ptr(d) }
}

// seen is a look that found the execution with these counts: running, succeeded, failed, cancelled.
func seen(tasks int, counts [4]int, changes ...func(*Facts)) Look {
	f := Facts{TaskCount: tasks, Progress: Progress{Running: counts[0], Succeeded: counts[1], Failed: counts[2], Cancelled: counts[3]}}
	for _, change := range changes {
		change(&f)
	}
	return Look{Facts: f}
}

func startedAt(d time.Duration) func(*Facts) { return func(f *Facts) { f.StartedAt = ptr(d) } }
func endedAt(d time.Duration) func(*Facts)   { return func(f *Facts) { f.CompletedAt = ptr(d) } }
func byCancel(f *Facts)                      { f.CancelledBy = true }
func saying(words string) func(*Facts)       { return func(f *Facts) { f.Message = words } }

func (l Look) tasks(list ...TaskFacts) Look {
	l.Tasks = list
	return l
}

// ended is a task's result: exit code 0 is success.
func ended(index, exit int) TaskFacts {
	return TaskFacts{Index: index, HasResult: true, OK: exit == 0, ExitCode: &exit, StartedAt: ptr(10 * time.Second), CompletedAt: ptr(time.Minute)}
}

func TestObserve(t *testing.T) {
	t.Parallel()
	gone := Look{Gone: true}
	tests := []struct {
		name  string
		x     Execution
		look  Look
		tasks map[int]Attempt
		now   time.Duration
		want  string
	}{
		{"accepted and not begun yet", single(), seen(1, [4]int{}), nil, 5 * time.Second,
			"launched next +6s"},
		{"its task runs", single(), seen(1, [4]int{1}, startedAt(4*time.Second)), nil, 20 * time.Second,
			"running counts 1/0/0/0/0 started +4s next +22s\n7 running started +4s"},
		{"it still runs", with(single(), running), seen(1, [4]int{1}, startedAt(4*time.Second)), nil, 100 * time.Second,
			"running counts 1/0/0/0/0 started +4s next +1m50s\n7 running started +4s"},
		{"between two tries of Cloud Run's own nothing runs, and it has not ended", with(single(), running), seen(1, [4]int{}, startedAt(4*time.Second)), nil, time.Minute,
			"running started +4s next +1m6s"},
		{"tasks of a packed one stay dispatched: their running is the execution's count", packed(), seen(5, [4]int{3, 1}, startedAt(4*time.Second)), nil, time.Minute,
			"running counts 3/1/0/0/0 started +4s next +1m6s"},
		{"where a task has ended, one has run", packed(), seen(5, [4]int{0, 0, 1}), nil, time.Minute,
			"running counts 0/0/1/0/0 next +1m6s"},
		{"all counts are there, the end is not: it goes on", with(single(), running), seen(1, [4]int{0, 1}), nil, time.Minute,
			"running counts 0/1/0/0/0 next +1m6s"},
		{"found again, it was never gone", with(single(), running, missedBefore), seen(1, [4]int{1}), nil, 5 * time.Minute,
			"running counts 1/0/0/0/0 next +5m30s\n7 running"},

		{"success", with(single(), running), seen(1, [4]int{0, 1}, startedAt(4*time.Second), endedAt(time.Minute)), nil, 65 * time.Second,
			"finished success counts 0/1/0/0/0 started +4s finished +1m0s\n7 success exit 0 started +4s finished +1m0s"},
		{"success of a packed one needs no list of tasks", packed(), seen(5, [4]int{0, 5}, startedAt(4*time.Second), endedAt(time.Minute)), nil, 65 * time.Second,
			"finished success counts 0/5/0/0/0 started +4s finished +1m0s\n0-2 success finished +1m0s\n5-6 success finished +1m0s"},
		{"success comes before a cancel that was too late", with(single(), stopping(ScopeAll), cancelSent(time.Minute)), seen(1, [4]int{0, 1}, endedAt(time.Minute), byCancel), nil, 65 * time.Second,
			"finished success counts 0/1/0/0/0 finished +1m0s\n7 success exit 0 finished +1m0s"},
		{"as many successes as we sent, of more tasks than we sent, is no success", single(), seen(2, [4]int{0, 1, 1}, endedAt(time.Minute), saying("Task 1 failed.")).tasks(ended(0, 0), ended(1, 2)), nil, 65 * time.Second,
			"finished failed because \"Task 1 failed.\" counts 0/1/1/0/0 finished +1m0s\n7 success exit 0 started +10s finished +1m0s"},

		{"failure", with(single(), running), seen(1, [4]int{0, 0, 1}, endedAt(time.Minute), saying("Task failed.")).tasks(ended(0, 2)), nil, 65 * time.Second,
			"finished failed because \"Task failed.\" counts 0/0/1/0/0 finished +1m0s\n7 failed exit_code exit 2 started +10s finished +1m0s"},
		{"a partial failure, by the position of each task in the execution", packed(), seen(5, [4]int{0, 3, 2}, endedAt(time.Minute)).tasks(
			ended(4, 0), ended(3, 7), ended(2, 0), ended(1, 1), ended(0, 0)), nil, 65 * time.Second,
			"finished failed counts 0/3/2/0/0 finished +1m0s\n" +
				"0 success exit 0 started +10s finished +1m0s\n1 failed exit_code exit 1 started +10s finished +1m0s\n2 success exit 0 started +10s finished +1m0s\n" +
				"5 failed exit_code exit 7 started +10s finished +1m0s\n6 success exit 0 started +10s finished +1m0s"},
		{"a task whose own end is unknown ended with its execution", single(), seen(1, [4]int{0, 0, 1}, endedAt(time.Minute)).tasks(TaskFacts{HasResult: true, Signal: number(9)}), nil, 65 * time.Second,
			"finished failed counts 0/0/1/0/0 finished +1m0s\n7 failed signal signal 9 finished +1m0s"},

		{"a task without a result goes back, and its attempt is not used up", single(), seen(1, [4]int{0, 0, 1}, endedAt(time.Minute)).tasks(TaskFacts{}), map[int]Attempt{7: {Attempt: 2}}, 65 * time.Second,
			"finished failed counts 0/0/1/0/0 finished +1m0s\n7 pending platform due +1m6s"},
		{"it goes back ten times", single(), seen(1, [4]int{0, 0, 1}, endedAt(time.Minute)), map[int]Attempt{7: {Attempt: 1, Returns: 9}}, 65 * time.Second,
			"finished failed counts 0/0/1/0/0 finished +1m0s\n7 pending platform due +6m5s"},
		{"the eleventh time it fails", single(), seen(1, [4]int{0, 0, 1}, endedAt(time.Minute)), map[int]Attempt{7: {Attempt: 1, Returns: 10}}, 65 * time.Second,
			"finished failed counts 0/0/1/0/0 finished +1m0s\n7 failed platform finished +1m5s"},
		{"each task has its own returns", packed(), seen(5, [4]int{0, 2, 3}, endedAt(time.Minute)).tasks(ended(0, 0), ended(1, 0)),
			map[int]Attempt{2: {Returns: 1}, 5: {Returns: 10}, 6: {}}, 65 * time.Second,
			"finished failed counts 0/2/3/0/0 finished +1m0s\n" +
				"0 success exit 0 started +10s finished +1m0s\n1 success exit 0 started +10s finished +1m0s\n" +
				"2 pending platform due +1m7s\n5 failed platform finished +1m5s\n6 pending platform due +1m6s"},

		{"cancelled by us", with(single(), stopping(ScopeAll), cancelSent(time.Minute)), seen(1, [4]int{0, 0, 0, 1}, endedAt(2*time.Minute), byCancel).tasks(TaskFacts{StartedAt: ptr(time.Second)}), nil, 3 * time.Minute,
			"finished cancelled because \"cancelled by ada\" counts 0/0/0/1/0 finished +2m0s\n7 cancelled cancelled started +1s finished +2m0s"},
		{"what had ended before our cancel keeps its result", with(packed(), stopping(ScopeAll)), seen(5, [4]int{0, 1, 1, 3}, endedAt(2*time.Minute)).tasks(ended(0, 0), ended(1, 4)), nil, 3 * time.Minute,
			"finished cancelled because \"cancelled by ada\" counts 0/1/1/3/0 finished +2m0s\n" +
				"0 success exit 0 started +10s finished +1m0s\n1 failed exit_code exit 4 started +10s finished +1m0s\n" +
				"2 cancelled cancelled finished +2m0s\n5 cancelled cancelled finished +2m0s\n6 cancelled cancelled finished +2m0s"},
		{"stopped by us, and failed on its own: nothing goes back", with(single(), stopping(ScopeAll)), seen(1, [4]int{0, 0, 1}, endedAt(2*time.Minute)), nil, 3 * time.Minute,
			"finished failed counts 0/0/1/0/0 finished +2m0s\n7 cancelled cancelled finished +2m0s"},
		{"cancelled by somebody else is a failed attempt", single(), seen(1, [4]int{0, 0, 0, 1}, endedAt(2*time.Minute)), nil, 3 * time.Minute,
			"finished cancelled because \"cancelled_outside\" counts 0/0/0/1/0 finished +2m0s\n7 failed cancelled_outside finished +2m0s"},
		{"the reason of its end says so where no count does", single(), seen(1, [4]int{}, endedAt(2*time.Minute), byCancel), nil, 3 * time.Minute,
			"finished cancelled because \"cancelled_outside\" finished +2m0s\n7 failed cancelled_outside finished +2m0s"},
		{"a stop of what is unsent does not reach it: somebody else cancelled it", with(single(), stopping(ScopeUnsent)), seen(1, [4]int{0, 0, 0, 1}, endedAt(2*time.Minute)), nil, 3 * time.Minute,
			"finished cancelled because \"cancelled_outside\" counts 0/0/0/1/0 finished +2m0s\n7 failed cancelled_outside finished +2m0s"},

		{"asked to stop a day ago, it is waited for", with(single(), running, stopping(ScopeAll), cancelSent(time.Minute)), seen(1, [4]int{1}), nil, 24*time.Hour + time.Minute,
			"running counts 1/0/0/0/0 next +24h1m30s\n7 running"},
		{"asked to stop more than a day ago, it is given up", with(single(), running, stopping(ScopeAll), cancelSent(time.Minute)), seen(1, [4]int{1}), nil, 24*time.Hour + 61*time.Second,
			"finished lost because \"the cancel was not confirmed in 24 hours; it may still run\" counts 1/0/0/0/0 finished +24h1m1s\n7 failed lost finished +24h1m1s"},
		{"its end counts, however late it is", with(single(), stopping(ScopeAll), cancelSent(time.Minute)), seen(1, [4]int{0, 1}, endedAt(30*time.Hour)), nil, 31 * time.Hour,
			"finished success counts 0/1/0/0/0 finished +30h0m0s\n7 success exit 0 finished +30h0m0s"},

		{"gone within the settle window says nothing", single(), gone, nil, 179 * time.Second,
			"launched next +3m17s"},
		{"gone for the first time after it", single(), gone, nil, 3 * time.Minute,
			"launched next +3m18s missed +3m0s"},
		{"gone for the second time: it may have run, so it is not repeated", with(packed(), running, missedBefore), gone, nil, 5 * time.Minute,
			"finished lost because \"Cloud Run no longer knows it; it may have run\" finished +5m0s missed +4m0s\n0-2 failed lost finished +5m0s\n5-6 failed lost finished +5m0s"},
		{"looks within the window do not count, however many there were", with(single(), func(x *Execution) { x.NotFoundAt = ptr(time.Minute) }), gone, nil, 2 * time.Minute,
			"launched next +2m18s missed +1m0s"},
		{"where the launch has no time, the settle window begins with the row", with(single(), neverLaunched), gone, nil, 2 * time.Minute,
			"launched next +2m18s missed +2m0s"},
		{"gone while it stops is lost, not cancelled", with(single(), missedBefore, stopping(ScopeAll), cancelSent(time.Minute)), gone, nil, 5 * time.Minute,
			"finished lost because \"Cloud Run no longer knows it; it may have run\" finished +5m0s missed +4m0s\n7 failed lost finished +5m0s"},
	}
	for _, test := range tests {
		t.Run(strings.ReplaceAll(test.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			got := Observe(test.x, test.look, test.tasks, settleWindow, at(test.now))
			if diff := cmp.Diff(test.want, show(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			checkMove(t, test.x, got)
		})
	}
}

// checkMove checks what holds for every move, whatever was decided.
func checkMove(t *testing.T, x Execution, m Move) {
	t.Helper()
	isEnd := m.Status == Finished
	if m.Status != x.Status && !May(KindExecution, x.Status, m.Status) {
		t.Errorf("%s to %s is not in the table", x.Status, m.Status)
	}
	if isEnd != (m.FinishedAt != nil) || isEnd != (m.Outcome != OutcomeNone) {
		t.Errorf("%s with outcome %q and finished %v", m.Status, m.Outcome, m.FinishedAt)
	}
	if diff := cmp.Diff(x, m.Row); diff != "" {
		t.Errorf("the row is not as it was claimed (-want +got)\n%s", diff)
	}
	if !isEnd && m.NextLookAt == nil {
		t.Error("it lives, and nobody will look at it again")
	}
	var told []int
	for _, v := range m.Tasks {
		for _, index := range (Ranges{v.Indexes}).All() {
			told = append(told, index)
		}
		final := Final(KindTask, v.Status)
		if final != (v.FinishedAt != nil) || (v.Status == Pending) != (v.DueAt != nil) || isEnd && v.Status == Running {
			t.Errorf("impossible: %s", showVerdict(v))
		}
		if v.Status == Failed && v.Reason == "" {
			t.Errorf("failed without a reason: %s", showVerdict(v))
		}
	}
	var own []int
	for _, index := range x.Indexes.All() {
		own = append(own, index)
	}
	if isEnd && !slices.Equal(own, told) {
		t.Errorf("it ended with tasks %v, and the verdicts are about %v", own, told)
	}
}

func TestObserveKeepsWhatCloudRunTells(t *testing.T) {
	t.Parallel()
	look := seen(1, [4]int{1}, func(f *Facts) {
		f.LogURI, f.Job.Image, f.Progress.Retried = "https://logs/1", "image@sha256:1", 2
	})
	got := Observe(single(), look, nil, settleWindow, at(time.Minute))
	if diff := cmp.Diff("running image image@sha256:1 log https://logs/1 counts 1/0/0/0/2 next +1m6s\n7 running", show(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestObserveOfOneThatIsGoneForgetsNothing(t *testing.T) {
	t.Parallel()
	x := with(single(), running, func(x *Execution) {
		x.Image, x.LogURI, x.StartedAt, x.Progress = "image@sha256:1", "https://logs/1", ptr(time.Second), Progress{Running: 1}
	})
	got := Observe(x, Look{Gone: true}, nil, settleWindow, at(5*time.Minute))
	if diff := cmp.Diff("running image image@sha256:1 log https://logs/1 counts 1/0/0/0/0 started +1s next +5m18s missed +5m0s", show(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestNeedsTasks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		look Look
		want bool
	}{
		{"it goes on", seen(5, [4]int{5}), false},
		{"failures of one that goes on are read when it has ended", seen(5, [4]int{3, 0, 2}), false},
		{"all succeeded", seen(5, [4]int{0, 5}, endedAt(0)), false},
		{"one failed", seen(5, [4]int{0, 4, 1}, endedAt(0)), true},
		{"it was cancelled", seen(5, [4]int{0, 0, 0, 5}, endedAt(0), byCancel), true},
		{"its counts are not all there", seen(5, [4]int{0, 4}, endedAt(0)), true},
		{"it has more tasks than we sent", seen(6, [4]int{0, 5}, endedAt(0)), true},
	}
	for _, test := range tests {
		if got := NeedsTasks(packed(), test.look.Facts); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestFailureReason(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		task TaskFacts
		want string
	}{
		{"an exit code", TaskFacts{ExitCode: number(3)}, ReasonExitCode},
		{"a signal", TaskFacts{Signal: number(9)}, ReasonSignal},
		{"a signal says more than the exit code that comes of it", TaskFacts{Signal: number(9), ExitCode: number(137)}, ReasonSignal},
		{"out of memory says more than the signal", TaskFacts{OutOfMemory: true, Signal: number(9), ExitCode: number(137)}, ReasonOutOfMemory},
		{"a timeout says more than the signal", TaskFacts{TimedOut: true, Signal: number(9)}, ReasonTimeout},
		{"neither code nor signal: the platform", TaskFacts{}, ReasonPlatform},
		{"zeros are none", TaskFacts{ExitCode: number(0), Signal: number(0)}, ReasonPlatform},
	}
	for _, test := range tests {
		if got := FailureReason(test.task); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestReturned(t *testing.T) {
	t.Parallel()
	for returns := range MaxReturns {
		want := fmt.Sprintf("0 pending platform due %s", offset(ptr(ReturnDelay(returns))))
		if got := showVerdict(Returned(Attempt{Attempt: 3, Returns: returns}, ReasonPlatform, base())); got != want {
			t.Errorf("after %d returns: %s, want %s", returns, got, want)
		}
	}
	for _, returns := range []int{MaxReturns, MaxReturns + 1} {
		if got := showVerdict(Returned(Attempt{Returns: returns}, ReasonLaunchUnknown, base())); got != "0 failed launch_unknown finished +0s" {
			t.Errorf("after %d returns: %s", returns, got)
		}
	}
}

func TestDelays(t *testing.T) {
	t.Parallel()
	launched := func(age time.Duration) time.Duration {
		return LookDelay(Execution{LaunchedAt: ptr(0)}, at(age))
	}
	tests := []struct {
		name string
		got  time.Duration
		want time.Duration
	}{
		{"the first look comes after a second", launched(0), time.Second},
		{"for ten seconds it is a second", launched(10 * time.Second), time.Second},
		{"then a tenth of the age", launched(time.Minute), 6 * time.Second},
		{"until half a minute", launched(5 * time.Minute), 30 * time.Second},
		{"which is the most", launched(72 * time.Hour), 30 * time.Second},
		{"a clock that went back does no harm", launched(-time.Hour), time.Second},
		{"without a time of launch it is a second", LookDelay(Execution{}, base()), time.Second},
		{"the first return waits a second", ReturnDelay(0), time.Second},
		{"each return doubles it", ReturnDelay(3), 8 * time.Second},
		{"to five minutes", ReturnDelay(9), 5 * time.Minute},
		{"and no further", ReturnDelay(1_000_000), 5 * time.Minute},
		{"the first refusal by a quota waits ten seconds", QuotaDelay(1), 10 * time.Second},
		{"each one ten more", QuotaDelay(3), 30 * time.Second},
		{"to two minutes", QuotaDelay(12), 2 * time.Minute},
		{"and no further", QuotaDelay(1_000_000), 2 * time.Minute},
		{"a count below one is one", QuotaDelay(0), 10 * time.Second},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("%s: %v, want %v", test.name, test.got, test.want)
		}
	}
}
