package functions

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

func TestDrainLetsRunningRequestsFinishAndRefusesNewOnes(t *testing.T) {
	t.Parallel()
	f, _ := withoutEngine(Options{})
	began, release := make(chan struct{}), make(chan struct{})
	var stopped atomic.Bool
	url := listen(t, f.protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, done := f.limit(r)
		defer done()
		close(began)
		<-ctx.Done() // a tick begins nothing more …
		stopped.Store(true)
		<-release // … and ends what it has begun
		w.WriteHeader(http.StatusAccepted)
	})))
	slow := make(chan answer)
	go func() { slow <- send(t, http.MethodPost, url+"/tick", "") }()
	<-began

	drained := make(chan error, 1)
	go func() { drained <- f.Drain(context.Background()) }()
	<-f.gate.ctx.Done()
	a := send(t, http.MethodGet, url+"/status", "")
	if p := a.problem(t); a.status != http.StatusServiceUnavailable || !strings.Contains(p.Detail, "shutting down") {
		t.Errorf("while draining: %d %+v", a.status, p)
	}
	if !a.closed || a.header.Get("Retry-After") == "" {
		t.Errorf("while draining: closed %v, headers %v", a.closed, a.header)
	}
	select {
	case err := <-drained:
		t.Fatalf("drained with a request in flight: %v", err)
	default:
	}
	close(release)
	if a := <-slow; a.status != http.StatusAccepted || !stopped.Load() {
		t.Errorf("the request in flight got %d", a.status)
	}
	if err := <-drained; err != nil {
		t.Errorf("drain: %v", err)
	}
}

func TestDrainGivesUpWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	f, _ := withoutEngine(Options{})
	f.gate.enter()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("drain: %v", err)
	}
}

func TestServeAnswersUntilItsContextEnds(t *testing.T) {
	t.Parallel()
	f, log := withoutEngine(Options{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: f.All()}
	t.Cleanup(func() { _ = server.Close() })
	ctx, terminate := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- f.Serve(ctx, listener.Addr().String(), func() error { return server.Serve(listener) })
	}()
	url := "http://" + listener.Addr().String()
	if a := send(t, http.MethodGet, url+"/status/openapi.json", ""); a.status != http.StatusOK {
		t.Errorf("status %d", a.status)
	}
	terminate()
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	if !strings.Contains(log.String(), "shutting down") {
		t.Errorf("log: %s", log)
	}
	if a := send(t, http.MethodGet, url+"/status/openapi.json", ""); a.status != http.StatusServiceUnavailable {
		t.Errorf("after the end: status %d", a.status)
	}
}

func TestServeSaysWhyItCannotListen(t *testing.T) {
	t.Parallel()
	f, _ := withoutEngine(Options{})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	err = f.Serve(t.Context(), address, func() error { return http.ListenAndServe(address, nil) })
	want := "cannot listen on " + address + ": another program does already; stop it, or set ORCHESTRATOR_LISTEN to another address"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	err = f.Serve(t.Context(), "192.0.2.1:80", func() error { return http.ListenAndServe("192.0.2.1:80", nil) })
	if err == nil || !strings.Contains(err.Error(), "this machine does not have that address") {
		t.Errorf("got %v", err)
	}
}
