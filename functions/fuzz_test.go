package functions_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/app"
	"cloud-run-orchestrator/internal/config"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/testdb"
)

// FuzzRequest: no method, address, header or body makes the four functions fail. What they refuse they refuse with a problem, in words that can be shown.
// The whole orchestrator answers, in mock mode, with its database.
func FuzzRequest(f *testing.F) {
	env := map[string]string{"ORCHESTRATOR_MODE": "mock", "DATABASE_URL": testdb.New(f, testdb.Mode(lifecycle.Mock)).DSN, "ORCHESTRATOR_TICK_BUDGET": "1s"}
	cfg, err := config.Load(func(name string) string { return env[name] })
	if err != nil {
		f.Fatal(err)
	}
	var log bytes.Buffer
	a, err := app.Open(f.Context(), cfg, "v1", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := a.Close(); err != nil {
			f.Errorf("close: %v", err)
		}
	})
	h := a.Functions.All()
	for _, r := range []struct{ method, target, body string }{{"PUT", "/workflows/nightly", nightly}, {"POST", "/trigger/nightly", "{}"}, {"POST", "/tick", "{}"}} {
		if res := request(f, h, r.method, r.target, "", []byte(r.body)); res.Code >= 300 {
			f.Fatalf("%s %s: %d %s", r.method, r.target, res.Code, res.Body)
		}
	}
	f.Fuzz(func(t *testing.T, method, target, key string, body []byte) {
		log.Reset()
		res := request(t, h, method, target, key, body)
		if res == nil {
			return // no HTTP request
		}
		if res.Code >= 500 {
			t.Fatalf("%s %q with the body %q: %d %s\n%s", method, target, body, res.Code, res.Body, log.String())
		}
		if res.Code < 400 {
			return
		}
		var p api.Problem
		if err := json.Unmarshal(res.Body.Bytes(), &p); method != http.MethodHead && (err != nil || p.Status != res.Code || p.Detail == "" || !utf8.ValidString(p.Detail)) {
			t.Fatalf("%s %q: %d with %q, which is no problem: %v", method, target, res.Code, res.Body, err)
		}
		if media := res.Header().Get("Content-Type"); media != "application/problem+json" {
			t.Fatalf("%s %q: %d as %q", method, target, res.Code, media)
		}
	})
}

// request makes a request as it arrives; nil where net/http would not let it in.
func request(t testing.TB, h http.Handler, method, target, key string, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://localhost"+target, bytes.NewReader(body))
	if err != nil || !strings.HasPrefix(target, "/") {
		return nil
	}
	r.RequestURI = r.URL.RequestURI()
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	res := httptest.NewRecorder()
	h.ServeHTTP(res, r)
	return res
}
