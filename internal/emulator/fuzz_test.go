package emulator

import (
	"errors"
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

// place is where a fault stands.
var place = regexp.MustCompile(`^file\.yaml:(\d+):(\d+): .`)

// FuzzJobsFile: a jobs file gives jobs that can run, or faults that stand where they say.
func FuzzJobsFile(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		jobs, err := parseJobs("file.yaml", text)
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
		checkPlaces(t, text, err)
	})
}

// FuzzFaultsFile: a script of faults is read, or what is wrong stands where it says.
func FuzzFaultsFile(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := ParseFaults("file.yaml", text); err != nil {
			checkPlaces(t, text, err)
		}
	})
}

// checkPlaces demands that every fault stands inside the text.
func checkPlaces(t *testing.T, text []byte, err error) {
	t.Helper()
	faults := []error{err}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		faults = joined.Unwrap()
	}
	lines := 1 + strings.Count(lineBreaks.Replace(string(text)), "\n")
	for _, fault := range faults {
		at := place.FindStringSubmatch(fault.Error())
		if at == nil {
			t.Fatalf("a fault without a place: %q", fault)
		}
		if line, err := strconv.Atoi(at[1]); err != nil || line < 1 || line > lines {
			t.Fatalf("%q stands outside the file of %d lines", fault, lines)
		}
	}
}
