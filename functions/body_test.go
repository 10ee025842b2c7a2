package functions

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"cloud-run-orchestrator/internal/api"

	"github.com/google/go-cmp/cmp"
)

func TestRequestsAreRefusedWithOneSentence(t *testing.T) {
	t.Parallel()
	f, _ := withoutEngine(Options{})
	url := listen(t, f.All())
	const allowedRuns = "allowed: workflow, status, page_size, page_token"
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		detail, location         string
	}{
		{"broken JSON", "POST", "/trigger/a", "{\n \"params\": }", 400, "the body is not valid JSON at line 2, column 12: invalid character '}' looking for beginning of value", ""},
		{"broken JSON of a definition", "PUT", "/workflows/a", "{", 400, "the body is not valid JSON at line 1, column 1: unexpected end of JSON input", ""},
		{"two JSON values", "POST", "/tick", "{} {}", 400, "the body is not valid JSON at line 1, column 4: invalid character '{' after top-level value", ""},
		{"not UTF-8", "POST", "/trigger/a", "{\"params\":{\"a\":\"\xff\"}}", 400, "the body is not UTF-8; send JSON in UTF-8", ""},
		{"no definition", "PUT", "/workflows/a", "", 400, "the body is empty; send a JSON object", ""},
		{"a list as a body", "POST", "/trigger/a", "[]", 422, "the body must be an object", "body"},
		{"null as a body", "POST", "/trigger/a", "null", 422, "the body must be an object", "body"},
		{"an unknown field", "POST", "/trigger/a", `{"prams":{}}`, 422, `unknown field "prams"; allowed: params`, "body.prams"},
		{"an unknown field where there are none", "POST", "/tick", `{"force":true}`, 422, `unknown field "force"; none is allowed here`, "body.force"},
		{"a field of a wrong type", "POST", "/trigger/a", `{"params":3}`, 422, "params must be an object", "body.params"},
		{"a text of a wrong type", "POST", "/trigger/runs/a.1/cancel", `{"reason":3}`, 422, "reason must be a text of at most 500 characters", "body.reason"},
		{"a text too long", "POST", "/trigger/runs/a.1/cancel", `{"reason":"` + strings.Repeat("é", 501) + `"}`, 422, "reason must be a text of at most 500 characters", "body.reason"},
		{"an unknown query parameter", "GET", "/status/runs?staus=failed", "", 422, `unknown query parameter "staus"; ` + allowedRuns, "query.staus"},
		{"a status that is none", "GET", "/status/runs?status=done", "", 422, "status must be pending, running, success, failed or cancelled", "query.status"},
		{"a page size that is no number", "GET", "/workflows?page_size=all", "", 422, "page_size must be a whole number from 1 to 1000", "query.page_size"},
		{"a page size too large", "GET", "/workflows?page_size=1001", "", 422, "page_size must be a whole number from 1 to 1000", "query.page_size"},
		{"a page size too small", "GET", "/workflows?page_size=0", "", 422, "page_size must be a whole number from 1 to 1000", "query.page_size"},
		{"executions of no run", "GET", "/status/executions", "", 422, "the query parameter run is missing; it must be a text of at most 200 characters", "query.run"},
		{"NUL in the path", "GET", "/workflows/a%00", "", 400, "the address contains bytes that are not text; use UTF-8 without NUL", ""},
		{"bytes in the query", "GET", "/status/runs?workflow=%ff", "", 400, "the address contains bytes that are not text; use UTF-8 without NUL", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := send(t, c.method, url+c.path, c.body)
			p := a.problem(t)
			if a.status != c.status || p.Detail != c.detail {
				t.Errorf("%d %q, want %d %q", a.status, p.Detail, c.status, c.detail)
			}
			var want []api.ProblemField
			if c.location != "" {
				want = []api.ProblemField{{Message: c.detail, Location: c.location}}
			}
			if d := cmp.Diff(want, p.Errors); d != "" {
				t.Errorf("errors: -want +got\n%s", d)
			}
		})
	}
}

func TestAllFaultsOfARequestAreListed(t *testing.T) {
	t.Parallel()
	f, _ := withoutEngine(Options{})
	p := send(t, http.MethodPost, listen(t, f.All())+"/trigger/a", `{"x":1,"params":[],"b":2}`, "Idempotency-Key", strings.Repeat("k", 256)).problem(t)
	want := []api.ProblemField{
		{Message: `unknown field "b"; allowed: params`, Location: "body.b"},
		{Message: "params must be an object", Location: "body.params"},
		{Message: `unknown field "x"; allowed: params`, Location: "body.x"},
		{Message: "Idempotency-Key must be at most 255 printable ASCII characters", Location: "header.Idempotency-Key"},
	}
	if d := cmp.Diff(want, p.Errors); d != "" {
		t.Errorf("errors: -want +got\n%s", d)
	}
	if p.Detail != `the request has 4 faults; the first: unknown field "b"; allowed: params` {
		t.Errorf("detail %q", p.Detail)
	}
}

func TestHeadersAreChecked(t *testing.T) {
	t.Parallel()
	f, _ := withoutEngine(Options{})
	url := listen(t, f.All())
	for _, c := range []struct {
		name, method, path, header, value string
		status                            int
		detail                            string
	}{
		{"no media type", "POST", "/trigger/a", "Content-Type", "", 415, "the header Content-Type is missing; send Content-Type: application/json, also without a body"},
		{"a form's media type", "POST", "/trigger/a", "Content-Type", "application/x-www-form-urlencoded", 415, `the body's media type is "application/x-www-form-urlencoded"; send Content-Type: application/json`},
		{"a tick without a media type", "POST", "/tick", "Content-Type", "", 415, "the header Content-Type is missing; send Content-Type: application/json, also without a body"},
		{"a tick with plain text", "POST", "/tick", "Content-Type", "text/plain", 415, `the body's media type is "text/plain"; send Content-Type: application/json`},
		{"a deletion without a media type", "DELETE", "/workflows/a", "Content-Type", "", 415, "the header Content-Type is missing; send Content-Type: application/json, also without a body"},
		{"a compressed body", "PUT", "/workflows/a", "Content-Encoding", "gzip", 415, `the body's encoding is "gzip"; send it without Content-Encoding`},
		{"JSON in a charset", "POST", "/tick", "Content-Type", "application/json; charset=utf-8", 500, ""},
		{"a key with a tab", "POST", "/trigger/a", "Idempotency-Key", "a\tb", 422, "Idempotency-Key must be at most 255 printable ASCII characters"},
		{"a key that is not ASCII", "POST", "/trigger/a", "Idempotency-Key", "schlüssel", 422, "Idempotency-Key must be at most 255 printable ASCII characters"},
		{"the longest key", "POST", "/trigger/a", "Idempotency-Key", strings.Repeat("~", 255), 500, ""},
		{"a condition on a digest", "PUT", "/workflows/a", "If-None-Match", `"abc"`, 422, "If-None-Match must be *"},
		{"the condition that is allowed", "PUT", "/workflows/a", "If-None-Match", "*", 500, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			body := ""
			if c.method == http.MethodPut {
				body = definition
			}
			a := send(t, c.method, url+c.path, body, c.header, c.value)
			if p := a.problem(t); a.status != c.status || c.detail != "" && p.Detail != c.detail {
				t.Errorf("%d %q, want %d %q", a.status, p.Detail, c.status, c.detail)
			}
		})
	}
}

// counted counts what is read of an endless body of spaces.
type counted struct{ read atomic.Int64 }

func (c *counted) Read(b []byte) (int, error) {
	c.read.Add(int64(len(b)))
	copy(b, bytes.Repeat([]byte(" "), len(b)))
	return len(b), nil
}

func TestALargeBodyIsRefusedWithoutReadingItAll(t *testing.T) {
	t.Parallel()
	f, _ := withoutEngine(Options{})
	url := listen(t, f.All())
	for _, c := range []struct {
		name, method, path string
		length             int64 // -1: not announced
		detail             string
	}{
		{"a definition of 2 MiB", "PUT", "/workflows/a", 2 << 20, "the body is too large; a workflow's definition has at most 1 MiB"},
		{"a definition of unknown length", "PUT", "/workflows/a", -1, "the body is too large; a workflow's definition has at most 1 MiB"},
		{"another body", "POST", "/trigger/a", 64<<10 + 1, "the body is too large; this request has at most 64 KiB"},
		{"another body of unknown length", "POST", "/tick", -1, "the body is too large; this request has at most 64 KiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var body counted
			var from io.Reader = &body
			if c.length > 0 {
				from = io.LimitReader(from, c.length)
			}
			req, err := http.NewRequestWithContext(t.Context(), c.method, url+c.path, from)
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = c.length
			req.Header.Set("Content-Type", "application/json")
			a := do(t, req)
			if p := a.problem(t); a.status != http.StatusRequestEntityTooLarge || p.Detail != c.detail || !a.closed {
				t.Errorf("%d %+v, closed %v", a.status, p, a.closed)
			}
			// The rest of what was sent is in the buffers of two sockets.
			if sent := body.read.Load(); c.length < 0 && sent > 16<<20 {
				t.Errorf("%d bytes were taken", sent)
			}
		})
	}
}

func TestABodyOfExactlyTheLimitIsRead(t *testing.T) {
	t.Parallel()
	f, _ := withoutEngine(Options{})
	url := listen(t, f.All())
	if a := send(t, http.MethodPut, url+"/workflows/a", definition+strings.Repeat(" ", api.MaxDefinitionBytes-len(definition))); a.status != http.StatusInternalServerError {
		t.Errorf("a definition of 1 MiB: %d %s", a.status, a.body)
	}
	if a := send(t, http.MethodPost, url+"/trigger/a", "{}"+strings.Repeat(" ", api.MaxBodyBytes-2)); a.status != http.StatusInternalServerError {
		t.Errorf("a body of 64 KiB: %d %s", a.status, a.body)
	}
}

// deadlines is a response writer over a connection: it takes note of the read deadlines that it is given.
type deadlines struct {
	statusProbe
	set []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

func TestASlowOrBrokenBodyIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		err    error
		status int
		detail string
	}{
		{"a whole body", io.EOF, 0, ""},
		{"a slow body", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, http.StatusRequestTimeout, "the body did not arrive within 30s; send it again"},
		{"a body that ends too early", io.ErrUnexpectedEOF, http.StatusBadRequest, "the body ended too early; send it again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/tick", io.MultiReader(strings.NewReader("{}"), iotest.ErrReader(c.err)))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			var w deadlines
			began := time.Now()
			_, p := readBody(&w, r)
			if c.status == 0 && p != nil || c.status != 0 && (p == nil || p.Status != c.status || p.Detail != c.detail) {
				t.Errorf("got %v", p)
			}
			if len(w.set) != 2 || w.set[0].Before(began.Add(bodyTime)) || !w.set[1].IsZero() {
				t.Errorf("deadlines %v", w.set)
			}
		})
	}
}

func TestABodyThatSaysItIsTooLargeIsNotRead(t *testing.T) {
	t.Parallel()
	var body counted
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "/workflows/a", &body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength = api.MaxDefinitionBytes + 1
	if _, p := readBody(&deadlines{}, r); p == nil || p.Status != http.StatusRequestEntityTooLarge || body.read.Load() > 0 {
		t.Errorf("%v after %d bytes", p, body.read.Load())
	}
}
