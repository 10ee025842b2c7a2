package e2e_test

import (
	"regexp"
	"strings"
	"testing"
)

var (
	// insides is what a person who made a mistake must never be shown.
	insides = regexp.MustCompile(`goroutine|panic|pgx|pgconn|SQLSTATE|\bsql:|\.go:\d|0x[0-9a-f]{4}|failed to connect|dial (tcp|unix)|rpc error|context deadline|context canceled|%!|<nil>|\\n`)
	// faultLine is a fault of a definition, which stands before the error.
	faultLine = regexp.MustCompile(`^[^ ]+:\d+:\d+: \S`)
)

// refused demands that a command failed with this code after exactly one sentence that begins with "error: " and has these texts in it.
// Lines of advice are indented below it; faults in a file, and the note that the command worked in its own process, stand before it.
func (o outcome) refused(code int, texts ...string) outcome {
	o.t.Helper()
	o.ends(code)
	sentence := ""
	for line := range strings.Lines(o.stderr) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "error: "):
			if sentence != "" {
				o.t.Errorf("%s says two errors:\n%s", strings.Join(o.args, " "), o.stderr)
			}
			sentence = line
		case sentence == "" && (faultLine.MatchString(line) || strings.HasPrefix(line, "no orchestrator answers at ")):
		case sentence != "" && strings.HasPrefix(line, "       "):
		default:
			o.t.Errorf("%s says %q beside its error:\n%s", strings.Join(o.args, " "), line, o.stderr)
		}
	}
	if sentence == "" {
		o.t.Errorf("%s says no error:\n%s", strings.Join(o.args, " "), o.stderr)
	}
	checkWords(o.t, o.stderr, texts...)
	if o.stdout != "" {
		o.t.Errorf("%s shows something although it failed: %s", strings.Join(o.args, " "), o.stdout)
	}
	return o
}

// checkWords demands texts, and that nothing of the insides is told.
func checkWords(t *testing.T, said string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(said, text) {
			t.Errorf("%q is missing in: %s", text, said)
		}
	}
	if found := insides.FindString(said); found != "" {
		t.Errorf("%q is nothing for the user, in: %s", found, said)
	}
}
