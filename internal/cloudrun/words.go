package cloudrun

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"cloud-run-orchestrator/internal/lifecycle"
)

// Lengths that texts from outside are cut to, in bytes.
const (
	maxWords = 2_000
	maxName  = 1_000
	maxURI   = 4_000
)

// clean makes a text from outside fit to be stored and shown: valid UTF-8, no NUL, at most limit bytes.
func clean(s string, limit int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
	if len(s) <= limit {
		return s
	}
	const more = "…"
	end := limit - len(more)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + more
}

func words(s string) string { return clean(s, maxWords) }

// codeName spells a code as gRPC's documentation does: PERMISSION_DENIED. A number without a name stays a number.
func codeName(c codes.Code) string { return code.Code(c).String() }

// statusOf is the gRPC status inside an error, without the words that were wrapped around it.
func statusOf(err error) *status.Status {
	var s interface{ GRPCStatus() *status.Status }
	if errors.As(err, &s) && s.GRPCStatus() != nil {
		return s.GRPCStatus()
	}
	return status.FromContextError(err)
}

// failure is an error of a call, in Cloud Run's own words.
type failure struct {
	text   string
	causes []error
}

func (f *failure) Error() string { return f.text }

// Unwrap gives the client library's error, and what it means to us.
func (f *failure) Unwrap() []error { return f.causes }

// failed says what was tried and what Cloud Run said of it.
func failed(ctx context.Context, what string, err error) error {
	st := statusOf(err)
	f := &failure{
		text:   fmt.Sprintf("%s: %s: %s", what, codeName(st.Code()), words(st.Message())),
		causes: []error{err},
	}
	if st.Code() == codes.NotFound {
		f.causes = append(f.causes, lifecycle.ErrGone)
	}
	if ctx.Err() != nil { // the caller's own limit, not ours
		f.causes = append(f.causes, ctx.Err())
	}
	return f
}
