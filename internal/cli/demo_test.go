package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"cloud-run-orchestrator/internal/api"
)

// results writes one file for each result; an empty one is left out.
func results(t *testing.T, values ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i, v := range values {
		if v == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), []byte(v), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAddUpDemandsEveryResult(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		values  []string
		n       int
		want    int
		wantErr string
	}{
		{"all there", []string{"348513", "1\n", " 2 ", "0"}, 4, 348516, ""},
		{"one missing", []string{"1", "", "2"}, 3, 0, "1 task of 3 without a result: 1"},
		{"the last missing", []string{"1", "2"}, 3, 0, "1 task of 3 without a result: 2"},
		{"all missing", nil, 200, 0, "200 tasks of 200 without a result: 0, 1, 2"},
		{"no number", []string{"1", "x\x1b[2J"}, 2, 0, `result of task 1 is "x\x1b[2J", not a number`},
		{"half written", []string{"1", " "}, 2, 0, `result of task 1 is " ", not a number`},
		{"negative", []string{"-5"}, 1, 0, "not a number"},
		{"too large", []string{"99999999999"}, 1, 0, "not a number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sum, err := addUp(results(t, tt.values...), tt.n)
			if tt.wantErr == "" && (err != nil || sum != tt.want) {
				t.Errorf("got %d, %v", sum, err)
			}
			if tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("got %d, %v", sum, err)
			}
		})
	}
}

func TestDemoComparesWithThePublishedNumber(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		values []string
		status string
		code   int
	}{
		{"demo_equal", []string{"50000000", "847533", "0", "1", "0"}, "success", exitOK},
		{"demo_different", []string{"50000000", "847533", "0", "0", "0"}, "success", exitFailed},
		{"demo_missing", []string{"50000000", "847534", "0", "0", ""}, "success", exitFailed},
		{"demo_failed", []string{"50000000", "847533", "0", "1", "0"}, "failed", exitFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.polled = endAfter(2, tt.status)
			closed := 0
			tm := withEnv(nil)
			tm.Local.Demo = func(_ context.Context, r DemoRequest) (DemoEnv, error) {
				r.Say("ticker      every 5 s")
				return DemoEnv{URL: f.URL, ResultsDir: results(t, tt.values...), Close: func() { closed++ }}, nil
			}
			args := []string{"demo", "--file", "testdata/primes.yaml"}
			code := tm.run(t, args...)
			if code != tt.code || closed != 1 {
				t.Errorf("exit code %d, closed %d times", code, closed)
			}
			golden(t, tt.name, tm.transcript(args, code, f.URL))
		})
	}
}

func TestDemoThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	tm := withEnv(nil)
	tm.Local.Demo = func(context.Context, DemoRequest) (DemoEnv, error) {
		return DemoEnv{}, errors.New("there is no PostgreSQL")
	}
	if code := tm.run(t, "demo", "--file", "testdata/primes.yaml"); code != exitFailed || tm.err.String() != "error: there is no PostgreSQL\n" {
		t.Errorf("exit code %d: %s", code, tm.err.String())
	}
	if code := withEnv(nil).run(t, "demo"); code != exitFailed {
		t.Errorf("without the means: exit code %d", code)
	}
}

func TestEtaExtrapolatesFromWhatIsDone(t *testing.T) {
	t.Parallel()
	p := &progress{now: noon}
	tests := []struct {
		name string
		run  api.Run
		want string
	}{
		{"half is done", api.Run{TaskCount: 200, Counts: api.Counts{Success: 100}, StartedAt: before(4e9)}, "eta 4 s"},
		{"nothing is done", api.Run{TaskCount: 200, StartedAt: before(4e9)}, ""},
		{"all is done", api.Run{TaskCount: 1, Counts: api.Counts{Success: 1}, StartedAt: before(4e9)}, ""},
		{"it has not started", api.Run{TaskCount: 2, Counts: api.Counts{Success: 1}}, ""},
		{"it stops", api.Run{TaskCount: 2, Counts: api.Counts{Success: 1}, StartedAt: before(4e9), Stopping: true}, ""},
	}
	for _, tt := range tests {
		if got := p.eta(tt.run); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
