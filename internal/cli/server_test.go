package cli

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/api"
)

// inside serves a fake without a connection, as a program with the whole orchestrator in it would.
type inside struct {
	handler http.Handler
	closed  int
}

func (i *inside) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	i.handler.ServeHTTP(rec, r)
	return rec.Result(), nil
}

func (i *inside) local() Local {
	return Local{InProcess: func(context.Context) (http.RoundTripper, func(), string, error) {
		return i, func() { i.closed++ }, "the database orchestrator (mock)", nil
	}}
}

func TestWithoutAServerTheWorkIsDoneInThisProcess(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	in := &inside{handler: f.Config.Handler}
	tm := withEnv(nil)
	tm.Local = in.local()
	args := []string{"trigger", "example-workflow"}
	golden(t, "in_process_trigger", tm.transcript(args, tm.run(t, args...), "http://127.0.0.1:1"))
	if in.closed != 1 {
		t.Errorf("closed %d times", in.closed)
	}
}

func TestWaitingInThisProcessTicksUntilTheRunHasEnded(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.polled = func(run *api.Run) {
		if f.ticks >= 3 {
			endAfter(0, "success")(run)
		}
	}
	in := &inside{handler: f.Config.Handler}
	tm := withEnv(nil)
	tm.Local = in.local()
	tm.Pause = func(ctx context.Context, _ time.Duration) { pause(ctx, time.Millisecond) }
	if code := tm.run(t, "trigger", "example-workflow", "--wait", "--timeout", "30s"); code != exitOK {
		t.Errorf("exit code %d: %s", code, tm.err.String())
	}
	if in.closed != 1 {
		t.Errorf("closed %d times", in.closed)
	}
}

func TestServerOnThisMachineComesBeforeThisProcess(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	tm := withEnv(nil)
	tm.DefaultURL = f.URL
	tm.Local = Local{InProcess: func(context.Context) (http.RoundTripper, func(), string, error) {
		t.Error("the functions were made in this process")
		return nil, nil, "", errors.New("no")
	}}
	if code := tm.run(t, "status"); code != exitOK || tm.err.String() != "" {
		t.Errorf("exit code %d: %s", code, tm.err.String())
	}
}

func TestOtherProgramOnThePortIsNotTakenForAnOrchestrator(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"<html>hello</html>", `{"status":"ok"}`} {
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(other.Close)
		tm := withEnv(nil)
		tm.DefaultURL = other.URL
		tm.Local = (&inside{handler: newFake(t).Config.Handler}).local()
		code := tm.run(t, "status")
		want := "what answers at " + other.URL + " is not an orchestrator; working in this process over the database orchestrator (mock)\n"
		if code != exitOK || tm.err.String() != want {
			t.Errorf("exit code %d: %s", code, tm.err.String())
		}
	}
}

func TestSetURLIsTheOnlyOneAsked(t *testing.T) {
	t.Parallel()
	tm := at("http://127.0.0.1:1")
	tm.DefaultURL = newFake(t).URL
	tm.Local = (&inside{handler: newFake(t).Config.Handler}).local()
	if code := tm.run(t, "status"); code != exitFailed || !strings.Contains(tm.err.String(), "cannot reach the orchestrator at http://127.0.0.1:1") {
		t.Errorf("exit code %d: %s", code, tm.err.String())
	}
}

func TestOtherProgramAtTheSetURLIsNamed(t *testing.T) {
	t.Parallel()
	tests := map[int]string{
		200: "look at ORCHESTRATOR_URL: something else answers there",
		403: `sign in with "gcloud auth login"`,
		503: "try again in a minute",
	}
	for status, want := range tests {
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(other.Close)
		tm := at(other.URL)
		if code := tm.run(t, "status"); code != exitFailed || !strings.Contains(tm.err.String(), want) {
			t.Errorf("%d: exit code %d: %s", status, code, tm.err.String())
		}
	}
}

func TestProcessThatCannotServeItselfSaysBothThings(t *testing.T) {
	t.Parallel()
	tm := withEnv(nil)
	tm.Local = Local{InProcess: func(context.Context) (http.RoundTripper, func(), string, error) {
		return nil, nil, "", errors.New("there is no PostgreSQL; install it with apt-get install postgresql")
	}}
	code := tm.run(t, "status")
	want := "error: no orchestrator answers at http://127.0.0.1:1, and this process cannot do the work itself: there is no PostgreSQL; install it with apt-get install postgresql\n"
	if code != exitFailed || tm.err.String() != want {
		t.Errorf("exit code %d: %s", code, tm.err.String())
	}
}
