package app_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/app"
	"cloud-run-orchestrator/internal/config"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/testdb"
)

// process is the all-in-one process, with a ticker that comes so seldom that only a wake can move anything.
type process struct {
	t   *testing.T
	url string
}

func serve(t *testing.T) *process {
	t.Helper()
	env := map[string]string{
		"ORCHESTRATOR_MODE": "mock", "DATABASE_URL": testdb.New(t, testdb.Mode(lifecycle.Mock)).DSN, "ORCHESTRATOR_LISTEN": "127.0.0.1:0",
	}
	cfg, err := config.Load(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan app.Serving, 1), make(chan error, 1)
	go func() {
		ended <- app.Serve(ctx, cfg, "v1", time.Hour, slog.New(slog.DiscardHandler), func(s app.Serving) { ready <- s })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	select {
	case s := <-ready:
		return &process{t, s.URL}
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	return nil
}

func (p *process) call(method, path, body string, status int) string {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status {
		p.t.Fatalf("%s %s: %d %s %v, want %d", method, path, res.StatusCode, text, err, status)
	}
	return string(text)
}

// becomes waits until a path's answer contains a text.
func (p *process) becomes(path, want string) {
	p.t.Helper()
	for limit := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		got := p.call("GET", path, "", 200)
		if strings.Contains(got, want) {
			return
		}
		if time.Now().After(limit) {
			p.t.Fatalf("%s does not become %s: %s", path, want, got)
		}
	}
}

func TestTheTickerOfThisProcessIsWokenByATrigger(t *testing.T) {
	t.Parallel()
	p := serve(t)
	p.call("PUT", "/workflows/nightly", `{"name":"nightly","job":{"project":"p1","region":"us-central1","name":"load"},"tasks":{"count":2}}`, 201)
	p.becomes("/status", `"last_tick_at":"2`) // the first tick came by itself; the next would in an hour
	for _, run := range []string{"nightly.1", "nightly.2"} {
		p.call("POST", "/trigger/nightly", "", 201)
		p.becomes("/status/runs/"+run, `"status":"success"`)
	}
}
