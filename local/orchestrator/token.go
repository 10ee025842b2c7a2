package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/auth/credentials/idtoken"
	"cloud.google.com/go/compute/metadata"
)

// gcloudTokenLasts is below the hour that gcloud's tokens are good for.
const gcloudTokenLasts = 45 * time.Minute

// tokenSource gives ID tokens for our functions on Cloud Run, each kept until shortly before it expires.
type tokenSource struct {
	getenv func(string) string
	onGCE  func(context.Context) bool // this machine has Google's metadata server
	mu     sync.Mutex
	tokens map[string]func(context.Context) (string, error) // by audience
}

func newTokenSource(getenv func(string) string) *tokenSource {
	return &tokenSource{getenv: getenv, onGCE: metadata.OnGCEWithContext, tokens: map[string]func(context.Context) (string, error){}}
}

// token gives an ID token for an audience: of the service account that GOOGLE_APPLICATION_CREDENTIALS names or the machine runs as, else of the account that
// gcloud is signed in with. Credentials of a person cannot make ID tokens themselves, so for them gcloud is asked.
func (s *tokenSource) token(ctx context.Context, audience string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tokens[audience] == nil {
		s.tokens[audience] = s.source(ctx, audience)
	}
	return s.tokens[audience](ctx)
}

func (s *tokenSource) source(ctx context.Context, audience string) func(context.Context) (string, error) {
	if s.getenv("GOOGLE_APPLICATION_CREDENTIALS") == "" && !s.onGCE(ctx) {
		return keep(gcloudTokenLasts, gcloudToken)
	}
	credentials, refused := idtoken.NewCredentials(&idtoken.Options{Audience: audience})
	if refused != nil {
		return keep(gcloudTokenLasts, func(ctx context.Context) (string, error) {
			token, err := gcloudToken(ctx)
			if err != nil {
				return "", fmt.Errorf("the application default credentials cannot make one (%w), and %w", refused, err)
			}
			return token, nil
		})
	}
	return func(ctx context.Context) (string, error) {
		t, err := credentials.Token(ctx)
		if err != nil {
			return "", err
		}
		return t.Value, nil
	}
}

// keep remembers what get gave for as long as it lasts.
func keep(lasts time.Duration, get func(context.Context) (string, error)) func(context.Context) (string, error) {
	var kept string
	var until time.Time
	return func(ctx context.Context) (string, error) {
		if time.Now().Before(until) {
			return kept, nil
		}
		token, err := get(ctx)
		if err != nil {
			return "", err
		}
		kept, until = token, time.Now().Add(lasts)
		return kept, nil
	}
}

// gcloudToken asks gcloud. Tokens of people have gcloud's own audience, which Cloud Run accepts.
func gcloudToken(ctx context.Context) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "gcloud", "auth", "print-identity-token", "--quiet")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New(`there are no credentials for it; set GOOGLE_APPLICATION_CREDENTIALS to a service account's key, or install gcloud and run "gcloud auth login"`)
	}
	if err != nil {
		return "", fmt.Errorf(`"gcloud auth print-identity-token" failed: %w: %s`, err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
