package emulator

import (
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/grpc/codes"
)

func TestLimitsAreThoseOfAMinuteInAProjectAndRegion(t *testing.T) {
	t.Parallel()
	at := newClock()
	s := newServer(t, Options{Jobs: Jobs{"a": {Func: instant}, "b": {Func: instant}}, Limits: Limits{Run: 6, Read: 3}, Now: at.now})
	c := inside(t, s)
	run := func(name string) error {
		_, err := c.jobs.RunJob(t.Context(), &runpb.RunJobRequest{Name: name})
		return err
	}
	for range 3 { // jobs share it
		wantCode(t, run(somewhere+"/jobs/a"), codes.OK)
		wantCode(t, run(somewhere+"/jobs/b"), codes.OK)
	}
	wantQuota(t, run(somewhere+"/jobs/a"), "Job run requests", "6")
	wantCode(t, run("projects/p/locations/elsewhere/jobs/a"), codes.OK)
	wantCode(t, run("projects/q/locations/europe-west1/jobs/a"), codes.OK)
	at.advance(9 * time.Second)
	wantCode(t, run(somewhere+"/jobs/a"), codes.ResourceExhausted)
	at.advance(time.Second)
	wantCode(t, run(somewhere+"/jobs/a"), codes.OK)
	wantCode(t, run(somewhere+"/jobs/a"), codes.ResourceExhausted)
	at.advance(time.Hour) // fills it, and not more
	for range 6 {
		wantCode(t, run(somewhere+"/jobs/a"), codes.OK)
	}
	wantCode(t, run(somewhere+"/jobs/a"), codes.ResourceExhausted)

	for _, want := range []codes.Code{codes.NotFound, codes.NotFound, codes.NotFound, codes.ResourceExhausted} {
		_, err := c.executions.GetExecution(t.Context(), &runpb.GetExecutionRequest{Name: somewhere + "/jobs/a/executions/x"})
		wantCode(t, err, want)
	}
	if calls := s.Calls(); calls.Faults["RunJob"]["limit"] != 4 || calls.Codes["RunJob"]["RESOURCE_EXHAUSTED"] != 4 || calls.Faults["GetExecution"]["limit"] != 1 {
		t.Errorf("%+v", calls)
	}
	if n := len(s.Executions()); n != 15 {
		t.Errorf("%d executions were accepted, want 15", n)
	}
}

func TestOnlySoManyExecutionsRunAtATime(t *testing.T) {
	t.Parallel()
	s := newServer(t, func() Options {
		o := scripted(t, "faults: []")
		o.Limits = Limits{Running: 2}
		return o
	}())
	c := inside(t, s)
	first := c.run(t, "endless")
	c.run(t, "endless")
	_, err := c.jobs.RunJob(t.Context(), &runpb.RunJobRequest{Name: somewhere + "/jobs/endless"})
	wantQuota(t, err, "Running job executions", "2")
	if err := c.cancel(t, first.GetName()); err != nil {
		t.Fatal(err)
	}
	c.end(t, first.GetName())
	third := c.run(t, "endless")
	_, err = c.executions.DeleteExecution(t.Context(), &runpb.DeleteExecutionRequest{Name: third.GetName()})
	wantCode(t, err, codes.OK)
	s.wantTruth(t, third.GetName(), "cancelled", "deleted")
	c.run(t, "endless")
	if s.Calls().Faults["RunJob"]["limit"] != 1 {
		t.Errorf("%+v", s.Calls())
	}
}

func TestLimitsAreWrittenByHand(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Limits{
		"on":                            {180, 3000, 1000},
		"off":                           {},
		"run=60":                        {60, 3000, 1000},
		"run=60,read=600,running=off":   {60, 600, 0},
		"run=off,read=off,running=1000": {0, 0, 1000},
	} {
		if got, err := ParseLimits(text); err != nil || got != want {
			t.Errorf("%s is %+v, %v", text, got, err)
		}
	}
	for text, part := range map[string]string{"": `""`, "yes": `"yes"`, "run=0": `"run=0"`, "run=60,": `""`, "run": `"run"`, "write=3": `"write=3"`, "run=60 ,read=1": `"run=60 "`} {
		_, err := ParseLimits(text)
		if err == nil || !strings.Contains(err.Error(), part+" is wrong; write on, off, or some of run=N,read=N,running=N") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for l, want := range map[Limits]string{
		{}:           "off",
		RealLimits(): "180 runs and 3000 reads a minute, 1000 running executions, for each project and region",
		{Read: 5}:    "any number of runs and 5 reads a minute, any number of running executions, for each project and region",
	} {
		if l.String() != want {
			t.Errorf("%+v is %s", l, l)
		}
	}
}
