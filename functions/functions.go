// Package functions is the HTTP side of the four functions: decode, check, one engine call, encode.
package functions

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"sync"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/engine"

	"github.com/danielgtaylor/huma/v2"
)

// Options are what the handlers need from outside.
type Options struct {
	Engine     *engine.Engine
	Version    string       // of the program, shown in the overview and in the OpenAPI document
	OnCloudRun bool         // Cloud Run has chosen the service by its Host and checked the caller's token
	Hosts      []string     // values of the Host header that are accepted off Cloud Run, besides localhost, 127.0.0.1 and [::1]; any port
	LocalActor string       // who acts off Cloud Run, as in local:ada; empty is unknown
	Log        *slog.Logger // nil drops everything
}

// Functions are the handlers of all four functions, over one engine.
type Functions struct {
	engine   *engine.Engine
	version  string
	cloud    bool
	hosts    map[string]bool
	actor    string
	log      *slog.Logger
	mux      *http.ServeMux
	api      huma.API
	document func() ([]byte, error)
	origin   *http.CrossOriginProtection
	gate     *gate
}

// New makes the handlers. They start nothing by themselves and may be served several times.
func New(o Options) *Functions {
	f := &Functions{
		engine:  o.Engine,
		version: o.Version,
		cloud:   o.OnCloudRun,
		hosts:   map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true},
		actor:   o.LocalActor,
		log:     o.Log,
		mux:     http.NewServeMux(),
		origin:  http.NewCrossOriginProtection(),
		gate:    newGate(),
	}
	for _, h := range o.Hosts {
		f.hosts[hostname(h)] = true
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.api = newAPI(f.mux, o.Version)
	f.workflowRoutes()
	f.triggerRoutes()
	f.statusRoutes()
	f.tickRoutes()
	f.healthRoutes()
	f.document = sync.OnceValues(func() ([]byte, error) { return json.Marshal(f.api.OpenAPI()) })
	return f
}

// Names are the four functions, as FUNCTION_TARGET spells them.
func Names() []string {
	return []string{api.FunctionWorkflows, api.FunctionTrigger, api.FunctionStatus, api.FunctionTick}
}

// Handler serves the one function of that name at /.
func (f *Functions) Handler(name string) http.Handler {
	return f.protect(f.below("/" + name))
}

// All serves the four functions below /workflows, /trigger, /status and /tick.
func (f *Functions) All() http.Handler {
	return f.protect(f.below(""))
}

// Drain refuses new requests, tells a running tick to begin nothing more, and waits until every request has its answer.
// It returns ctx's error when some have not.
func (f *Functions) Drain(ctx context.Context) error {
	return f.gate.drain(ctx)
}

// below puts the function's name back in front of the path, so that one mux and one OpenAPI document serve both ways.
// A trailing slash is dropped. A path with empty or dotted segments is nobody's: the mux would answer it with a redirect.
func (f *Functions) below(prefix string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := trimSlash(r.URL.EscapedPath()); path.Clean("/"+p) != "/"+strings.TrimPrefix(p, "/") {
			f.writeNotFound(w, r)
			return
		}
		in := *r
		url := *r.URL
		in.URL = &url
		url.Path = orRoot(prefix + trimSlash(r.URL.Path))
		if r.URL.RawPath != "" {
			url.RawPath = orRoot(prefix + trimSlash(r.URL.RawPath))
		}
		f.route(w, &in)
	})
}

func trimSlash(p string) string { return strings.TrimSuffix(p, "/") }

func orRoot(p string) string {
	if p == "" {
		return "/"
	}
	return p
}

// route answers in our form what no pattern of the mux matches, and prepares the request for the pattern that does.
func (f *Functions) route(w http.ResponseWriter, r *http.Request) {
	refusal, pattern := f.mux.Handler(r)
	if pattern == "" {
		f.writeUnmatched(w, r, refusal)
		return
	}
	if p := checkText(r.URL); p != nil {
		writeProblem(w, p)
		return
	}
	if isWrite(r.Method) {
		body, p := readBody(w, r)
		if p != nil {
			writeProblem(w, p)
			return
		}
		r.Body = body
	}
	ctx, cancel := f.limit(r)
	defer cancel()
	// ServeHTTP, not the handler that was looked up: only it fills in the path's values.
	f.mux.ServeHTTP(w, r.WithContext(ctx))
}

// writeUnmatched turns the mux's own plain-text 404 or 405 into a problem.
func (f *Functions) writeUnmatched(w http.ResponseWriter, r *http.Request, refusal http.Handler) {
	var probe statusProbe
	refusal.ServeHTTP(&probe, r)
	if probe.code != http.StatusMethodNotAllowed {
		f.writeNotFound(w, r)
		return
	}
	allow := probe.Header().Get("Allow")
	w.Header().Set("Allow", allow)
	writeProblem(w, newProblem(http.StatusMethodNotAllowed, "%s is not possible on %s; allowed: %s", r.Method, shown(r.URL.Path), allow))
}

func (f *Functions) writeNotFound(w http.ResponseWriter, r *http.Request) {
	writeProblem(w, newProblem(http.StatusNotFound,
		"there is nothing at %s; the functions are %s, and openapi.json of status describes them", shown(r.URL.Path), andList(Names())))
}

// shown quotes a text of the caller's for a message.
func shown(s string) string {
	const most = 200
	if len(s) > most {
		s = s[:most] + "…"
	}
	return fmt.Sprintf("%q", s)
}

// statusProbe takes a handler's status and headers and nothing else.
type statusProbe struct {
	header http.Header
	code   int
}

func (p *statusProbe) Header() http.Header {
	if p.header == nil {
		p.header = http.Header{}
	}
	return p.header
}

func (p *statusProbe) WriteHeader(code int)        { p.code = code }
func (p *statusProbe) Write(b []byte) (int, error) { return len(b), nil }

func andList(words []string) string { return list(words, "and") }

func orList(words []string) string { return list(words, "or") }

func list(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	end := len(words) - 1
	return strings.Join(words[:end], ", ") + " " + last + " " + words[end]
}
