package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const doctorsAccount = "orchestrator-tick@test-project.iam.gserviceaccount.com"

// cloud looks at the jobs, too.
func (w *world) cloud() engine.Checkup {
	w.t.Helper()
	e := w.newEngine(func(o *engine.Options) { o.Budget, o.Account = 20*time.Second, doctorsAccount })
	c, err := e.Doctor(w.t.Context(), engine.Doctor{Cloud: true})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range c.Findings {
		w.t.Logf("%s (%s): %s: %s; %s", f.Kind, f.Severity(), f.Subject, f.Detail, f.Action)
	}
	return c
}

// tells demands that doctor finds these kinds about the jobs and nothing else, and gives all that it says.
func (w *world) tells(kinds ...lifecycle.FindingKind) string {
	w.t.Helper()
	var got []lifecycle.FindingKind
	var text strings.Builder
	for _, f := range w.cloud().Findings {
		got = append(got, f.Kind)
		fmt.Fprintf(&text, "%s: %s\n%s\n", f.Subject, f.Detail, f.Action)
	}
	if diff := cmp.Diff(kinds, got); diff != "" {
		w.t.Fatalf("findings -want +got\n%s", diff)
	}
	return text.String()
}

func has(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in\n%s", w, text)
		}
	}
}

func TestDoctorFindsNothingWrongWithAHealthyJobAndAsksTwiceForEach(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("one", "ok", 1)
	w.simple("other", "ok", 1)
	w.apply("name: named\njob: {name: two, container: proxy}\ntasks: {count: 1}\n")
	w.simple("archived", "missing", 1)
	if err := w.engine.Archive(t.Context(), "archived", "test"); err != nil {
		t.Fatal(err)
	}
	w.finish(w.trigger("one"))
	c := w.cloud()
	if len(c.Findings) > 0 || len(c.NotLooked) > 0 || c.Compared != 2 || w.calls("GetJob") != 2 || w.calls("TestIamPermissions") != 2 || c.Calls != 6 {
		t.Errorf("%+v; %d and %d calls", c, w.calls("GetJob"), w.calls("TestIamPermissions"))
	}
	if c.Health.LastTickAt == nil || c.Health.LastTickBy != "test" {
		t.Errorf("the last tick was at %v, called by %q", c.Health.LastTickAt, c.Health.LastTickBy)
	}
	if c := w.doctor(false); c.Compared != 0 || w.calls("GetJob") != 2 || w.calls("TestIamPermissions") != 2 {
		t.Errorf("without being asked for, %d jobs were compared", c.Compared)
	}
}

func TestDoctorTellsOfAMissingPermissionBeforeALaunchDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("hardened", "no-overrides", 1)
	has(t, w.tells(lifecycle.FindingJobPermissions),
		"job projects/test-project/locations/europe-west1/jobs/no-overrides: "+doctorsAccount+" lacks run.jobs.runWithOverrides (nothing can be started",
		"gcloud run jobs add-iam-policy-binding no-overrides --region europe-west1 --project test-project --member serviceAccount:"+doctorsAccount+
			" --role projects/test-project/roles/orchestrator_job_runner")
	d := w.finish(w.trigger("hardened"))
	if d.Run.Status != lifecycle.Failed || len(d.Steps) != 1 || !strings.Contains(d.Steps[0].Reason, "Permission 'run.jobs.runWithOverrides' denied") {
		t.Errorf("the launch was not refused: %+v", d.Steps)
	}
}

func TestDoctorTellsOfAJobThatRepeatsTasksByItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("twice", "again", 1)
	has(t, w.tells(lifecycle.FindingJobRetries), "up to 2 times by itself", "gcloud run jobs update again --max-retries 0 --region europe-west1 --project test-project")
}

func TestDoctorTellsOfAMissingJobOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("nojob", "missing", 1)
	has(t, w.tells(lifecycle.FindingJobGone), "nojob would start it", "gcloud run jobs create missing", "gcloud run jobs list --project test-project")
	w.disturb("ListExecutions", emulator.Fault{Before: status.Error(codes.PermissionDenied, "no")})
	has(t, w.tells(lifecycle.FindingJobUnreadable, lifecycle.FindingJobGone), "nojob would start it")
}

func TestDoctorTellsOfAJobThatMayNotBeReadAndStillAsksForPermissions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply("name: closed\njob: {name: no-reading, container: unseen}\ntasks: {count: 1}\n")
	w.tells(lifecycle.FindingJobUnchecked) // nothing is said of what was not seen
	w.apply("name: closed\njob: {name: no-reading}\ntimeout: 30s\ntasks: {count: 1}\n")
	has(t, w.tells(lifecycle.FindingJobUnchecked), "Permission 'run.jobs.get' denied", "roles/orchestrator_job_runner")
	if d := w.finish(w.trigger("closed")); d.Run.Status != lifecycle.Success {
		t.Errorf("a job that may run and not be read ended as %s", d.Run.Status)
	}
	w.disturb("TestIamPermissions", emulator.Fault{Before: status.Error(codes.Unavailable, "later")})
	has(t, w.tells(lifecycle.FindingJobUnchecked), "its settings and the permissions on it could not be read")
}

func TestDoctorTellsOfARegionThatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply("name: typo\njob: {name: ok, region: us-centrl1}\ntasks: {count: 1}\n")
	w.disturb("GetJob", emulator.Fault{Before: status.Error(codes.PermissionDenied, "Permission denied on 'locations/us-centrl1' (or it may not exist).")})
	has(t, w.tells(lifecycle.FindingJobUnchecked), "there may be no region us-centrl1", "gcloud run regions list --project test-project")
}

func TestDoctorTellsOfContainersThatLaunchesDoNotName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("unnamed", "two", 1)
	w.apply("name: wrong\njob: {name: ok, container: worker}\ntasks: {count: 1}\n")
	has(t, w.tells(lifecycle.FindingJobContainers, lifecycle.FindingJobContainers),
		"containers are main, proxy, and step main of workflow unnamed names none", "containers are ok, and step main of workflow wrong names worker")
	for _, name := range []string{"unnamed", "wrong"} {
		if d := w.finish(w.trigger(name)); d.Run.Status != lifecycle.Failed || !strings.Contains(d.Steps[0].Reason, "refused") {
			t.Errorf("the launch was not refused: %+v", d.Steps)
		}
	}
}

func TestDoctorTellsOfTimeoutsThatAStartMayEatUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("job", "hurried", 1)
	w.apply("name: definition\njob: {name: ok}\ntasks: {count: 1}\ntimeout: 30s\n")
	has(t, w.tells(lifecycle.FindingJobTimeout, lifecycle.FindingJobTimeout), "jobs/hurried: a task's timeout is 1m0s", "jobs/ok: as a task's timeout step main of workflow definition sets 30s")
	w.apply("name: job\njob: {name: hurried}\ntasks: {count: 1}\ntimeout: 10m\n")
	w.apply("name: definition\njob: {name: ok}\ntasks: {count: 1}\ntimeout: 3m\n")
	w.tells()
}

func TestDoctorCountsWhatOthersRunInTheRegion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.simple("shared", "wait", 1)
	w.apply("name: elsewhere\njob: {name: wait, region: us-central1}\ntasks: {count: 1}\n")
	run := w.trigger("shared")
	w.tickUntil(run, "running", func(d engine.RunDetail) bool { return d.Run.Counts.Running == 1 })
	job := lifecycle.JobOf(w.run.Started()[0].Execution)
	w.tells()
	var last string
	for _, env := range [][]lifecycle.EnvVar{{{Name: "BY", Value: "hand"}}, nil} { // one hides its environment, since it has none
		a := w.client().Run(t.Context(), lifecycle.Launch{Job: job, TaskCount: 1, Env: env})
		if a.Kind != lifecycle.AnswerNamed {
			t.Fatalf("%+v", a)
		}
		last = a.Name
	}
	has(t, w.tells(lifecycle.FindingStrangers), "region projects/test-project/locations/europe-west1: 2 executions run that no orchestrator started (wait 2), such as "+last)
	w.finds(false) // and only where it was asked for
	w.disturb("GetExecution", emulator.Fault{Before: status.Error(codes.Unavailable, "later")})
	has(t, w.tells(lifecycle.FindingJobUnreadable, lifecycle.FindingStrangers), "at least 1 execution runs that no")
	w.disturb("GetExecution", emulator.Fault{})
	w.release()
	w.finish(run)
	for !w.ended(job) {
		time.Sleep(10 * time.Millisecond)
	}
	w.tells()
}

func TestDoctorComparesSoManyJobsAtMostAndWithinItsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 3 {
		var steps strings.Builder
		for j := range 70 {
			fmt.Fprintf(&steps, "  s%d: {job: {name: ok, region: us-east%d}, tasks: {count: 1}}\n", j, 100*i+j)
		}
		w.apply(fmt.Sprintf("name: many-%d\nsteps:\n%s", i, &steps))
	}
	c := w.cloud()
	if c.Compared != 200 || w.calls("GetJob") != 200 || !slices.Equal(c.NotLooked, []string{"settings and permissions of 10 jobs, of 210"}) {
		t.Errorf("%d jobs were compared with %d calls, not looked at %q", c.Compared, w.calls("GetJob"), c.NotLooked)
	}
	c, err := w.newEngine(func(o *engine.Options) { o.Budget = time.Nanosecond }).Doctor(t.Context(), engine.Doctor{Cloud: true})
	if err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(c.NotLooked, "; "); c.Compared != 0 || len(c.Findings) > 0 || !strings.Contains(all, "settings and permissions of 200 jobs, from projects/test-project/locations/us-east0/jobs/ok on: the time was spent") {
		t.Errorf("%+v, %q", c.Findings, all)
	}
}
