package e2e_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloud-run-orchestrator/internal/lifecycle"
)

// keyFile writes a service account's key. Nobody at Google knows it.
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
		"type": "service_account", "project_id": "nobody", "private_key_id": "1", "client_id": "1",
		"private_key":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email": "nobody@nobody.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// modeSettings are the environments that choose a mode.
func modeSettings(t *testing.T) map[lifecycle.Mode][]string {
	t.Helper()
	return map[lifecycle.Mode][]string{
		lifecycle.Live:     {"ORCHESTRATOR_MODE=", "GOOGLE_APPLICATION_CREDENTIALS=" + keyFile(t)},
		lifecycle.Emulator: {"ORCHESTRATOR_MODE=", "CLOUD_RUN_EMULATOR_HOST=127.0.0.1:1"},
	}
}

func TestADatabaseOfAnotherModeIsRefusedAndLeftAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Mock)
	w.workflow("nightly", "any-job", 3)
	w.cli("trigger", "nightly").ok()
	before := w.dump()
	for mode, settings := range modeSettings(t) {
		for _, c := range []command{
			{server, nil},
			{migrate, []string{"up"}},
			{orchestrator, []string{"run", "--listen", "127.0.0.1:0"}},
			{orchestrator, []string{"init"}},
			{apart, []string{"tick"}},
			{apart, []string{"status"}},
			{apart, []string{"trigger", "nightly"}},
		} {
			o := run(t, c.program, w.with(append(settings, "ORCHESTRATOR_LISTEN=127.0.0.1:0")...), c.args...)
			o.refused(conflictOf(c.program), "this database belongs to mode mock", "mode "+string(mode), "orchestrator init --mode "+string(mode))
		}
	}
	w.unchanged(before)
}

func TestTheModeChangesOnlyWhileNoRunIsUnfinished(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Mock)
	w.workflow("nightly", "any-job", 3)
	w.cli("trigger", "nightly").ok()
	before := w.dump()
	refused := run(t, orchestrator, w.env, "init", "--mode", "live")
	refused.refused(4, "the mode cannot change while runs are unfinished (1 now)")
	if refused.code == 0 {
		t.Error("exit code 0")
	}
	w.unchanged(before)

	w.cli("tick").ok().shows("nightly.1 success")
	for _, mode := range []string{"live", "emulator", "mock"} {
		settings := w.with("ORCHESTRATOR_MODE=", "GOOGLE_APPLICATION_CREDENTIALS="+keyFile(t), "CLOUD_RUN_EMULATOR_HOST=127.0.0.1:1")
		run(t, orchestrator, settings, "init", "--mode", mode).ok().shows(mode)
		if now := query[string](w, `SELECT mode FROM installation`); now != mode {
			t.Errorf("the mode is %s, want %s", now, mode)
		}
	}
	w.cli("status", "nightly.1", "-o", "json").ok().shows(`"mode": "mock"`)
}

func TestLiveModeWithoutCredentialsIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Live)
	before := w.dump()
	settings := w.with("ORCHESTRATOR_LISTEN=127.0.0.1:0")
	missing := append(settings, "GOOGLE_APPLICATION_CREDENTIALS="+filepath.Join(t.TempDir(), "none.json"))
	for _, c := range []command{{server, nil}, {orchestrator, []string{"run"}}, {apart, []string{"tick"}}} {
		o := run(t, c.program, settings, c.args...)
		o.refused(1, "no usable Google Cloud credentials", "GOOGLE_APPLICATION_CREDENTIALS", "gcloud auth application-default login")
		o = run(t, c.program, missing, c.args...)
		o.refused(1, "GOOGLE_APPLICATION_CREDENTIALS is", "none.json", "readable credentials file")
	}
	w.unchanged(before)
}

func TestOnCloudRunOnlyLiveIsAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Mock)
	before := w.dump()
	for _, cloudRun := range []string{"K_SERVICE=orchestrator-tick", "CLOUD_RUN_JOB=migrate"} {
		for _, c := range []command{{server, nil}, {migrate, []string{"up"}}, {orchestrator, []string{"run"}}, {orchestrator, []string{"init"}}, {apart, []string{"status"}}} {
			o := run(t, c.program, w.with(cloudRun), c.args...)
			if o.code == 0 || !strings.Contains(o.stderr, "the mode is mock (ORCHESTRATOR_MODE is set); on Cloud Run only live is allowed") {
				t.Errorf("%s %v: exit code %d, %s", cloudRun, o.args, o.code, o.stderr)
			}
			checkWords(t, strings.ReplaceAll(o.stderr, ".go:", ""))
		}
	}
	w.unchanged(before)
}
