package functions

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// FuzzCheckJSON: what passes is JSON in UTF-8; a refusal shows a place inside the body.
func FuzzCheckJSON(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte, offset int64) {
		p := checkJSON(body)
		if p == nil && len(body) > 0 && (!json.Valid(body) || !utf8.Valid(body)) {
			t.Fatalf("%q passes", body)
		}
		if p != nil && (p.Status != 400 || !utf8.ValidString(p.Detail)) {
			t.Fatalf("%q: %d %q", body, p.Status, p.Detail)
		}
		line, column := position(body, offset)
		if line < 1 || line > 1+bytes.Count(body, []byte("\n")) || column < 1 || column > len(body)+1 {
			t.Fatalf("offset %d of %q is line %d, column %d", offset, body, line, column)
		}
	})
}
