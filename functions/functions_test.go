package functions

import (
	"net/http"
	"strings"
	"testing"
)

// definition is the smallest one of a workflow nightly.
const definition = `{"name":"nightly","job":{"project":"p1","region":"us-central1","name":"load"},"tasks":{"count":2}}`

// routes are all requests that reach the engine, below the function's name.
func routes() []struct{ function, method, path, body string } {
	return []struct{ function, method, path, body string }{
		{"workflows", "GET", "/", ""},
		{"workflows", "GET", "/?page_size=1000", ""},
		{"workflows", "GET", "/nightly", ""},
		{"workflows", "PUT", "/nightly", definition},
		{"workflows", "DELETE", "/nightly", ""},
		{"workflows", "GET", "/nightly/versions", ""},
		{"trigger", "POST", "/nightly", `{"params":{"day":"2026-01-01"}}`},
		{"trigger", "POST", "/nightly", ""},
		{"trigger", "POST", "/runs/nightly.1/cancel", `{"reason":"wrong day"}`},
		{"trigger", "POST", "/runs/nightly.1/cancel", ""},
		{"status", "GET", "/", ""},
		{"status", "GET", "/runs?workflow=nightly&status=failed&page_size=1", ""},
		{"status", "GET", "/runs/nightly.1", ""},
		{"status", "GET", "/runs/nightly.1/tasks?step=main&status=failed", ""},
		{"status", "GET", "/runs/nightly.1/executions", ""},
		{"status", "GET", "/runs/nightly.1/events", ""},
		{"status", "GET", "/executions?run=nightly.1", ""},
		{"status", "GET", "/events", ""},
		{"status", "GET", "/events?run=nightly.1", ""},
		{"tick", "POST", "/", ""},
		{"tick", "POST", "/", "{}"},
		{"tick", "GET", "/doctor", ""},
		{"tick", "GET", "/doctor?cloud=true", ""},
		{"tick", "POST", "/doctor", ""},
		{"tick", "POST", "/doctor?cloud=true", "{}"},
		{"tick", "POST", "/doctor", "{}"},
	}
}

func TestEveryRouteReachesTheEngineBothWays(t *testing.T) {
	t.Parallel()
	f, log := withoutEngine(Options{})
	all := listen(t, f.All())
	for _, name := range Names() {
		alone := listen(t, f.Handler(name))
		for _, r := range routes() {
			if r.function != name {
				continue
			}
			path, query, _ := strings.Cut(r.path, "?")
			bare := strings.TrimSuffix(path, "/")
			for _, url := range []string{alone + bare, alone + bare + "/", all + "/" + name + bare, all + "/" + name + bare + "/"} {
				url += "?" + query
				a := send(t, r.method, url, r.body)
				if a.status != http.StatusInternalServerError {
					t.Errorf("%s %s: %d %s", r.method, url, a.status, a.body)
					continue
				}
				if p := a.problem(t); p.ID == "" || !strings.Contains(log.String(), "id="+p.ID) {
					t.Errorf("%s %s: the log does not have the id of %+v", r.method, url, p)
				}
			}
		}
	}
}

func TestWhatIsNotRoutedIsAProblem(t *testing.T) {
	t.Parallel()
	f, _ := withoutEngine(Options{})
	all, status := listen(t, f.All()), listen(t, f.Handler("status"))
	for _, c := range []struct {
		name, method, url, allow, detail string
		code                             int
	}{
		{"the root of all functions", "GET", all + "/", "", `there is nothing at "/"; the functions are workflows, trigger, status and tick`, 404},
		{"an unknown function", "GET", all + "/statsu", "", `there is nothing at "/statsu"`, 404},
		{"an unknown path below a function", "GET", all + "/status/runs/a.1/nothing", "", "there is nothing at", 404},
		{"another function than the one that is served", "GET", status + "/workflows", "", "there is nothing at", 404},
		{"a function's own name below it", "GET", status + "/status", "", "there is nothing at", 404},
		{"two slashes", "GET", all + "/status//runs", "", "there is nothing at", 404},
		{"a way up", "POST", status + "/../tick", "", "there is nothing at", 404},
		{"what comes later", "POST", all + "/workflows/nightly/pause", "", "there is nothing at", 404},
		{"a method that a path does not have", "DELETE", all + "/trigger/nightly", "POST", `DELETE is not possible on "/trigger/nightly"; allowed: POST`, 405},
		{"a method that the overview does not have", "POST", status + "/", "GET, HEAD", "allowed: GET, HEAD", 405},
		{"several methods", "POST", all + "/workflows/nightly", "DELETE, GET, HEAD, PUT", "allowed: DELETE, GET, HEAD, PUT", 405},
		{"a preflight", "OPTIONS", all + "/tick", "POST", "allowed: POST", 405},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := send(t, c.method, c.url, "")
			if p := a.problem(t); a.status != c.code || !strings.Contains(p.Detail, c.detail) || a.header.Get("Allow") != c.allow {
				t.Errorf("%d %+v, Allow %q; want %d %q", a.status, p, a.header.Get("Allow"), c.code, c.detail)
			}
		})
	}
}

func TestAnEscapedNameStaysOneSegment(t *testing.T) {
	t.Parallel()
	f, _ := withoutEngine(Options{})
	var got string
	f.mux.HandleFunc("GET /status/probe/{name}", func(_ http.ResponseWriter, r *http.Request) { got = r.PathValue("name") })
	for _, url := range []string{listen(t, f.All()) + "/status", listen(t, f.Handler("status"))} {
		send(t, http.MethodGet, url+"/probe/a%2Fb%20c/", "")
		if got != "a/b c" {
			t.Errorf("the handler saw %q", got)
		}
		got = ""
	}
}
