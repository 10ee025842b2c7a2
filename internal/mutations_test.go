package internal_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// What make mutation-test breaks on purpose follows the code: a patch that does not apply any more proves nothing.
func TestEveryMutationStillApplies(t *testing.T) {
	t.Parallel()
	patches, err := filepath.Glob("mutations/*.patch")
	if err != nil || len(patches) < 9 {
		t.Fatalf("%d patches, error %v", len(patches), err)
	}
	head := regexp.MustCompile(`^what: \S.*\ntest: \./\S+ \S+\n`)
	for _, patch := range patches {
		text, err := os.ReadFile(patch)
		if err != nil {
			t.Fatal(err)
		}
		if !head.Match(text) {
			t.Errorf("%s does not begin with what it breaks and which tests are meant for it", patch)
		}
		// Outside of a repository git applies to plain files, as in the copy.
		cmd := exec.Command("git", "apply", "--check", filepath.Join("internal", patch))
		cmd.Dir = ".."
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s does not apply: %s", patch, out)
		}
	}
}
