package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/release"
	"cloud-run-orchestrator/internal/store"
	"cloud-run-orchestrator/internal/testdb"
	"cloud-run-orchestrator/internal/workflow"
)

// asServer makes this test program run main instead of the tests, so that the tests see a real process.
const asServer = "TEST_AS_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is a running server.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	url string
	dsn string
	mu  sync.Mutex
	out strings.Builder // stderr
}

// limit ends a process that does not end by itself.
const limit = 30 * time.Second

func command(t *testing.T, env ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append([]string{asServer + "=1", "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}, env...)
	return cmd
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// launch starts a server in mock mode and waits until it answers.
func launch(t *testing.T, env ...string) *process {
	t.Helper()
	return launchIn(t, lifecycle.Mock, append(env, "ORCHESTRATOR_MODE=mock")...)
}

// launchOnCloudRun starts a server as Cloud Run does, with credentials that are good for nothing: there is no Google at the end of any name.
func launchOnCloudRun(t *testing.T, env ...string) *process {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
	key, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "p1", "client_email": "trigger@p1.iam.gserviceaccount.com", "private_key_id": "1", "private_key": string(text),
		"token_uri": "https://oauth2.invalid/token", "universe_domain": "google.invalid",
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, key, 0o600); err != nil {
		t.Fatal(err)
	}
	return launchIn(t, lifecycle.Live, append(env, "K_SERVICE=orchestrator", "GOOGLE_APPLICATION_CREDENTIALS="+file)...)
}

func launchIn(t *testing.T, mode lifecycle.Mode, env ...string) *process {
	t.Helper()
	address := freeAddress(t)
	port := address[strings.LastIndexByte(address, ':')+1:]
	dsn := testdb.New(t, testdb.Mode(mode)).DSN
	p := &process{t: t, url: "http://" + address, dsn: dsn}
	p.cmd = command(t, append(env, "ORCHESTRATOR_LISTEN="+address, "PORT="+port, "DATABASE_URL="+dsn)...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			p.mu.Lock()
			p.out.WriteString(lines.Text() + "\n")
			p.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	for deadline := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return p
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server does not listen: %v\n%s", err, p.stderr())
		}
	}
}

func (p *process) stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// logs waits until the log has a text: it comes through a pipe of its own.
func (p *process) logs(want string) {
	p.t.Helper()
	for deadline := time.Now().Add(limit); !strings.Contains(p.stderr(), want); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("the log has no %s:\n%s", want, p.stderr())
		}
	}
}

// get reads a path and demands its status and a body that contains a text.
func (p *process) get(path string, status int, contains string) {
	p.t.Helper()
	res, err := http.Get(p.url + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status || !strings.Contains(string(body), contains) {
		p.t.Errorf("GET %s: %d %s %v, want %d and %s", path, res.StatusCode, body, err, status, contains)
	}
	if got := res.Header.Get("Content-Type"); !strings.HasSuffix(got, "json") {
		p.t.Errorf("GET %s: Content-Type %q", path, got)
	}
}

func TestWithoutATargetOneProcessServesAllFunctions(t *testing.T) {
	t.Parallel()
	p := launch(t)
	p.get("/status", 200, `"mode":"mock"`)
	p.get("/status/", 200, `"mode":"mock"`)
	p.get("/status/runs", 200, `"runs":[]`)
	p.get("/status/openapi.json", 200, `"3.1.0"`)
	p.get("/workflows", 200, `"workflows":[]`)
	p.get("/workflows/nightly", 404, `there is no workflow`)
	p.get("/", 404, "there is nothing at")
	p.get("/nothing", 404, "there is nothing at")
	p.get("/health", 200, `"function":"all"`)
	p.get("/tick/health", 200, `"function":"tick"`)
	p.get("/tick", 405, "GET is not possible")
	p.post("/tick", 200)
}

func (p *process) post(path string, status int) {
	p.t.Helper()
	res, err := http.Post(p.url+path, "application/json", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	var report api.TickReport
	if err := json.NewDecoder(res.Body).Decode(&report); err != nil || res.StatusCode != status || report.Passes < 1 {
		p.t.Errorf("POST %s: %d %+v %v", path, res.StatusCode, report, err)
	}
}

func TestWithATargetOneFunctionIsServedAtTheRoot(t *testing.T) {
	t.Parallel()
	for target, check := range map[string]func(*process){
		"status": func(p *process) {
			p.get("/", 200, `"mode":"mock"`)
			p.get("/runs/", 200, `"runs":[]`)
			p.get("/status", 404, "there is nothing at")
			p.get("/workflows", 404, "there is nothing at")
		},
		"workflows": func(p *process) {
			p.get("/", 200, `"workflows":[]`)
			p.get("/nightly", 404, "there is no workflow")
			p.get("/runs/nightly.1", 404, "there is nothing at")
		},
		"trigger": func(p *process) {
			p.get("/nightly", 405, "allowed: POST")
			p.get("/health", 200, `"status":"ok","function":"trigger"`)
		},
		"tick": func(p *process) { p.post("/", 200) },
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			check(launch(t, "FUNCTION_TARGET="+target))
		})
	}
}

func TestOnCloudRunATriggerAsksTheWakeQueue(t *testing.T) {
	t.Parallel()
	p := launchOnCloudRun(t, "FUNCTION_TARGET=trigger", "ORCHESTRATOR_WAKE_QUEUE=projects/p1/locations/europe-west1/queues/wake",
		"ORCHESTRATOR_WAKE_URL=https://tick.run.app", "ORCHESTRATOR_WAKE_ACCOUNT=wake@p1.iam.gserviceaccount.com")
	db, err := store.Open(t.Context(), store.Options{URL: p.dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	doc, err := workflow.Parse("", []byte(`{"name":"nightly","job":{"project":"p1","region":"us-central1","name":"load"},"tasks":{"count":1}}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := engine.New(engine.Options{Store: db}).Apply(t.Context(), engine.Apply{Name: "nightly", Document: doc.JSON(), Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(p.url+"/nightly", "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Errorf("a trigger without a wake: %d", res.StatusCode)
	}
	for _, want := range []string{`"severity":"WARNING"`, `"queue":"projects/p1/locations/europe-west1/queues/wake"`, "no tick could be called at once"} {
		p.logs(want)
	}
}

func TestTheStartSaysWhatItIs(t *testing.T) {
	t.Parallel()
	p := launch(t, "FUNCTION_TARGET=status")
	p.logs("msg=starting")
	p.logs("function=status")
	p.logs("version=")
	p.logs("commit=")
}

func TestTheProgramSaysItsVersionWithoutADatabase(t *testing.T) {
	t.Parallel()
	cmd := command(t, "DATABASE_URL=nonsense")
	cmd.Args = append(cmd.Args, "--version")
	out, err := cmd.CombinedOutput()
	if want := "server " + release.String() + "\n"; err != nil || string(out) != want {
		t.Errorf("%q %v, want %q", out, err, want)
	}
}

func TestOnCloudRunEveryTickHasItsLine(t *testing.T) {
	t.Parallel()
	p := launchOnCloudRun(t, "FUNCTION_TARGET=tick", "ORCHESTRATOR_PROJECT=p1")
	claims := base64.RawURLEncoding.EncodeToString([]byte(`{"email":"scheduler@p1.iam.gserviceaccount.com"}`))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer e30."+claims+".SIGNATURE_REMOVED_BY_GOOGLE")
	req.Header.Set("X-Cloud-Trace-Context", "0af7651916cd43dd8448eb211c80319c/1;o=1")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	p.logs(`"message":"tick","passes":1,"moved":0,"took_ms":`)
	p.logs(`"errors":0,"by":"scheduler@p1.iam.gserviceaccount.com","unfinished_runs":0,"stuck_runs":0,"unknown_launches":0,"launch_blocked":false`)
	p.logs(`"logging.googleapis.com/trace":"projects/p1/traces/0af7651916cd43dd8448eb211c80319c"`)
}

func TestSIGTERMEndsTheProcessWell(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := launch(t)
		p.get("/status", 200, `"mode":"mock"`)
		if err := p.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("%v: %v\n%s", signal, err, p.stderr())
		}
	}
}

func TestAStartThatCannotBeSaysWhy(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	mock, emulator := testdb.New(t, testdb.Mode(lifecycle.Mock)).DSN, testdb.New(t).DSN
	for _, c := range []struct {
		name, want string
		env        []string
	}{
		{"a wrong target", "workflows, trigger, status or tick", []string{"FUNCTION_TARGET=Tick", "DATABASE_URL=" + mock}},
		{"a port in use", "another program does already; stop it, or set ORCHESTRATOR_LISTEN", []string{"ORCHESTRATOR_LISTEN=" + taken.Addr().String(), "DATABASE_URL=" + mock}},
		{"an empty database", `run "orchestrator init"`, []string{"DATABASE_URL=" + testdb.Empty(t).DSN}},
		{"a database of another mode", "mode emulator", []string{"DATABASE_URL=" + emulator}},
		{"no database on Cloud Run", "no database is set; on Cloud Run DATABASE_INSTANCE", []string{"K_SERVICE=tick"}},
		{"mock on Cloud Run", "on Cloud Run only live is allowed", []string{"K_SERVICE=tick", "DATABASE_URL=" + mock}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, err := command(t, append(c.env, "ORCHESTRATOR_MODE=mock")...).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), c.want) || strings.Contains(string(out), "goroutine") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
