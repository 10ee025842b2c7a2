package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const exampleYAML = `name: %
job: {project: my-gcp-project, region: us-central1, name: my-cloud-run-job}
tasks: {count: #}
`

// write makes a definition file and gives its name.
func write(t *testing.T, file, name, count string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), file)
	text := strings.NewReplacer("%", name, "#", count).Replace(exampleYAML)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestApplySaysWhatBecameOfEachFile(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	tm := at(f.URL)
	created, equal, updated := write(t, "a.yaml", "new", "7"), write(t, "b.yaml", "example-workflow", "5"), write(t, "c.yaml", "nightly-report", "6")
	code := tm.run(t, "apply", "-f", created, "-f", equal, "-f", updated)
	want := "created new (version 1): 7 tasks on my-cloud-run-job in us-central1\n" +
		"example-workflow is unchanged (version 1)\n" +
		"updated nightly-report to version 5: 6 tasks on my-cloud-run-job in us-central1\n"
	if code != exitOK || tm.out.String() != want {
		t.Errorf("exit code %d: %s%s", code, tm.out.String(), tm.err.String())
	}
	if got := tm.err.String(); got != "warning: LIMIT_TOKEN looks like a secret\n" {
		t.Errorf("stderr %q", got)
	}
}

func TestApplyInJSONIsOneDocumentForAllFiles(t *testing.T) {
	t.Parallel()
	tm := at(newFake(t).URL)
	code := tm.run(t, "apply", "-o", "json", "-f", write(t, "a.yaml", "new", "7"), "-f", write(t, "b.yaml", "example-workflow", "5"))
	var got struct{ Workflows []struct{ Name string } }
	if err := json.Unmarshal([]byte(tm.out.String()), &got); err != nil || len(got.Workflows) != 2 || code != exitOK {
		t.Errorf("exit code %d, %v: %s", code, err, tm.out.String())
	}
}

func TestApplyReadsTheStandardInput(t *testing.T) {
	t.Parallel()
	tm := at(newFake(t).URL)
	tm.Stdin = strings.NewReader(strings.NewReplacer("%", "piped", "#", "2").Replace(exampleYAML))
	code := tm.run(t, "apply", "-f", "-")
	if code != exitOK || !strings.HasPrefix(tm.out.String(), "created piped (version 1): 2 tasks") || !strings.HasSuffix(tm.out.String(), "next: orchestrator trigger piped\n") {
		t.Errorf("exit code %d: %s%s", code, tm.out.String(), tm.err.String())
	}
}

func TestFaultsAreToldByLineAndNothingIsApplied(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	tm := at(f.URL)
	wrong := write(t, "wrong.yaml", "Wrong Name", "0")
	code := tm.run(t, "apply", "-f", write(t, "right.yaml", "right", "1"), "-f", wrong)
	said := tm.err.String()
	if code != exitUsage || !strings.Contains(said, wrong+":1:1: name: ") || !strings.Contains(said, wrong+":3:9: tasks.count: ") ||
		!strings.HasSuffix(said, "error: nothing was applied: 2 faults to mend\n") {
		t.Errorf("exit code %d: %s", code, said)
	}
	if n := f.count("PUT"); n != 0 {
		t.Errorf("%d definitions were sent", n)
	}
}

func TestTwoFilesMustNotDefineOneWorkflow(t *testing.T) {
	t.Parallel()
	tm := at(newFake(t).URL)
	code := tm.run(t, "apply", "-f", write(t, "a.yaml", "same", "1"), "-f", write(t, "b.yaml", "same", "2"))
	if code != exitUsage || !strings.Contains(tm.err.String(), `b.yaml both define "same"`) {
		t.Errorf("exit code %d: %s", code, tm.err.String())
	}
}

func TestFileThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	tm := at(newFake(t).URL)
	tm.Stdin = strings.NewReader(strings.Repeat("#", 2<<20))
	if code := tm.run(t, "apply", "-f", "-"); code != exitUsage || !strings.Contains(tm.err.String(), "the standard input is larger than 1024 KiB") {
		t.Errorf("exit code %d: %s", code, tm.err.String())
	}
}

func TestWarningOfTheFileIsToldOnceWithItsPlace(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	tm := at(f.URL)
	path := write(t, "a.yaml", "new", "7")
	more, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := more.WriteString("env: {API_TOKEN: x}\n"); err != nil {
		t.Fatal(err)
	}
	more.Close()
	if code := tm.run(t, "apply", "-f", path); code != exitOK || !strings.HasPrefix(tm.err.String(), "warning: "+path+":4:") {
		t.Errorf("exit code %d: %s", code, tm.err.String())
	}
}
