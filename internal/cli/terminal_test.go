package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/api"

	"charm.land/lipgloss/v2"
)

func onTerminal(url string, width int) *terminal {
	tm := at(url)
	tm.StdoutWidth, tm.StderrWidth = width, width
	return tm
}

func TestColourIsForTerminalsThatWantIt(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	tests := []struct {
		name  string
		width int
		env   map[string]string
		want  bool
	}{
		{"a terminal", 200, nil, true},
		{"a pipe", 0, nil, false},
		{"NO_COLOR", 200, map[string]string{"NO_COLOR": "1"}, false},
		{"a dumb terminal", 200, map[string]string{"TERM": "dumb"}, false},
	}
	for _, tt := range tests {
		for _, args := range [][]string{{"status"}, {"status", "nightly-report.311"}, {"tasks", "nightly-report.311"}, {"list-workflows"}} {
			tm := onTerminal(f.URL, tt.width)
			for name, value := range tt.env {
				tm.env[name] = value
			}
			tm.run(t, args...)
			if got := strings.Contains(tm.out.String(), "\x1b["); got != tt.want {
				t.Errorf("%s, %v: colour is %v", tt.name, args, got)
			}
		}
	}
}

func TestTablesFitTheTerminal(t *testing.T) {
	t.Parallel()
	const narrowest = 91 // what the columns that are never cut need
	f := newFake(t)
	for _, width := range []int{40, 100, 120} {
		tm := onTerminal(f.URL, width)
		tm.run(t, "status")
		if !strings.Contains(tm.out.String(), "…") {
			t.Errorf("width %d: nothing was cut", width)
		}
		for line := range strings.Lines(tm.out.String()) {
			if w := lipgloss.Width(strings.TrimSuffix(line, "\n")); w > max(width, narrowest) {
				t.Errorf("width %d: a line of %d: %q", width, w, line)
			}
		}
	}
}

func TestWideCharactersStayInTheirColumns(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	tb := newTable(0, column{name: "NAME"}, column{name: "N", right: true})
	tb.add("日本", "1")
	tb.add("ab", "10")
	if err := tb.flush(&b); err != nil {
		t.Fatal(err)
	}
	if want := "NAME   N\n日本   1\nab    10\n"; b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

func TestFlushedTableKeepsItsColumnsAndHasOneHeader(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	tb := newTable(0, column{name: "A"}, column{name: "B"})
	tb.add("long", "x")
	_ = tb.flush(&b)
	tb.add("s", "y")
	_ = tb.flush(&b)
	if want := "A     B\nlong  x\ns     y\n"; b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

func TestProgressIsABarOnATerminalAndLinesElsewhere(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.polled = endAfter(3, "success")
	tm := onTerminal(f.URL, 100)
	tm.run(t, "trigger", "example-workflow", "--wait")
	if want := "\r\x1b[K  ████████████░░░░░░░░░░░░░░░░░░░░  2/5   1 running   2 waiting   eta 6 s"; !strings.Contains(tm.err.String(), want) {
		t.Errorf("got %q", tm.err.String())
	}
	if !strings.HasSuffix(tm.err.String(), "\r\x1b[K") {
		t.Errorf("the bar stays: %q", tm.err.String())
	}
}

func TestProgressFitsItsTerminal(t *testing.T) {
	t.Parallel()
	run := api.Run{TaskCount: 1_000_000, Counts: api.Counts{Success: 500_000, Running: 1000, Dispatched: 9000, Failed: 12}, StartedAt: before(time.Hour)}
	for width := 1; width < 120; width++ {
		var b bytes.Buffer
		p := &progress{w: &b, width: width, now: noon}
		p.show(run)
		if got := lipgloss.Width(strings.TrimPrefix(b.String(), "\r\x1b[K")); got > width {
			t.Errorf("width %d: a line of %d", width, got)
		}
	}
}

func TestPlainProgressIsRareAndNeverRepeatsItself(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	now := noon()
	p := &progress{w: &b, now: func() time.Time { return now }}
	for i := range 100 {
		p.show(api.Run{TaskCount: 100, Counts: api.Counts{Success: i / 50 * 50}})
		now = now.Add(time.Second)
	}
	if want := "0/100   100 waiting\n50/100   50 waiting\n"; b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

func TestRunThatDoesNotMoveIsSaidToWaitOnceUntilItMoves(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	now := noon()
	p := &progress{w: &b, now: func() time.Time { return now }}
	for i := range 60 {
		moved := 0
		if i >= 30 {
			moved = 1
		}
		p.show(api.Run{TaskCount: 9, Counts: api.Counts{Success: moved}, Waiting: []string{fmt.Sprintf("quota, %d s", 60-i)}})
		now = now.Add(time.Second)
	}
	if want := "0/9   9 waiting\nwaiting: quota, 50 s\n1/9   8 waiting\nwaiting: quota, 20 s\n"; b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

const evil = "a\x1b]0;title\a\x1b[2Jb\u009b31mc\u202ed\u2028e\x7f"

func TestTextFromOutsideCannotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.runs[0].Name, f.runs[0].Waiting, f.runs[0].Reason, f.runs[0].Warnings = "example-workflow.12", []string{evil}, evil, []string{evil}
	f.runs[0].Params, f.runs[0].Steps[0].Reason, f.runs[0].Steps[0].Name = nil, evil, evil
	f.tasks[0].Reason, f.tasks[0].CloudRunExecutionName = evil, evil
	f.workflows[0].Name, f.workflows[0].Steps[0].Job = "example-workflow", evil
	for _, args := range [][]string{
		{"status"}, {"status", "example-workflow.12"}, {"tasks", "example-workflow.12"}, {"list-workflows"}, {"status", evil}, {"trigger", evil},
		{"status", "-o", "json"}, {"status", "example-workflow.12", "-o", "json"}, {"tasks", "example-workflow.12", "-o", "json"},
	} {
		tm := at(f.URL)
		tm.run(t, args...)
		for _, r := range tm.out.String() + tm.err.String() {
			if r != '\n' && dangerous(r) {
				t.Errorf("%.40q printed %q", args, r)
				break
			}
		}
	}
}

func TestFullDiskIsNotASuccess(t *testing.T) {
	t.Parallel()
	tm := at(newFake(t).URL)
	tm.Stdout = brokenWriter{}
	if code := tm.run(t, "status"); code != exitFailed || tm.err.String() != "error: cannot write the output: no space left on device\n" {
		t.Errorf("exit code %d: %s", code, tm.err.String())
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestBugIsOneSentence(t *testing.T) {
	t.Parallel()
	tm := withEnv(nil)
	tm.Local.Settings = func(context.Context) ([]Setting, error) { panic("index out of range") }
	if code := tm.run(t, "config"); code != exitFailed || tm.err.String() != "error: this is a bug in orchestrator v1: index out of range\n" {
		t.Errorf("exit code %d: %s", code, tm.err.String())
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err  error
		want int
	}{
		{errors.New("anything"), exitFailed},
		{context.Canceled, exitFailed},
		{&api.UnreachableError{Cause: errors.New("x")}, exitFailed},
		{&api.Foreign{Status: 404}, exitFailed},
		{&api.TickError{}, exitFailed},
		{&usageError{}, exitUsage},
		{&api.Problem{Status: http.StatusBadRequest}, exitUsage},
		{&api.Problem{Status: http.StatusRequestEntityTooLarge}, exitUsage},
		{&api.Problem{Status: http.StatusUnprocessableEntity}, exitUsage},
		{&api.Problem{Status: http.StatusNotFound}, exitNotFound},
		{fmt.Errorf("wrapped: %w", advise(&api.Problem{Status: http.StatusNotFound}, "x")), exitNotFound},
		{&api.Problem{Status: http.StatusConflict}, exitConflict},
		{&api.Problem{Status: http.StatusPreconditionFailed}, exitConflict},
		{&api.Problem{Status: http.StatusForbidden}, exitFailed},
		{&api.Problem{Status: http.StatusInternalServerError}, exitFailed},
		{outcome(exitRunFailed), 10},
		{outcome(exitRunCancelled), 11},
		{outcome(exitTimeout), 12},
	}
	for _, tt := range tests {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("%T %v: got %d, want %d", tt.err, tt.err, got, tt.want)
		}
	}
}

func TestDurationsAreRoughInTablesAndExactInResults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		d            time.Duration
		rough, exact string
	}{
		{0, "<1 s", "0.0 s"},
		{3400 * time.Millisecond, "3 s", "3.4 s"},
		{59 * time.Second, "59 s", "59.0 s"},
		{250 * time.Second, "4 m", "4 m 10 s"},
		{125 * time.Minute, "2 h", "2 h 5 m"},
		{47 * time.Hour, "47 h", "47 h 0 m"},
		{49 * time.Hour, "2 d", "49 h 0 m"},
	}
	for _, tt := range tests {
		if r, e := rough(tt.d), exact(tt.d); r != tt.rough || e != tt.exact {
			t.Errorf("%v: %q and %q", tt.d, r, e)
		}
	}
}

func TestNumbersAreGrouped(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := number(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
