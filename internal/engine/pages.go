package engine

import (
	"bytes"
	"encoding/base64"
	"encoding/json"

	"cloud-run-orchestrator/internal/lifecycle"
)

// Page asks for one page of a list.
type Page struct {
	Size  int    // 1..1000; 0 is 50
	Token string // the next_page_token of the page before, empty for the first
}

const (
	defaultPageSize = 50
	maxPageSize     = 1000
)

func (p Page) size() (int, error) {
	switch {
	case p.Size == 0:
		return defaultPageSize, nil
	case p.Size < 0 || p.Size > maxPageSize:
		return 0, lifecycle.Invalid("page_size is %d; write 1 to %d", p.Size, maxPageSize)
	}
	return p.Size, nil
}

// token writes where the next page begins. It is opaque to callers, and carries no rights.
func token(at any) string {
	b, err := json.Marshal(at)
	if err != nil {
		panic(err) // only our own structs of plain fields
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseToken reads what token wrote into at, and refuses everything else; an empty one leaves it as it is.
func parseToken(text string, at any) error {
	if text == "" {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(b, at)
	}
	if err != nil || token(at) != text || bytes.Contains(b, []byte(`\u0000`)) { // which no text of ours has, and PostgreSQL takes in none
		return lifecycle.Invalid("page_token %q is not one that a list returned; leave it out for the first page", text)
	}
	return nil
}

// cut shortens a list that was read one longer than the page, and says whether there is a next page.
func cut[T any](list []T, size int) ([]T, bool) {
	if len(list) > size {
		return list[:size], true
	}
	return list, false
}
