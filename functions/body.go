package functions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"cloud-run-orchestrator/internal/api"
)

// bodyTime is how long a request's body may take to arrive.
const bodyTime = 30 * time.Second

// readBody reads a write's whole body, so that nothing behind it meets a large, slow or broken one. An empty body is fine.
func readBody(w http.ResponseWriter, r *http.Request) (io.ReadCloser, *problem) {
	if p := checkMediaType(r.Header); p != nil {
		return nil, p
	}
	limit, what := bodyLimit(r.Method)
	if r.ContentLength > limit {
		return nil, tooLarge(w, limit, what)
	}
	control := http.NewResponseController(w)
	// A response writer without deadlines is not a connection, so it cannot be slow.
	_ = control.SetReadDeadline(time.Now().Add(bodyTime))
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	_ = control.SetReadDeadline(time.Time{}) // left in place it would cancel the request's context when it passes
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return nil, tooLarge(w, limit, what)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, newProblem(http.StatusRequestTimeout, "the body did not arrive within %v; send it again", bodyTime)
	}
	if err != nil {
		return nil, newProblem(http.StatusBadRequest, "the body ended too early; send it again")
	}
	if p := checkJSON(raw); p != nil {
		return nil, p
	}
	return io.NopCloser(bytes.NewReader(raw)), nil
}

// tooLarge ends the connection too: net/http would read on to use it again.
func tooLarge(w http.ResponseWriter, limit int64, what string) *problem {
	w.Header().Set("Connection", "close")
	return newProblem(http.StatusRequestEntityTooLarge, "the body is too large; %s has at most %s", what, size(limit))
}

func bodyLimit(method string) (limit int64, what string) {
	if method == http.MethodPut {
		return api.MaxDefinitionBytes, "a workflow's definition"
	}
	return api.MaxBodyBytes, "this request"
}

func size(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

// checkMediaType demands the header even where there is no body: a page of another site cannot send it without asking first.
func checkMediaType(h http.Header) *problem {
	given := h.Get("Content-Type")
	media, _, err := mime.ParseMediaType(given)
	if given == "" {
		return newProblem(http.StatusUnsupportedMediaType, "the header Content-Type is missing; send Content-Type: application/json, also without a body")
	}
	if err != nil || media != "application/json" {
		return newProblem(http.StatusUnsupportedMediaType, "the body's media type is %s; send Content-Type: application/json", shown(given))
	}
	if coding := h.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return newProblem(http.StatusUnsupportedMediaType, "the body's encoding is %s; send it without Content-Encoding", shown(coding))
	}
	return nil
}

func checkJSON(raw []byte) *problem {
	if len(raw) == 0 {
		return nil
	}
	if !utf8.Valid(raw) {
		return newProblem(http.StatusBadRequest, "the body is not UTF-8; send JSON in UTF-8")
	}
	var any json.RawMessage
	err := json.Unmarshal(raw, &any)
	if err == nil {
		return nil
	}
	where := ""
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		line, column := position(raw, syntax.Offset)
		where = fmt.Sprintf(" at line %d, column %d", line, column)
	}
	return newProblem(http.StatusBadRequest, "the body is not valid JSON%s: %v", where, err)
}

// position is where the character before offset stands; lines and columns begin at 1, columns count bytes.
func position(raw []byte, offset int64) (line, column int) {
	before := raw[:max(0, min(int(offset)-1, len(raw)))]
	line = 1 + bytes.Count(before, []byte("\n"))
	column = len(before) - bytes.LastIndexByte(before, '\n')
	return line, column
}

// checkText refuses addresses with bytes that no name or token has and that PostgreSQL's text cannot hold.
func checkText(u *url.URL) *problem {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return newProblem(http.StatusBadRequest, "the query of the address cannot be read: %v", err)
	}
	texts := []string{u.Path}
	for name, values := range query {
		texts = append(texts, name)
		texts = append(texts, values...)
	}
	for _, t := range texts {
		if !utf8.ValidString(t) || strings.ContainsRune(t, 0) {
			return newProblem(http.StatusBadRequest, "the address contains bytes that are not text; use UTF-8 without NUL")
		}
	}
	return nil
}
