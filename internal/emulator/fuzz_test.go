package emulator

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// FuzzPageToken: a token is one that a list gave, of that list, or refused.
func FuzzPageToken(f *testing.F) {
	f.Fuzz(func(t *testing.T, list, token string) {
		p, ok, err := readToken(list, token)
		switch {
		case err != nil && status.Code(err) != codes.InvalidArgument:
			t.Fatalf("%q: %v", token, err)
		case err == nil && ok == (token == ""):
			t.Fatalf("%q: ok %t", token, ok)
		case ok && pageToken(list, p) != token:
			t.Fatalf("%q is read as %+v, which is %q", token, p, pageToken(list, p))
		}
		at := position{int64(len(list)), int64(len(token))}
		if back, ok, err := readToken(list, pageToken(list, at)); !ok || err != nil || back != at {
			t.Fatalf("%+v of %q comes back as %+v, %t, %v", at, list, back, ok, err)
		}
	})
}

var place = regexp.MustCompile(`^jobs\.yaml:(\d+):(\d+): .`)

// FuzzJobsFile: a jobs file gives jobs that can run, or faults that stand where they say.
func FuzzJobsFile(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		jobs, err := parseJobs("jobs.yaml", text)
		if err == nil {
			for name, j := range jobs {
				if name == "" || len(j.Command) == 0 || j.TaskCount < 1 || j.MaxRetries < 0 || j.Timeout <= 0 || j.Timeout > 7*24*time.Hour {
					t.Fatalf("job %q cannot run: %+v", name, j)
				}
			}
			if err := jobs.check(); err != nil {
				t.Fatalf("jobs that the emulator refuses: %v", err)
			}
			return
		}
		lines := 1 + strings.Count(strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(string(text)), "\n")
		for _, fault := range faultsOf(err) {
			at := place.FindStringSubmatch(fault)
			if at == nil {
				t.Fatalf("a fault without a place: %q", fault)
			}
			if line, err := strconv.Atoi(at[1]); err != nil || line < 1 || line > lines {
				t.Fatalf("%q stands outside the file of %d lines", fault, lines)
			}
		}
	})
}

func faultsOf(err error) []string {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return []string{err.Error()}
	}
	var all []string
	for _, e := range joined.Unwrap() {
		all = append(all, fmt.Sprint(e))
	}
	return all
}
