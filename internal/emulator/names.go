package emulator

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Forms of resource names; a star is one part.
const (
	locationForm  = "projects/*/locations/*"
	jobForm       = locationForm + "/jobs/*"
	executionForm = jobForm + "/executions/*"
	taskForm      = executionForm + "/tasks/*"
	operationForm = locationForm + "/operations/*"
)

// parts gives what stands at the stars of a form, or INVALID_ARGUMENT.
func parts(form, name string) ([]string, error) {
	want, got := strings.Split(form, "/"), strings.Split(name, "/")
	ok := len(want) == len(got)
	var values []string
	for i := 0; ok && i < len(want); i++ {
		if want[i] == "*" {
			values = append(values, got[i])
			ok = got[i] != ""
		} else {
			ok = want[i] == got[i]
		}
	}
	if !ok {
		return nil, status.Errorf(codes.InvalidArgument, "%q is not a valid resource name; expected the form %s", name, form)
	}
	return values, nil
}

func locationOf(p []string) string { return "projects/" + p[0] + "/locations/" + p[1] }

// last is the last part of a name.
func last(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// parent is a name without its last two parts.
func parent(name string) string {
	end := strings.LastIndexByte(name, '/')
	return name[:strings.LastIndexByte(name[:end], '/')]
}

const lettersAndDigits = "abcdefghijklmnopqrstuvwxyz0123456789"

// suffix is what Cloud Run appends to a job's name to name an execution.
func suffix() string {
	b := make([]byte, 5)
	for i := range b {
		b[i] = lettersAndDigits[rand.IntN(len(lettersAndDigits))]
	}
	return string(b)
}

// newUID is a random UUID.
func newUID() string {
	a, b := rand.Uint64(), rand.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, 0x8000|b>>48&0x3fff, b&0xffffffffffff)
}

// maxPage is the largest page of every list.
const maxPage = 100

// pageSize is how many rows to answer: what was asked for, within 1 and maxPage.
func pageSize(asked int32) (int, error) {
	if asked < 0 {
		return 0, status.Errorf(codes.InvalidArgument, "page_size %d is negative", asked)
	}
	if asked == 0 || asked > maxPage {
		return maxPage, nil
	}
	return int(asked), nil
}

// position is where a list goes on: after row a and, in a list of tasks, after index b of execution a.
type position struct{ a, b int64 }

// pageToken hides a position from the caller and ties it to the list that it belongs to.
func pageToken(list string, p position) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d %s", p.a, p.b, list))
}

// readToken reads what pageToken made; ok is false for the first page.
func readToken(list, token string) (p position, ok bool, err error) {
	if token == "" {
		return position{}, false, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	numbers, of, _ := strings.Cut(string(raw), " ")
	if err == nil {
		_, err = fmt.Sscanf(numbers, "%d.%d", &p.a, &p.b)
	}
	if err != nil || of != list || pageToken(list, p) != token {
		return position{}, false, status.Errorf(codes.InvalidArgument, "page_token %q does not belong to the list of %s", token, list)
	}
	return p, true, nil
}
