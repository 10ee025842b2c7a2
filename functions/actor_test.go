package functions

import (
	"encoding/base64"
	"strings"
	"testing"
)

// token is a bearer token as Cloud Run hands it on.
func token(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return "Bearer " + encode([]byte(`{"alg":"RS256"}`)) + "." + encode([]byte(claims)) + ".SIGNATURE_REMOVED_BY_GOOGLE"
}

func TestTheActorIsWhoseTokenCloudRunChecked(t *testing.T) {
	t.Parallel()
	ada, bob := token(`{"email":"ada@example.com","email_verified":true}`), token(`{"email":"bob@example.com"}`)
	cloud := Options{OnCloudRun: true, LocalActor: "local:root"}
	for _, c := range []struct {
		name    string
		options Options
		caller  Caller
		want    string
	}{
		{"on a laptop", Options{LocalActor: "local:ada"}, Caller{}, "local:ada"},
		{"on a laptop, with a token that nobody checked", Options{LocalActor: "local:ada"}, Caller{Authorization: bob}, "local:ada"},
		{"on a laptop without a name", Options{}, Caller{}, "unknown"},
		{"a token", cloud, Caller{Authorization: ada}, "ada@example.com"},
		{"a token, the scheme in small letters", cloud, Caller{Authorization: "b" + ada[1:]}, "ada@example.com"},
		{"the other header", cloud, Caller{ServerlessAuthorization: ada}, "ada@example.com"},
		{"both: Cloud Run looks at one only", cloud, Caller{Authorization: bob, ServerlessAuthorization: ada}, "ada@example.com"},
		{"both, the checked one without an email", cloud, Caller{Authorization: bob, ServerlessAuthorization: token(`{}`)}, "unknown"},
		{"no token", cloud, Caller{}, "unknown"},
		{"an address that is not verified", cloud, Caller{Authorization: token(`{"email":"ada@example.com","email_verified":false}`)}, "unknown"},
		{"a token without an email", cloud, Caller{Authorization: token(`{"sub":"1234"}`)}, "unknown"},
		{"an email with a line break", cloud, Caller{Authorization: token(`{"email":"ada@example.com\nlocal:root"}`)}, "unknown"},
		{"an email that is no address", cloud, Caller{Authorization: token(`{"email":"local:root"}`)}, "unknown"},
		{"an email of any length", cloud, Caller{Authorization: token(`{"email":"` + strings.Repeat("a", 320) + `@b"}`)}, "unknown"},
		{"no JSON inside", cloud, Caller{Authorization: token(`email`)}, "unknown"},
		{"no token inside", cloud, Caller{Authorization: "Bearer abc"}, "unknown"},
		{"no base64 inside", cloud, Caller{Authorization: "Bearer a.%%%.c"}, "unknown"},
		{"another scheme", cloud, Caller{Authorization: "Basic" + strings.TrimPrefix(ada, "Bearer")}, "unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := New(c.options).actorOf(c.caller); got != c.want {
				t.Errorf("actor %q, want %q", got, c.want)
			}
		})
	}
}
