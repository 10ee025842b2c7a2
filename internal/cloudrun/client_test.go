package cloudrun

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
)

func TestNew_refuses_an_emulator_address_without_a_port(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"localhost", "http://localhost:8085", "a:b:c"} {
		_, err := New(t.Context(), Options{Endpoint: address})
		if err == nil || !strings.HasPrefix(err.Error(), `the emulator's address "`+address+`" is not host:port, as in localhost:8085`) {
			t.Errorf("%s: error %v", address, err)
		}
	}
}

func TestClose_leaves_a_given_connection_open(t *testing.T) {
	t.Parallel()
	conn, err := grpc.NewClient("127.0.0.1:1", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c, err := New(t.Context(), Options{Conn: conn})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil || conn.GetState() == connectivity.Shutdown {
		t.Errorf("close: %v, the connection is %v", err, conn.GetState())
	}
}

func TestClose_ends_a_connection_of_its_own(t *testing.T) {
	t.Parallel()
	c, err := New(t.Context(), Options{Endpoint: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Cancel(t.Context(), anExecution); err == nil || !strings.Contains(err.Error(), "closing") {
		t.Errorf("cancel after close: %v", err)
	}
}

func TestClient_tells_who_it_is(t *testing.T) {
	t.Parallel()
	s := &script{get: func(context.Context, *runpb.GetExecutionRequest) (*runpb.Execution, error) {
		return &runpb.Execution{Name: anExecution}, nil
	}}
	c := clientOf(t, Options{Endpoint: s.listen(t), UserAgent: "orchestrator/1.2"})
	if _, err := c.Get(t.Context(), anExecution); err != nil {
		t.Fatal(err)
	}
	if got := s.lastHeader("user-agent"); !strings.HasPrefix(got, "orchestrator/1.2 ") {
		t.Errorf("user agent %q", got)
	}
}

const sentence = "no usable Google Cloud credentials: set GOOGLE_APPLICATION_CREDENTIALS to a key file, or run `gcloud auth application-default login`: "

func TestNew_says_what_to_do_about_credentials(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(broken, []byte(`{"type":"nothing"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{broken, filepath.Join(t.TempDir(), "missing.json")} {
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
		_, err := New(t.Context(), Options{})
		if err == nil || !strings.HasPrefix(err.Error(), sentence) {
			t.Errorf("%s: error %v", filepath.Base(file), err)
		}
	}
}

func TestNew_stops_looking_for_credentials_when_its_context_ends(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", endlessFile(t))
	_, err := New(ctx, Options{})
	if err == nil || err.Error() != sentence+"looking for them: context canceled" {
		t.Errorf("error %v", err)
	}
}

func TestNew_needs_no_network_where_there_is_a_key_file(t *testing.T) {
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", keyFile(t))
	c, err := New(t.Context(), Options{UserAgent: "orchestrator/1.2"})
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 one connection, no pool
	if target := c.jobs.Connection().Target(); !strings.HasSuffix(target, "run.googleapis.com:443") {
		t.Errorf("connected to %s", target)
	}
	//lint:ignore SA1019 one connection, no pool
	if c.jobs.Connection() != c.tasks.Connection() || c.jobs.Connection() != c.executions.Connection() {
		t.Error("the services do not share one connection")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// endlessFile is a file that a reader waits for until the test has ended, as one would wait for a metadata server that does not answer.
func endlessFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pipe.Close() })
	return name
}

// keyFile is a service account's key that no server knows.
func keyFile(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "acme", "private_key_id": "1", "client_email": "test@acme.iam.gserviceaccount.com",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"token_uri":   "http://127.0.0.1:1/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
