package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeGcloud puts a gcloud first in PATH that counts its calls in a file.
func fakeGcloud(t *testing.T, script string) (calls func() int) {
	t.Helper()
	dir := t.TempDir()
	count := filepath.Join(dir, "calls")
	text := "#!/bin/sh\necho \"$@\" >> " + count + "\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(dir, "gcloud"), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	return func() int {
		b, _ := os.ReadFile(count)
		return strings.Count(string(b), "auth print-identity-token")
	}
}

func newTestSource(env map[string]string) *tokenSource {
	s := newTokenSource(func(name string) string { return env[name] })
	s.onGCE = func(context.Context) bool { return false }
	return s
}

func TestTokenOfAPersonComesFromGcloudOnce(t *testing.T) {
	calls := fakeGcloud(t, "echo person-token")
	s := newTestSource(nil)
	for range 3 {
		if token, err := s.token(t.Context(), "https://status.example.com"); err != nil || token != "person-token" {
			t.Fatalf("got %q, %v", token, err)
		}
	}
	if n := calls(); n != 1 {
		t.Errorf("gcloud was called %d times", n)
	}
}

func TestGcloudThatIsSignedOutSaysSoAndIsAskedAgain(t *testing.T) {
	calls := fakeGcloud(t, "echo 'You do not currently have an active account' >&2; exit 1")
	s := newTestSource(nil)
	for range 2 {
		if _, err := s.token(t.Context(), "https://x"); err == nil || !strings.Contains(err.Error(), "You do not currently have an active account") {
			t.Errorf("got %v", err)
		}
	}
	if n := calls(); n != 2 {
		t.Errorf("gcloud was called %d times", n)
	}
}

func TestWithoutAnyCredentialsTheWaysToGetThemAreNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := newTestSource(nil).token(t.Context(), "https://x")
	if err == nil || !strings.Contains(err.Error(), "GOOGLE_APPLICATION_CREDENTIALS") || !strings.Contains(err.Error(), "gcloud auth login") {
		t.Errorf("got %v", err)
	}
}

func TestCredentialsThatCannotMakeTokensAreNamedWhenGcloudFailsToo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "person.json")
	if err := os.WriteFile(file, []byte(`{"type":"authorized_user","client_id":"a","client_secret":"b","refresh_token":"c"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	s := newTestSource(map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": file})
	t.Setenv("PATH", t.TempDir())
	if _, err := s.token(t.Context(), "https://x"); err == nil || !strings.Contains(err.Error(), "authorized_user") || !strings.Contains(err.Error(), "gcloud auth login") {
		t.Errorf("got %v", err)
	}
}

func TestServiceAccountMakesItsOwnTokens(t *testing.T) {
	calls := fakeGcloud(t, "echo person-token")
	var audience string
	google := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		audience = claim(t, r.Form.Get("assertion"), "target_audience")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id_token":%q}`, unsigned(map[string]any{"exp": time.Now().Add(time.Hour).Unix()}))
	}))
	t.Cleanup(google.Close)
	file := serviceAccount(t, google.URL)
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	s := newTestSource(map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": file})
	token, err := s.token(t.Context(), "https://status.example.com")
	if err != nil || strings.Count(token, ".") != 2 {
		t.Fatalf("got %q, %v", token, err)
	}
	if audience != "https://status.example.com" || calls() != 0 {
		t.Errorf("audience %q, %d calls of gcloud", audience, calls())
	}
}

// serviceAccount writes a key file whose tokens are made at a URL.
func serviceAccount(t *testing.T, tokenURL string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "cli@p.iam.gserviceaccount.com", "token_uri": tokenURL,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, doc, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func unsigned(claims map[string]any) string {
	body, _ := json.Marshal(claims)
	return "e30." + base64.RawURLEncoding.EncodeToString(body) + ".e30"
}

func claim(t *testing.T, jwt, name string) string {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Errorf("%q is no JWT", jwt)
		return ""
	}
	body, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	_ = json.Unmarshal(body, &claims)
	value, _ := claims[name].(string)
	return value
}
