package functions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// within calls a handler through Transport.
func within(t *testing.T, h http.HandlerFunc, method, body string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://localhost:8080/status/runs?a=1", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: Transport(h)}
	return client.Do(req)
}

func TestTransportCarriesRequestAndAnswer(t *testing.T) {
	t.Parallel()
	res, err := within(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", fmt.Sprintf("%s %s %s %s %v", r.Method, r.Host, r.RequestURI, body, err))
		w.WriteHeader(http.StatusCreated)
		w.Header().Set("X-Late", "yes")
		_, _ = io.WriteString(w, "one ")
		_, _ = io.WriteString(w, "two")
	}, http.MethodPost, "hello")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := []any{res.StatusCode, res.Status, res.Header, string(body)}
	want := []any{201, "201 Created", http.Header{"X-Seen": {"POST localhost:8080 /status/runs?a=1 hello <nil>"}}, "one two"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestTransportGivesAnswersWithoutABody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, method string
		handler      http.HandlerFunc
		status       int
	}{
		{"a handler that does nothing", "GET", func(http.ResponseWriter, *http.Request) {}, 200},
		{"204", "DELETE", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, 204},
		{"HEAD", "HEAD", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 1<<20)) }, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			res, err := within(t, c.handler, c.method, "")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if body, err := io.ReadAll(res.Body); res.StatusCode != c.status || len(body) > 0 || err != nil {
				t.Errorf("status %d, %d bytes, %v", res.StatusCode, len(body), err)
			}
		})
	}
}

func TestTransportStreams(t *testing.T) {
	t.Parallel()
	read := make(chan struct{})
	res, err := within(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first")
		<-read // the handler goes on only when its first words have arrived
		_, _ = io.WriteString(w, "second")
	}, http.MethodGet, "")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	first := make([]byte, len("first"))
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "first" {
		t.Fatalf("%q %v", first, err)
	}
	close(read)
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "second" {
		t.Errorf("%q %v", rest, err)
	}
}

func TestTransportTellsTheHandlerThatTheCallerIsGone(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	res, err := within(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		<-r.Context().Done()
		close(gone)
	}, http.MethodGet, "")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	<-gone
}

func TestTransportGivesUpWithTheCaller(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp, ended := make(chan struct{}), make(chan error, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
		<-gaveUp
		_, err := io.WriteString(w, "nobody reads this")
		ended <- err
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := Transport(h).RoundTrip(req); !errors.Is(err, context.Canceled) {
		t.Errorf("response %v, error %v", res, err)
	}
	close(gaveUp)
	if err := <-ended; err == nil {
		t.Error("the handler wrote to nobody without an error")
	}
}

func TestTransportMakesAPanicAnError(t *testing.T) {
	t.Parallel()
	if _, err := within(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, http.MethodGet, ""); err == nil {
		t.Error("an answer that never began is no error")
	}
	res, err := within(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic(http.ErrAbortHandler)
	}, http.MethodGet, "")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("the half answer %q looks whole", body)
	}
}

func TestTransportServesTheFunctions(t *testing.T) {
	t.Parallel()
	f, _ := withoutEngine(Options{})
	client := http.Client{Transport: Transport(f.All())}
	res, err := client.Get("http://localhost:8080/status/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); res.StatusCode != 200 || err != nil || !strings.Contains(string(body), `"openapi":"3.1.0"`) {
		t.Errorf("status %d, %v", res.StatusCode, err)
	}
	res, err = client.Post("http://localhost:8080/tick", "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusInternalServerError {
		t.Errorf("a tick without an engine: status %d", res.StatusCode)
	}
}

func TestTransportCompletesABareRequest(t *testing.T) {
	t.Parallel()
	var seen string
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		seen = fmt.Sprintf("%s %s %v %d %v", r.Method, r.Host, r.Header != nil, len(body), err)
	})
	res, err := Transport(h).RoundTrip(&http.Request{URL: &url.URL{Scheme: "http", Host: "localhost:8080", Path: "/status"}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err != nil || seen != "GET localhost:8080 true 0 <nil>" {
		t.Errorf("the handler saw %q, %v", seen, err)
	}
}
