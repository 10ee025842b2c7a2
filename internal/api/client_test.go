package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// roundTrip is a transport that answers by itself.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answerJSON(status int, body string) roundTrip {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func newTestClient(t *testing.T, o Options) *Client {
	t.Helper()
	if o.URL == "" {
		o.URL = "http://localhost:1"
	}
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serve gives a client of a server that answers everything with one handler.
func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return newTestClient(t, Options{URL: server.URL})
}

func TestEveryEndpointIsCalledByItsRoute(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	page := Page{Size: 7, Token: "a b"}
	tests := []struct {
		name string
		call func(*Client) error
		want string // method, URI, body, and the header that matters
	}{
		{"overview", func(c *Client) error { _, err := c.Overview(ctx); return err }, "GET /status/"},
		{"workflows", func(c *Client) error { _, err := c.Workflows(ctx, page); return err }, "GET /workflows/?page_size=7&page_token=a+b"},
		{"workflow", func(c *Client) error { _, err := c.Workflow(ctx, "a/b c"); return err }, "GET /workflows/a%2Fb%20c"},
		{"versions", func(c *Client) error { _, err := c.WorkflowVersions(ctx, "w", Page{}); return err }, "GET /workflows/w/versions"},
		{"put", func(c *Client) error { _, _, err := c.PutWorkflow(ctx, "w", []byte(`{"name":"w"}`), false); return err }, `PUT /workflows/w {"name":"w"}`},
		{"put only new", func(c *Client) error { _, _, err := c.PutWorkflow(ctx, "w", []byte(`{}`), true); return err }, `PUT /workflows/w {} If-None-Match=*`},
		{"archive", func(c *Client) error { return c.ArchiveWorkflow(ctx, "w") }, "DELETE /workflows/w {}"},
		{"trigger", func(c *Client) error {
			_, err := c.Trigger(ctx, "w", TriggerRequest{Params: map[string]json.RawMessage{"n": json.RawMessage("1")}}, "k")
			return err
		}, `POST /trigger/w {"params":{"n":1}} Idempotency-Key=k`},
		{"cancel", func(c *Client) error { _, err := c.Cancel(ctx, "w.1", CancelRequest{}); return err }, "POST /trigger/runs/w.1/cancel {}"},
		{"run", func(c *Client) error { _, err := c.Run(ctx, "w.1"); return err }, "GET /status/runs/w.1"},
		{"runs", func(c *Client) error {
			_, err := c.Runs(ctx, RunFilter{Workflow: "w", Status: "failed", Page: page})
			return err
		}, "GET /status/runs?page_size=7&page_token=a+b&status=failed&workflow=w"},
		{"tasks", func(c *Client) error {
			_, err := c.Tasks(ctx, "w.1", TaskFilter{Step: "main", Status: "failed"})
			return err
		}, "GET /status/runs/w.1/tasks?status=failed&step=main"},
		{"executions", func(c *Client) error { _, err := c.Executions(ctx, "w.1", Page{}); return err }, "GET /status/runs/w.1/executions"},
		{"events", func(c *Client) error { _, err := c.Events(ctx, "w.1", Page{}); return err }, "GET /status/runs/w.1/events"},
		{"tick", func(c *Client) error { _, err := c.Tick(ctx); return err }, "POST /tick/ {}"},
		{"doctor", func(c *Client) error { _, err := c.Doctor(ctx, DoctorRequest{}); return err }, "GET /tick/doctor"},
		{"doctor of jobs", func(c *Client) error { _, err := c.Doctor(ctx, DoctorRequest{Cloud: true}); return err }, "GET /tick/doctor?cloud=true"},
		{"doctor with fixes", func(c *Client) error { _, err := c.Doctor(ctx, DoctorRequest{Fix: true}); return err }, "POST /tick/doctor {}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got string
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got = strings.TrimSpace(r.Method + " " + r.RequestURI + " " + string(body))
				for _, name := range []string{"If-None-Match", IdempotencyKeyHeader} {
					if v := r.Header.Get(name); v != "" {
						got += " " + name + "=" + v
					}
				}
				if (r.Method != http.MethodGet) != (r.Header.Get("Content-Type") == "application/json") {
					t.Errorf("%s has Content-Type %q", r.Method, r.Header.Get("Content-Type"))
				}
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, `{"mode":"mock","installation":"i","phases":[],"findings":[],"checked":{"installation":"i"}}`)
			})
			if err := tt.call(c); err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestURLIsATemplateOrABase(t *testing.T) {
	t.Parallel()
	tests := []struct{ url, want string }{
		{"http://localhost:8080", "http://localhost:8080/status/runs/w.1"},
		{"http://localhost:8080/", "http://localhost:8080/status/runs/w.1"},
		{"https://example.com/team", "https://example.com/team/status/runs/w.1"},
		{"https://orchestrator-{function}-1.run.app", "https://orchestrator-status-1.run.app/runs/w.1"},
		{"https://orchestrator-{function}-1.run.app/", "https://orchestrator-status-1.run.app/runs/w.1"},
		{"https://example.com/{function}/v1", "https://example.com/status/v1/runs/w.1"},
	}
	for _, tt := range tests {
		t.Run(tt.url, func(t *testing.T) {
			t.Parallel()
			var got string
			c := newTestClient(t, Options{URL: tt.url, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				got = r.URL.String()
				return answerJSON(200, `{}`)(r)
			})})
			if _, err := c.Run(t.Context(), "w.1"); err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestURLThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "localhost:8080", "ftp://localhost", "http://", "http://h/?a=b", "http://h/#x", "http://a b"} {
		if _, err := NewClient(Options{URL: url}); err == nil {
			t.Errorf("%q was accepted", url)
		}
	}
}

func TestTokenGoesToOtherMachinesOverHTTPSAlone(t *testing.T) {
	t.Parallel()
	tests := []struct{ url, wantAudience, wantHeader string }{
		{"https://x-{function}.run.app", "https://x-status.run.app", "Bearer secret"},
		{"https://example.com/base", "https://example.com", "Bearer secret"},
		{"http://example.com", "", ""},
		{"https://localhost:8443", "", ""},
		{"https://127.0.0.1:8443", "", ""},
		{"https://[::1]:8443", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.url, func(t *testing.T) {
			t.Parallel()
			var audience, header string
			c := newTestClient(t, Options{
				URL:   tt.url,
				Token: func(_ context.Context, a string) (string, error) { audience = a; return "secret", nil },
				Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					header = r.Header.Get("Authorization")
					return answerJSON(200, `{}`)(r)
				}),
			})
			if _, err := c.Run(t.Context(), "w.1"); err != nil {
				t.Fatal(err)
			}
			if audience != tt.wantAudience || header != tt.wantHeader {
				t.Errorf("audience %q, header %q", audience, header)
			}
		})
	}
}

func TestTokenThatCannotBeHadIsAnErrorBeforeAnyRequest(t *testing.T) {
	t.Parallel()
	c := newTestClient(t, Options{
		URL:       "https://example.com",
		Token:     func(context.Context, string) (string, error) { return "", errors.New("signed out") },
		Transport: roundTrip(func(*http.Request) (*http.Response, error) { t.Error("a request was sent"); return nil, io.EOF }),
	})
	_, err := c.Run(t.Context(), "w.1")
	if err == nil || !strings.Contains(err.Error(), "ID token for https://example.com: signed out") || errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

func TestNamesThatAPathWouldLoseAreRefused(t *testing.T) {
	t.Parallel()
	c := newTestClient(t, Options{Transport: roundTrip(func(*http.Request) (*http.Response, error) { t.Error("a request was sent"); return nil, io.EOF })})
	for _, name := range []string{"", ".", ".."} {
		var p *Problem
		if _, err := c.Workflow(t.Context(), name); !errors.As(err, &p) || p.Status != 422 {
			t.Errorf("workflow %q: %v", name, err)
		}
		if _, err := c.Run(t.Context(), name); !errors.As(err, &p) || p.Status != 422 {
			t.Errorf("run %q: %v", name, err)
		}
	}
}

func TestPutSaysWhetherTheWorkflowIsNew(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]bool{http.StatusCreated: true, http.StatusOK: false} {
		c := newTestClient(t, Options{Transport: answerJSON(status, `{"name":"w","version":3}`)})
		w, created, err := c.PutWorkflow(t.Context(), "w", []byte("{}"), false)
		if err != nil || created != want || w.Version != 3 {
			t.Errorf("%d: %+v %v %v", status, w, created, err)
		}
	}
}

func TestProblemIsTheError(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprint(w, `{"title":"Unprocessable Entity","detail":"the definition is wrong","errors":[{"message":"write 1 to 1,000,000","location":"body.tasks.count"},{"message":"no"}]}`)
	})
	_, _, err := c.PutWorkflow(t.Context(), "w", []byte("{}"), true)
	var p *Problem
	if !errors.As(err, &p) || p.Status != http.StatusUnprocessableEntity {
		t.Fatalf("got %v", err)
	}
	if got, want := err.Error(), "the definition is wrong; tasks.count: write 1 to 1,000,000; no"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if Temporary(err) {
		t.Error("it is temporary")
	}
}

func TestProblemSaysItsIDAndFallsBackToTheTitle(t *testing.T) {
	t.Parallel()
	p := &Problem{Title: "Internal Server Error", Status: 500, ID: "x1"}
	if got, want := p.Error(), "internal server error (id x1 in its log)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAnswersOfOtherProgramsAreForeign(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, media, body string
		status            int
		wantText          string
		temporary         bool
	}{
		{"a page", "text/html", "<html>", 200, "does not answer like an orchestrator (200 OK, text/html)", false},
		{"another program's 404", "text/plain", "not found", 404, "does not answer like an orchestrator (404 Not Found, text/plain)", false},
		{"another program's JSON", "application/json", `{"hello":"world"}`, 200, "does not answer like an orchestrator (200 OK, application/json)", false},
		{"another program's JSON error", "application/json", `{"error":"no"}`, 404, "does not answer like an orchestrator (404 Not Found, application/json)", false},
		{"broken JSON", "application/json", `{"mode":`, 200, "does not answer like an orchestrator", false},
		{"nothing at all", "", "", 200, "does not answer like an orchestrator (200 OK)", false},
		{"Cloud Run's front end", "text/html", "<html>", 403, "refused the request before it reached the orchestrator (403 Forbidden)", false},
		{"a sign-in page", "text/html", "", 302, "sends us elsewhere (302 Found)", false},
		{"no instance", "text/html", "", 503, "is not available at the moment (503 Service Unavailable)", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{tt.media}
				w.Header().Set("Location", "https://accounts.example.com/")
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.body)
			})
			_, err := c.Overview(t.Context())
			var f *Foreign
			if !errors.As(err, &f) || !strings.Contains(err.Error(), tt.wantText) {
				t.Fatalf("got %v", err)
			}
			if Temporary(err) != tt.temporary {
				t.Errorf("temporary is %v", Temporary(err))
			}
			if errors.Is(err, ErrUnreachable) {
				t.Error("it counts as unreachable")
			}
		})
	}
}

func TestNothingListeningIsUnreachableAndNeverSent(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	l.Close()
	_, err = newTestClient(t, Options{URL: url}).Trigger(t.Context(), "w", TriggerRequest{}, "")
	var u *UnreachableError
	if !errors.Is(err, ErrUnreachable) || !errors.As(err, &u) || !u.NeverSent() {
		t.Fatalf("got %v", err)
	}
	if got, want := err.Error(), "cannot reach the orchestrator at "+url+": connection refused"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestConnectionCutIsUnreachableAndPerhapsSent(t *testing.T) {
	t.Parallel()
	tests := map[string]http.HandlerFunc{
		"before the answer": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"in the answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(http.StatusOK)
			fmt.Fprint(w, `{"id":`)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
	}
	for name, h := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := serve(t, h).Trigger(t.Context(), "w", TriggerRequest{}, "k")
			var u *UnreachableError
			if !errors.As(err, &u) || u.NeverSent() || !strings.Contains(err.Error(), "the connection broke") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestServerThatNeverAnswersIsUnreachableAfterTheTimeout(t *testing.T) {
	t.Parallel()
	silent := roundTrip(func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() })
	_, err := newTestClient(t, Options{Transport: silent, Timeout: time.Millisecond}).Run(t.Context(), "w.1")
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "no answer within 1ms") {
		t.Errorf("got %v", err)
	}
}

func TestCallerWhoGivesUpIsNotAnUnreachableServer(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	silent := roundTrip(func(r *http.Request) (*http.Response, error) {
		cancel()
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	_, err := newTestClient(t, Options{Transport: silent}).Run(ctx, "w.1")
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
func (endless) Close() error               { return nil }

func TestAnswerHasALimit(t *testing.T) {
	t.Parallel()
	c := newTestClient(t, Options{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: endless{}}, nil
	})})
	if _, err := c.Run(t.Context(), "w.1"); err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("got %v", err)
	}
}

func TestTickGivesItsReportAlsoWhenPhasesFailed(t *testing.T) {
	t.Parallel()
	c := newTestClient(t, Options{Transport: answerJSON(500, `{"passes":1,"moved":4,"phases":[{"phase":"pack","moved":4,"took_ms":1}],"errors":["launch: no"]}`)})
	report, err := c.Tick(t.Context())
	var failed *TickError
	if !errors.As(err, &failed) || err.Error() != "tick: launch: no" {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]PhaseReport{{Phase: "pack", Moved: 4, TookMS: 1}}, report.Phases); diff != "" || report.Moved != 4 {
		t.Errorf("report %+v %s", report, diff)
	}
}

func TestTickThatDidNotRunIsAProblem(t *testing.T) {
	t.Parallel()
	c := newTestClient(t, Options{Transport: answerJSON(500, `{"title":"Internal Server Error","detail":"the database does not answer"}`)})
	_, err := c.Tick(t.Context())
	var p *Problem
	if !errors.As(err, &p) || p.Status != 500 {
		t.Errorf("got %v", err)
	}
}

func TestDoctorTakesNoOtherJSONForItsReport(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{}`, `{"findings":[]}`, `{"findings":null,"checked":{"installation":"i"}}`, `[]`} {
		var foreign *Foreign
		if _, err := newTestClient(t, Options{Transport: answerJSON(200, body)}).Doctor(t.Context(), DoctorRequest{}); !errors.As(err, &foreign) {
			t.Errorf("%s gives %v", body, err)
		}
	}
	r, err := newTestClient(t, Options{Transport: answerJSON(200, `{"findings":[{"kind":"rule"},{"kind":"orphan","fixed":true}],"checked":{"installation":"i"}}`)}).Doctor(t.Context(), DoctorRequest{Fix: true})
	if err != nil || len(r.Findings) != 2 || r.Unfixed() != 1 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestPasswordInTheURLIsNotShown(t *testing.T) {
	t.Parallel()
	refuse := roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("no") })
	_, err := newTestClient(t, Options{URL: "http://joe:secret@example.com", Transport: refuse}).Run(t.Context(), "w.1")
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
