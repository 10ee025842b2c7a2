package functions

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestHosts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		options Options
		host    string
		served  bool
	}{
		{"localhost", Options{}, "localhost", true},
		{"localhost in capitals with a port", Options{}, "LocalHost:8080", true},
		{"IPv4", Options{}, "127.0.0.1:9", true},
		{"IPv6 with a port", Options{}, "[::1]:8080", true},
		{"IPv6", Options{}, "[::1]", true},
		{"a page's own name for this machine", Options{}, "evil.example:8080", false},
		{"a name that begins well", Options{}, "localhost.evil.example", false},
		{"another address of this machine", Options{}, "192.168.1.2:8080", false},
		{"a name that was added", Options{Hosts: []string{"functions", "Box.local:8080"}}, "functions:8080", true},
		{"a name that was added with a port", Options{Hosts: []string{"functions", "Box.local:8080"}}, "box.local:1234", true},
		{"localhost beside a name that was added", Options{Hosts: []string{"functions"}}, "localhost", true},
		{"any name on Cloud Run", Options{OnCloudRun: true}, "orchestrator-tick-1234.europe-west1.run.app", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, _ := withoutEngine(c.options)
			a := send(t, http.MethodGet, listen(t, f.All())+"/status/openapi.json", "", "Host", c.host)
			if served := a.status == http.StatusOK; served != c.served {
				t.Fatalf("status %d %s", a.status, a.body)
			}
			if !c.served {
				if p := a.problem(t); a.status != http.StatusMisdirectedRequest || !strings.Contains(p.Detail, "ORCHESTRATOR_HOSTS") {
					t.Errorf("%+v", p)
				}
			}
		})
	}
}

func TestAPageOfAnotherSiteMayNotWrite(t *testing.T) {
	t.Parallel()
	f, _ := withoutEngine(Options{})
	url := listen(t, f.All())
	for _, c := range []struct {
		name, method, path, header, value string
		status                            int
	}{
		{"a tick from another site", "POST", "/tick", "Sec-Fetch-Site", "cross-site", 403},
		{"a trigger from another site", "POST", "/trigger/a", "Sec-Fetch-Site", "same-site", 403},
		{"a deletion by an older browser", "DELETE", "/workflows/a", "Origin", "https://evil.example", 403},
		{"a write from our own page", "POST", "/trigger/a", "Sec-Fetch-Site", "same-origin", 500},
		{"a look from another site", "GET", "/status", "Sec-Fetch-Site", "cross-site", 500},
		{"a write without a browser", "POST", "/tick", "User-Agent", "Google-Cloud-Scheduler", 500},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := send(t, c.method, url+c.path, "", c.header, c.value)
			if a.problem(t); a.status != c.status {
				t.Errorf("status %d %s", a.status, a.body)
			}
		})
	}
}

func TestEveryAnswerHasTheSecurityHeaders(t *testing.T) {
	t.Parallel()
	f, _ := withoutEngine(Options{})
	url := listen(t, f.All())
	for _, a := range []answer{
		send(t, http.MethodGet, url+"/status/openapi.json", ""),
		send(t, http.MethodGet, url+"/nothing", ""),
		send(t, http.MethodGet, url+"/status", ""),
		send(t, http.MethodGet, url+"/status", "", "Host", "evil.example"),
		send(t, http.MethodPost, url+"/tick", "", "Sec-Fetch-Site", "cross-site"),
	} {
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("status %d: %s is %q", a.status, name, got)
			}
		}
	}
}

func TestAPanicIsAnsweredAndLogged(t *testing.T) {
	t.Parallel()
	f, log := withoutEngine(Options{})
	url := listen(t, f.protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("hunter2") })))
	a := send(t, http.MethodGet, url+"/x", "")
	p := a.problem(t)
	if a.status != http.StatusInternalServerError || strings.Contains(a.body, "hunter2") || p.ID == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, want := range []string{"level=ERROR", "hunter2", "id=" + p.ID, "middleware_test.go", "status=500"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %s: %s", want, log)
		}
	}
}

// gone is the writer of a caller who has gone.
type gone struct{ http.ResponseWriter }

func (gone) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestAnAnswerThatCannotBeSentIsNoFailure(t *testing.T) {
	t.Parallel()
	f, log := withoutEngine(Options{})
	h := f.protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := io.WriteString(w, "{}"); err != nil {
			panic(err) // as huma does
		}
	}))
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("panics with %v", p)
		}
		if strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "the caller has gone") {
			t.Errorf("the log says %s", log.String())
		}
	}()
	h.ServeHTTP(gone{httptest.NewRecorder()}, httptest.NewRequest(http.MethodGet, "http://localhost/x", nil))
}

func TestAPanicInTheMiddleOfAnAnswerCutsTheConnection(t *testing.T) {
	t.Parallel()
	f, log := withoutEngine(Options{})
	half := f.protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"runs":[`)
		_ = http.NewResponseController(w).Flush()
		panic("late")
	}))
	// What recovers around us, as the functions framework does, must not complete the answer.
	around := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				_, _ = io.WriteString(w, "A panic occurred")
			}
		}()
		half.ServeHTTP(w, r)
	})
	for name, h := range map[string]http.Handler{"bare": half, "inside a recovering server": around} {
		res, err := http.Get(listen(t, h))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err == nil {
			t.Errorf("%s: the half answer %q looks whole", name, body)
		}
	}
	if !strings.Contains(log.String(), "late") {
		t.Errorf("the log does not have the panic: %s", log)
	}
}

func TestAnAbortIsPassedOn(t *testing.T) {
	t.Parallel()
	f, log := withoutEngine(Options{})
	h := f.protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	if res, err := http.Get(listen(t, h)); err == nil {
		_ = res.Body.Close()
		t.Errorf("an aborted request was answered with %d", res.StatusCode)
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("an abort is not an error: %s", log)
	}
}

// contextOf gives the context that a handler of the function sees.
func contextOf(t *testing.T, f *Functions, parent context.Context, path string) (context.Context, context.CancelFunc) {
	t.Helper()
	r, err := http.NewRequestWithContext(parent, http.MethodPost, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f.limit(r)
}

func TestACallerWhoHangsUpDoesNotStopATick(t *testing.T) {
	t.Parallel()
	f, _ := withoutEngine(Options{})
	caller, hangUp := context.WithCancel(t.Context())
	tick, doneTick := contextOf(t, f, caller, "/tick")
	defer doneTick()
	trigger, doneTrigger := contextOf(t, f, caller, "/trigger/a")
	defer doneTrigger()
	hangUp()
	if tick.Err() != nil {
		t.Errorf("the tick's context ended: %v", tick.Err())
	}
	if !errors.Is(trigger.Err(), context.Canceled) {
		t.Errorf("the trigger's context: %v", trigger.Err())
	}
}

func TestTimeIsLimitedExceptForATick(t *testing.T) {
	t.Parallel()
	f, _ := withoutEngine(Options{})
	for path, limited := range map[string]bool{"/tick": false, "/tick/doctor": false, "/trigger/a": true, "/status/runs": true, "/workflows/tick": true} {
		began := time.Now()
		ctx, done := contextOf(t, f, t.Context(), path)
		done()
		deadline, ok := ctx.Deadline()
		if ok != limited || ok && deadline.Before(began.Add(requestTime)) {
			t.Errorf("%s: deadline %v %v", path, deadline, ok)
		}
	}
}

func TestRequestsAreLogged(t *testing.T) {
	t.Parallel()
	f, log := withoutEngine(Options{})
	a := send(t, http.MethodGet, listen(t, f.All())+"/status/openapi.json", "")
	for _, want := range []string{"level=DEBUG", "msg=request", "method=GET", "path=/status/openapi.json", "status=200"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %s: %s", want, log)
		}
	}
	if a.status != 200 {
		t.Errorf("status %d", a.status)
	}
}
