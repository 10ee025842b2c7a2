package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloud-run-orchestrator/internal/lifecycle"
)

// users makes a database user for each function, and gives each what the migration gives it.
func (w *world) users() (ofFunction map[string]string) {
	w.t.Helper()
	ofFunction = map[string]string{}
	settings := []string{}
	for _, f := range functionsAt {
		user := fmt.Sprintf("%s_%s", f.name, strings.ToLower(w.db.Name))
		ofFunction[f.name] = user
		settings = append(settings, "DATABASE_USER_"+strings.ToUpper(f.name)+"="+user)
		w.exec(fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'secret'", user))
		w.t.Cleanup(func() { w.exec(fmt.Sprintf("DROP OWNED BY %s; DROP ROLE %s", user, user)) })
	}
	run(w.t, migrate, w.with(settings...), "up").ok().shows("granted the users of the four functions")
	return ofFunction
}

// serveApart starts each function as a process of its own, with its own user, behind one address that passes /FUNCTION/… on to it.
func (w *world) serveApart(users map[string]string) {
	w.t.Helper()
	front := http.NewServeMux()
	for _, f := range functionsAt {
		address := freeAddress(w.t)
		p := start(w.t, server, w.with("FUNCTION_TARGET="+f.name, "ORCHESTRATOR_LISTEN="+address, "ORCHESTRATOR_TICK_BUDGET=2s",
			fmt.Sprintf("DATABASE_URL=%s user=%s password=secret", w.db.DSN, users[f.name])))
		awaitListening(w.t, p, address)
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: address}) }}
		front.Handle("/"+f.name+"/", http.StripPrefix("/"+f.name, proxy))
	}
	s := httptest.NewServer(front)
	w.t.Cleanup(s.Close)
	w.url = s.URL
}

func TestEveryFunctionWorksWithTheRightsOfItsOwnUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Emulator)
	w.serveApart(w.users())

	w.workflow("good", "instant", 3)
	w.workflow("bad", "failing", 2)
	w.workflow("long", "slow", 2)
	w.workflow("gone", "no-such-job", 1)
	file := filepath.Join(t.TempDir(), "good.yaml")
	if err := os.WriteFile(file, []byte("name: good\njob: {name: instant}\ntasks: {count: 4}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.cli("apply", "-f", file).ok().shows("version 2")
	w.cli("list-workflows").ok().shows("good")

	w.cli("trigger", "good", "--key", "once").ok()
	w.cli("trigger", "good", "--key", "once").ok()
	for _, name := range []string{"bad", "long", "gone"} {
		w.cli("trigger", name).ok()
	}
	w.tickUntil("good.1", "success")
	w.tickUntil("bad.1", "failed")
	w.tickUntil("gone.1", "failed")
	w.cli("cancel", "long.1").ok()
	w.tickUntil("long.1", "cancelled")

	w.cli("status").ok().shows("good.1", "bad.1", "long.1", "gone.1")
	w.cli("status", "gone.1").shows("no-such-job")
	w.cli("tasks", "bad.1").ok().shows("exit code 1")
	for _, path := range []string{"/status/", "/status/runs/good.1/executions", "/status/runs/long.1/events", "/status/openapi.json", "/workflows/good/versions"} {
		answers(t, http.MethodGet, w.url+path, http.StatusOK, "")
	}
	w.cli("doctor", "--fix").shows("rules of the data")
	archive, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, w.url+"/workflows/bad", nil)
	if err != nil {
		t.Fatal(err)
	}
	archive.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(archive)
	if err != nil || res.StatusCode >= 300 {
		t.Fatalf("archive: %v %v", res, err)
	}
	_ = res.Body.Close()
}

// tickUntil ticks until a run has this status.
func (w *world) tickUntil(ref, status string) {
	w.t.Helper()
	eventually(w.t, ref+" is "+status, func() (bool, string) {
		w.cli("tick").ok()
		got := w.run(ref)
		return got.Status == status, got.Status
	})
}
