package functions

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

const unknownActor = "unknown"

// Caller is embedded by the inputs of requests that change something: the headers that may tell who asks.
type Caller struct {
	Authorization           string `header:"Authorization" hidden:"true"`
	ServerlessAuthorization string `header:"X-Serverless-Authorization" hidden:"true"`
}

// actorOf names who asks. On Cloud Run that is the email in the token that Cloud Run has checked before the request came here: it takes
// X-Serverless-Authorization where there is one, and does not look at Authorization then, so neither may this.
func (f *Functions) actorOf(c Caller) string {
	if !f.cloud {
		if f.actor == "" {
			return unknownActor
		}
		return f.actor
	}
	header := c.ServerlessAuthorization
	if header == "" {
		header = c.Authorization
	}
	if email := tokenEmail(header); email != "" {
		return email
	}
	return unknownActor
}

// tokenEmail reads the email out of a bearer token's payload, without checking its signature: Cloud Run has checked and removed it.
func tokenEmail(header string) string {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return ""
	}
	var claims struct {
		Email    string `json:"email"`
		Verified *bool  `json:"email_verified"`
	}
	if json.Unmarshal(payload, &claims) != nil || claims.Verified != nil && !*claims.Verified {
		return ""
	}
	return plainEmail(claims.Email)
}

// plainEmail is s where it can be an address, for it is stored and shown; empty otherwise.
func plainEmail(s string) string {
	const longest = 320
	outside := func(r rune) bool { return r <= ' ' || r > '~' }
	if len(s) > longest || !strings.Contains(s, "@") || strings.ContainsFunc(s, outside) {
		return ""
	}
	return s
}
