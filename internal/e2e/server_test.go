package e2e_test

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/lifecycle"
)

// answers sends a request and demands the status and a text in the answer.
func answers(t *testing.T, method, url string, status int, text string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body json.RawMessage
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil || res.StatusCode != status || !strings.Contains(string(body), text) {
		t.Errorf("%s %s is answered with %s and %s (%v), want %d and %s", method, url, res.Status, body, err, status, text)
	}
}

// awaitListening waits until a process accepts connections.
func awaitListening(t *testing.T, p *process, address string) {
	t.Helper()
	eventually(t, p.String()+" listens on "+address, func() (bool, string) {
		if p.over() {
			t.Fatalf("%s ended: %s", p, p.stderr.String())
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return false, err.Error()
		}
		return conn.Close() == nil, ""
	})
}

// functionsAt are requests that only the right function answers.
var functionsAt = []struct{ name, method, below, text string }{
	{"workflows", http.MethodGet, "/", `"workflows":[]`},
	{"trigger", http.MethodPost, "/nobody", `there is no workflow \"nobody\"`},
	{"status", http.MethodGet, "/runs", `"runs":[]`},
	{"tick", http.MethodPost, "/", `"passes":`},
}

func TestEachFunctionIsServedAtTheRootOfItsOwnService(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Mock)
	for _, f := range functionsAt {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			address := freeAddress(t)
			p := start(t, server, w.with("FUNCTION_TARGET="+f.name, "ORCHESTRATOR_LISTEN="+address))
			awaitListening(t, p, address)
			status := map[bool]int{true: 404, false: 200}[f.name == "trigger"]
			answers(t, f.method, "http://"+address+f.below, status, f.text)
			answers(t, f.method, "http://"+address+"/"+f.name+"/elsewhere/x", 404, "")
		})
	}
}

func TestWithoutATargetTheFunctionsAreServedByTheirNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Mock)
	w.serve()
	for _, f := range functionsAt {
		status := map[bool]int{true: 404, false: 200}[f.name == "trigger"]
		answers(t, f.method, w.url+"/"+f.name+f.below, status, f.text)
	}
	answers(t, http.MethodGet, w.url+"/status/", 200, `"mode":"mock"`)
	answers(t, http.MethodGet, w.url+"/status/openapi.json", 200, `"openapi":"3.1.0"`)
}

func TestAServerWithArgumentsSaysThatItTakesNone(t *testing.T) {
	t.Parallel()
	for _, arg := range []string{"--help", "tick", ""} {
		run(t, server, nil, arg).ends(2).tells("usage: server, or server --version")
	}
}

func TestAWrongTargetNamesTheFunctions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Mock)
	for _, target := range []string{"Tick", "functions", "tick,status"} {
		run(t, server, w.with("FUNCTION_TARGET="+target), nil...).refused(1, "FUNCTION_TARGET", `"`+target+`"`, "workflows, trigger, status or tick")
	}
}

// On Cloud Run the port is given, every address is listened on, and the Host is whatever the service is called.
func TestOnCloudRunThePortIsGiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Live)
	_, port, err := net.SplitHostPort(w.address)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, server, w.with("K_SERVICE=orchestrator-status", "FUNCTION_TARGET=status", "PORT="+port, "ORCHESTRATOR_LISTEN=127.0.0.1:1",
		"GOOGLE_APPLICATION_CREDENTIALS="+keyFile(t)))
	awaitListening(t, p, w.address)
	answers(t, http.MethodGet, "http://"+w.address+"/", 200, `"mode":"live"`)
	answers(t, http.MethodGet, "http://"+w.address+"/status", 404, "there is nothing at")
	for line := range strings.Lines(p.stderr.String()) {
		if line == "\n" { // the framework's, after every request, to flush
			continue
		}
		var entry struct{ Severity, Message string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Severity == "" || entry.Message == "" {
			t.Errorf("the log has a line that Cloud Logging does not understand: %s", line)
		}
	}
	p.signal(syscall.SIGTERM)
	p.wait().ok()
}

// Cloud Run kills ten seconds after SIGTERM. By then a tick that would have gone on for its whole budget must have answered.
func TestSIGTERMLetsATickInFlightFinish(t *testing.T) {
	t.Parallel()
	for _, program := range []string{server, orchestrator} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, lifecycle.Emulator)
			p := w.drained(program)
			w.workflow("long", "slow", 1)
			w.cli("trigger", "long").ok()
			answer := w.tickInBackground()
			w.awaitStarted(1)

			p.signal(syscall.SIGTERM)
			began := time.Now()
			got := <-answer
			if got.err != nil || got.status != http.StatusOK || got.report.Passes == 0 || len(got.report.Errors) > 0 {
				t.Errorf("the tick is answered with %d %+v, %v", got.status, got.report, got.err)
			}
			p.wait().ok()
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("the end took %v", took)
			}
			if res, err := http.Get(w.url + "/status/"); err == nil {
				_ = res.Body.Close()
				t.Errorf("somebody still answers: %s", res.Status)
			}
			if status := query[string](w, `SELECT status FROM executions`); status != "running" {
				t.Errorf("the execution is %s, want running: the end of a server is no end for what it started", status)
			}
		})
	}
}

// drained starts the functions of a program that is to be ended in order.
func (w *world) drained(program string) *process {
	w.t.Helper()
	if program == server {
		return w.serve()
	}
	return w.runAll()
}

type ticked struct {
	status int
	report api.TickReport
	err    error
}

// tickInBackground sends a tick and hands over its answer.
func (w *world) tickInBackground() <-chan ticked {
	answer := make(chan ticked, 1)
	url := w.url + "/tick"
	go func() {
		var got ticked
		res, err := http.Post(url, "application/json", nil)
		if err != nil {
			answer <- ticked{err: err}
			return
		}
		defer res.Body.Close()
		got.status = res.StatusCode
		got.err = json.NewDecoder(res.Body).Decode(&got.report)
		answer <- got
	}()
	return answer
}
