package internal_test

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cloud-run-orchestrator/internal/config"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/workflow"

	"go.yaml.in/yaml/v4"
)

// readme is the README's text.
func readme(t *testing.T) string {
	t.Helper()
	return contents(t, "../README.md")
}

func contents(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block is a fenced part of the README.
type block struct {
	language string
	text     string
}

// blocks cuts the fenced parts out of the README. A language that nobody checks is refused, so that no command hides in one.
func blocks(t *testing.T) []block {
	t.Helper()
	var list []block
	inside := false
	for line := range strings.Lines(readme(t)) {
		language, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && inside:
			inside = false
		case fence:
			inside = true
			list = append(list, block{language: language})
			if !slices.Contains([]string{"sh", "yaml", "mermaid", "text"}, language) {
				t.Errorf("README.md has a block of %q; commands are sh, definitions yaml, and text is checked to be files", language)
			}
		case inside:
			list[len(list)-1].text += line
		}
	}
	if inside || len(list) == 0 {
		t.Fatalf("README.md has %d blocks, and the last one does not end: %v", len(list), inside)
	}
	return list
}

func blocksOf(t *testing.T, language string) []string {
	t.Helper()
	var texts []string
	for _, b := range blocks(t) {
		if b.language == language {
			texts = append(texts, b.text)
		}
	}
	if len(texts) == 0 {
		t.Fatalf("README.md has no block of %s", language)
	}
	return texts
}

// definitions are the README's workflows by name.
func definitions(t *testing.T) map[string]string {
	t.Helper()
	byName := map[string]string{}
	for _, text := range blocksOf(t, "yaml") {
		d, err := workflow.Parse("README.md", []byte(text))
		if err != nil {
			t.Fatalf("a definition in README.md: %v\n%s", err, text)
		}
		byName[d.Name()] = text
	}
	return byName
}

func TestDefinitionsOfTheREADMEAreCorrect(t *testing.T) {
	t.Parallel()
	for name, text := range definitions(t) {
		d, err := workflow.Parse(name+".yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Spec(workflow.Defaults{}); err != nil || len(d.Warnings) > 0 {
			t.Errorf("%s: %v, warnings %v", name, err, d.Warnings)
		}
	}
}

// rows are the lines of the tables whose first cell is a name in backquotes: name → the other cells.
func rows(t *testing.T) map[string][]string {
	t.Helper()
	byName := map[string][]string{}
	for line := range strings.Lines(readme(t)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		name := strings.TrimSpace(cells[0])
		if !strings.HasPrefix(line, "|") || !strings.HasPrefix(name, "`") || len(cells) < 2 {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		byName[strings.Trim(name, "`")] = cells[1:]
	}
	return byName
}

func TestREADMEHasEverySettingWithItsDefault(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	described := rows(t)
	known := map[string]bool{}
	for _, s := range cfg.Settings() {
		known[s.Name] = true
		cells := described[s.Name]
		if len(cells) != 2 {
			t.Errorf("README.md does not describe %s", s.Name)
			continue
		}
		shown := strings.Trim(cells[0], "`")
		if shown != s.Value && shown != "see below" && shown != "by mode" {
			t.Errorf("README.md says that %s is %q where it is not set; it is %q", s.Name, shown, s.Value)
		}
	}
	for name, cells := range described {
		if len(cells) == 2 && !known[name] {
			t.Errorf("README.md describes %s, which is no setting", name)
		}
	}
}

func TestREADMEHasEveryVariableOfAContainer(t *testing.T) {
	t.Parallel()
	item := json.RawMessage(`"item"`)
	d := lifecycle.Dispatch{
		Execution: lifecycle.Execution{Indexes: lifecycle.One(0), TaskCount: 1}, RunParams: json.RawMessage(`{"date":"2026-01-31"}`),
		Attempts: []int{1}, TaskParams: []json.RawMessage{item},
	}
	described := rows(t)
	sent := map[string]bool{}
	for _, v := range d.Launch(lifecycle.Marker{}).Env {
		sent[v.Name] = true
		if len(described[v.Name]) != 1 {
			t.Errorf("README.md does not describe %s", v.Name)
		}
	}
	for name, cells := range described {
		if len(cells) == 1 && !sent[name] {
			t.Errorf("README.md describes %s, which no container gets", name)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)#]*)(#[^)]*)?\)`)

// documents are the texts for people.
func documents(t *testing.T) []string {
	t.Helper()
	list := []string{"../README.md", "../terraform/README.md"}
	for _, pattern := range []string{"../docs/*.md", "../docs/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, found...)
	}
	return list
}

var (
	heading     = regexp.MustCompile("(?m)^#+ (.+)$")
	notInAnchor = regexp.MustCompile("[^a-z0-9 _-]")
)

// hasAnchor says whether a document has the heading of an anchor, as GitHub makes one of the other.
func hasAnchor(t *testing.T, file, anchor string) bool {
	t.Helper()
	for _, h := range heading.FindAllStringSubmatch(contents(t, file), -1) {
		if "#"+strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}

func TestLinksOfTheDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, document := range documents(t) {
		for _, found := range link.FindAllStringSubmatch(contents(t, document), -1) {
			target, anchor := found[1], found[2]
			if strings.HasPrefix(target, "https://") {
				continue
			}
			file := document
			if target != "" {
				file = filepath.Join(filepath.Dir(document), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %v", document, err)
			} else if anchor != "" && !hasAnchor(t, file, anchor) {
				t.Errorf("%s: %s has no heading for %s", document, file, anchor)
			}
		}
	}
}

func TestREADMEShowsWhereEveryPackageIs(t *testing.T) {
	t.Parallel()
	var listed []string
	for _, text := range blocksOf(t, "text") {
		for line := range strings.Lines(text) {
			name, _, _ := strings.Cut(line, " ")
			listed = append(listed, path.Clean(name))
			if _, err := os.Stat(filepath.Join("..", name)); err != nil {
				t.Errorf("README.md: %v", err)
			}
		}
	}
	for dir := range mayImport() {
		if !slices.ContainsFunc(listed, func(l string) bool { return dir == l || strings.HasPrefix(dir, l+"/") }) {
			t.Errorf("README.md does not say what is in %s", dir)
		}
	}
}

var makeTarget = regexp.MustCompile("(?m)(?:^|`|run: |&& )make (?:-C \\S+ )?([a-z-]+)")

func TestDocumentsNameTargetsThatExist(t *testing.T) {
	t.Parallel()
	services, err := filepath.Glob("../docs/ci/*.y*ml")
	if err != nil || len(services) != 2 {
		t.Fatalf("files for build services: %v, %v", services, err)
	}
	makefile := contents(t, "../Makefile")
	for _, name := range append(documents(t), services...) {
		for _, found := range makeTarget.FindAllStringSubmatch(contents(t, name), -1) {
			if !strings.Contains(makefile, "\n"+found[1]+":") {
				t.Errorf("%s names make %s, which is no target", name, found[1])
			}
		}
	}
	for _, name := range services {
		var file map[string]any
		if err := yaml.Unmarshal([]byte(contents(t, name)), &file); err != nil || len(file) < 3 {
			t.Errorf("%s: %v, %v", name, file, err)
		}
	}
}
