package emulator

import (
	"context"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestFaultsDisturbCalls(t *testing.T) {
	t.Parallel()
	lost := status.Error(codes.Unavailable, "the connection broke")
	for name, test := range map[string]struct {
		fault   Fault
		code    codes.Code
		made    int  // executions after the call
		listed  int  // of them, how many lists show
		unnamed bool // the answer has no metadata
	}{
		"none":          {Fault{}, codes.OK, 1, 1, false},
		"before":        {Fault{Before: lost}, codes.Unavailable, 0, 0, false},
		"after":         {Fault{After: lost}, codes.Unavailable, 1, 1, false},
		"late":          {Fault{Delay: time.Millisecond}, codes.OK, 1, 1, false},
		"hidden":        {Fault{HideFor: time.Hour}, codes.OK, 1, 0, false},
		"no metadata":   {Fault{DropMetadata: true}, codes.OK, 1, 1, true},
		"lost and late": {Fault{After: lost, HideFor: time.Hour}, codes.Unavailable, 1, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachTransport(t, func() Options {
				return Options{Jobs: Jobs{"a": {Func: instant}}, Intercept: func(_ context.Context, c Call) Fault {
					if c.Method == "RunJob" && c.N == 2 && c.Name == somewhere+"/jobs/a" {
						return test.fault
					}
					return Fault{}
				}}
			}, func(t *testing.T, s *Server, c clients) {
				first := c.run(t, "a")
				op, err := c.jobs.RunJob(t.Context(), &runpb.RunJobRequest{Name: somewhere + "/jobs/a"})
				wantCode(t, err, test.code)
				if err == nil {
					if m, err := op.Metadata(); err != nil || (m == nil) != test.unnamed {
						t.Errorf("metadata %v, %v", m, err)
					}
				}
				j, err := s.GetJob(t.Context(), &runpb.GetJobRequest{Name: somewhere + "/jobs/a"})
				if n := must(t, j, err).GetExecutionCount(); int(n) != 1+test.made {
					t.Errorf("%d executions were made, want %d", n-1, test.made)
				}
				if n := len(c.list(t, somewhere+"/jobs/a", 0)); n != 1+test.listed {
					t.Errorf("%d executions are listed, want %d", n-1, test.listed)
				}
				c.end(t, first.GetName())
			})
		})
	}
}

func TestAHiddenExecutionIsListedLater(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	s := newServer(t, Options{Jobs: Jobs{"a": {Func: instant}},
		Now:       func() time.Time { return time.Unix(clock.Load(), 0) },
		Intercept: func(context.Context, Call) Fault { return Fault{HideFor: 10 * time.Second} }})
	c := inside(t, s)
	x := c.run(t, "a")
	clock.Store(9)
	if got := c.list(t, somewhere+"/jobs/a", 0); len(got) != 0 {
		t.Errorf("after 9 s the list is %v", got)
	}
	c.get(t, x.GetName()) // by name it is there at once
	clock.Store(10)
	if diff := cmp.Diff([]string{x.GetName()}, c.list(t, somewhere+"/jobs/a", 0)); diff != "" {
		t.Errorf("after 10 s (-want +got):\n%s", diff)
	}
}

func TestALateCallHasItsEffectAlthoughItsCallerGaveUp(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{Jobs: Jobs{"a": {Func: instant}}, Intercept: func(ctx context.Context, c Call) Fault {
		if c.Method != "RunJob" {
			return Fault{}
		}
		<-ctx.Done() // the caller gives up
		return Fault{Delay: time.Millisecond}
	}})
	c := inside(t, s)
	_, err := c.jobs.RunJob(s.giveUpAfter(t, "RunJob", 1), &runpb.RunJobRequest{Name: somewhere + "/jobs/a"})
	wantCode(t, err, codes.Canceled)
	for give := time.Now().Add(patience); len(c.list(t, somewhere+"/jobs/a", 0)) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(give) {
			t.Fatal("the execution never came")
		}
	}
}

func TestCallsAndStartsAreOnRecord(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{Jobs: Jobs{"a": {Func: instant}}})
	base := "http://" + listen(t, s)
	c := overREST(t, base)
	x := c.run(t, "a", tasks(2), env("MARK", "m"))
	_, err := c.executions.GetExecution(t.Context(), &runpb.GetExecutionRequest{Name: x.GetName() + "x"})
	wantCode(t, err, codes.NotFound)
	c.until(t, x.GetName(), func(*runpb.Execution) bool { return len(s.Started()) == 2 })

	var calls Calls
	getJSON(t, base+"/_emulator/calls", &calls)
	if calls.Count["RunJob"] != 1 || calls.Count["GetExecution"] < 2 {
		t.Errorf("counts are %v", calls.Count)
	}
	second := calls.Last[1]
	if second.Method != "GetExecution" || second.N != 1 || second.Code != "NOT_FOUND" || second.Name != x.GetName()+"x" {
		t.Errorf("the second call is %+v", second)
	}
	var started struct{ Started []Started }
	getJSON(t, base+"/_emulator/started", &started)
	for i, st := range started.Started {
		if st.Execution != x.GetName() || st.Job != "a" || st.Index != i || st.Attempt != 0 || st.Env["MARK"] != "m" || st.At.IsZero() {
			t.Errorf("start %d is %+v", i, st)
		}
	}
	if len(started.Started) != 2 {
		t.Errorf("%d starts, want 2", len(started.Started))
	}
}

func getJSON(t *testing.T, url string, into any) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyTheLatestCallsAreKept(t *testing.T) {
	t.Parallel()
	var l callLog
	for range keptCalls + 5 {
		l.end(&passage{Call: l.begin("GetJob", "x")}, time.Unix(1, 0), codes.OK)
	}
	c := l.snapshot()
	if len(c.Last) != keptCalls || c.Last[0].N != 6 || c.Last[keptCalls-1].N != keptCalls+5 || c.Count["GetJob"] != keptCalls+5 {
		t.Errorf("%d kept, from %d to %d of %d", len(c.Last), c.Last[0].N, c.Last[len(c.Last)-1].N, c.Count["GetJob"])
	}
}
