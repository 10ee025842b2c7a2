package cli

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLostAnswerIsRepeatedUnderTheSameKeyAndMakesOneRun(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	lose := 3
	f.loseAnswer = func() bool { lose--; return lose >= 0 }
	tm := at(f.URL)
	args := []string{"trigger", "example-workflow"}
	golden(t, "trigger_repeated", tm.transcript(args, tm.run(t, args...), f.URL))
	keys, runs := f.triggers()
	if len(keys) != 4 || keys[0] == "" || len(slices.Compact(keys)) != 1 {
		t.Errorf("posted keys %q", keys)
	}
	if runs != 1 {
		t.Errorf("%d runs", runs)
	}
}

func TestTwoTriggersHaveTwoKeys(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	for range 2 {
		if code := at(f.URL).run(t, "trigger", "example-workflow"); code != exitOK {
			t.Fatalf("exit code %d", code)
		}
	}
	if _, runs := f.triggers(); runs != 2 {
		t.Errorf("%d runs", runs)
	}
}

func TestAnswerThatIsAlwaysLostEndsWithTheCommandThatRepeatsIt(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.loseAnswer = func() bool { return true }
	tm := at(f.URL)
	code := tm.run(t, "trigger", "example-workflow", "--param", "who=it's me")
	keys, _ := f.triggers()
	if want := "orchestrator trigger example-workflow --param 'who=it'\\''s me' --key " + keys[0] + "\n"; code != exitFailed || !strings.Contains(tm.err.String(), want) {
		t.Errorf("exit code %d: %s", code, tm.err.String())
	}
	if len(keys) != maxRepeats+1 {
		t.Errorf("%d posts", len(keys))
	}
}

func TestServerThatWasNeverThereIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	tm := at("http://127.0.0.1:1")
	code := tm.run(t, "trigger", "example-workflow")
	if code != exitFailed || strings.Contains(tm.err.String(), "again") || strings.Contains(tm.err.String(), "--key") {
		t.Errorf("exit code %d: %s", code, tm.err.String())
	}
}

func TestRefusedTriggerIsNotRepeated(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	at(f.URL).run(t, "trigger", "nope")
	if keys, _ := f.triggers(); len(keys) != 1 {
		t.Errorf("%d posts", len(keys))
	}
}

func TestKeyThatWasUsedBeforeGivesThatRun(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	at(f.URL).run(t, "trigger", "example-workflow", "--key", "monday")
	tm := at(f.URL)
	code := tm.run(t, "trigger", "example-workflow", "--key", "monday")
	if code != exitOK || !strings.HasPrefix(tm.out.String(), "run example-workflow.13 was started before under this key (5 tasks, emulator)\n") {
		t.Errorf("exit code %d: %s", code, tm.out.String())
	}
}

func TestParamsComeFromAFileAndFlagsOverrideThem(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	var body string
	f.before = func(_ http.ResponseWriter, r *http.Request) bool {
		b, _ := io.ReadAll(r.Body)
		body = string(b)
		return false
	}
	file := filepath.Join(t.TempDir(), "params.json")
	if err := os.WriteFile(file, []byte(`{"date": "2026-01-31", "limit": 5}`), 0o600); err != nil {
		t.Fatal(err)
	}
	tm := at(f.URL)
	if code := tm.run(t, "trigger", "example-workflow", "--params-file", file, "--param", "date=2026-02-01"); code != exitOK {
		t.Fatalf("exit code %d: %s", code, tm.err.String())
	}
	if diff := cmp.Diff(`{"params":{"date":"2026-02-01","limit":5}}`, body); diff != "" {
		t.Error(diff)
	}
	stdin := at(f.URL)
	stdin.Stdin = strings.NewReader(`{"limit": 6}`)
	if code := stdin.run(t, "trigger", "example-workflow", "--params-file", "-"); code != exitOK || body != `{"params":{"limit":6}}` {
		t.Errorf("exit code %d, body %s", code, body)
	}
}
