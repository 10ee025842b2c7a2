package internal_test

import (
	"go/ast"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "cloud-run-orchestrator/"

// mayImport says which of our packages each of our packages may import. A request goes functions → engine → store, cloudrun; lifecycle decides and workflow is
// what users write, and these two do no I/O. app and the mains wire. Every package has its line, so that a new one is a decision somebody sees.
func mayImport() map[string][]string {
	return map[string][]string{
		"functions":             {"internal/api", "internal/engine", "internal/lifecycle", "internal/workflow"},
		"functions/server":      {"functions", "internal/app", "internal/config", "internal/release"},
		"internal/api":          {},
		"internal/app":          {"functions", "internal/cloudrun", "internal/cloudsql", "internal/config", "internal/emulator", "internal/engine", "internal/lifecycle", "internal/localpg", "internal/store", "internal/wake", "internal/workflow", "migrations"},
		"internal/cli":          {"internal/api", "internal/workflow"},
		"internal/cloudrun":     {"internal/crash", "internal/lifecycle"},
		"internal/cloudsql":     {},
		"internal/config":       {"internal/lifecycle"},
		"internal/crash":        {},
		"internal/emulator":     {},
		"internal/e2e":          {}, // tests only
		"internal/engine":       {"internal/cloudrun", "internal/crash", "internal/lifecycle", "internal/store", "internal/workflow"},
		"internal/lifecycle":    {"internal/workflow"},
		"internal/localpg":      {},
		"internal/model":        {}, // tests only
		"internal/release":      {},
		"internal/store":        {"internal/crash", "internal/lifecycle"},
		"internal/testdb":       {"internal/lifecycle", "internal/localpg", "migrations"},
		"internal/wake":         {},
		"internal/workflow":     {},
		"local/examples/primes": {},
		"local/orchestrator":    {"functions", "internal/app", "internal/cli", "internal/config", "internal/lifecycle", "internal/release"},
		"local/plancheck":       {},
		"migrations":            {"internal/lifecycle"},
		"migrations/migrate":    {"internal/cloudsql", "internal/config", "internal/lifecycle", "internal/localpg", "internal/release", "migrations"},
	}
}

// onlyIn says which of our packages may import what comes from elsewhere. The longest prefix counts; what has no line is a new dependency.
func onlyIn() map[string][]string {
	sql := []string{"internal/store", "migrations", "internal/localpg", "internal/testdb"}
	cloudRunAPI := []string{"internal/cloudrun", "internal/emulator"}
	google := append([]string{"internal/wake"}, cloudRunAPI...)
	return map[string][]string{
		"charm.land/lipgloss":                                   {"internal/cli"},
		"cloud.google.com/go/auth":                              {"local/orchestrator"},
		"cloud.google.com/go/cloudsqlconn":                      {"internal/cloudsql"},
		"cloud.google.com/go/cloudtasks":                        {"internal/wake"},
		"cloud.google.com/go/compute/metadata":                  {"local/orchestrator"},
		"cloud.google.com/go/iam/apiv1/iampb":                   cloudRunAPI,
		"cloud.google.com/go/longrunning":                       {"internal/emulator"},
		"cloud.google.com/go/run/apiv2":                         {"internal/cloudrun"},
		"cloud.google.com/go/run/apiv2/runpb":                   cloudRunAPI,
		"database/sql":                                          {"migrations"},
		"github.com/GoogleCloudPlatform/functions-framework-go": {"functions/server"},
		"github.com/cenkalti/backoff":                           {"internal/cloudrun"},
		"github.com/danielgtaylor/huma":                         {"functions"},
		"github.com/golang-migrate/migrate":                     {"migrations"},
		"github.com/google/uuid":                                {"internal/engine", "internal/lifecycle", "internal/store", "migrations"},
		"github.com/googleapis/gax-go":                          {"internal/cloudrun", "internal/wake"},
		"github.com/jackc/pgx":                                  sql,
		"github.com/spf13/cobra":                                {"internal/cli"},
		"github.com/spf13/pflag":                                {"internal/cli"},
		"go.yaml.in/yaml":                                       {"internal/emulator", "internal/workflow"},
		"golang.org/x/net/http2/hpack":                          {"internal/emulator"},
		"golang.org/x/sync":                                     {"internal/engine"},
		"golang.org/x/term":                                     {"local/orchestrator"},
		"google.golang.org/api":                                 {"internal/cloudrun", "internal/wake"},
		"google.golang.org/genproto":                            cloudRunAPI,
		"google.golang.org/grpc":                                google,
		"google.golang.org/protobuf":                            google,
		"net/http":                                              {"functions", "functions/server", "internal/api", "internal/app", "internal/cli", "internal/emulator", "local/orchestrator"},
		"os/exec":                                               {"internal/emulator", "internal/localpg", "internal/testdb", "local/orchestrator"},
		"testing":                                               {"internal/testdb"},
	}
}

// pure packages decide and remember nothing: whatever they need is an argument.
func pure() []string { return []string{"internal/lifecycle", "internal/workflow"} }

// outside is how a package reaches the world.
func outside() []string {
	return []string{"context", "database/sql", "io/fs", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand", "net", "os", "os/exec", "syscall"}
}

func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	t.Parallel()
	allowed := mayImport()
	files := productionFiles(t)
	for _, f := range files {
		list, known := allowed[f.dir]
		if !known {
			t.Errorf("%s: the package has no line in mayImport", f.dir)
			continue
		}
		for _, imported := range f.imports() {
			if own, ok := strings.CutPrefix(imported, module); ok && !slices.Contains(list, own) {
				t.Errorf("%s: %s may not import %s", f.path, f.dir, own)
			}
		}
	}
	for dir := range allowed {
		if !slices.ContainsFunc(files, func(f file) bool { return f.dir == dir }) {
			t.Errorf("mayImport has a line for %s, which is not there", dir)
		}
	}
}

func TestDependenciesHaveFewOwners(t *testing.T) {
	t.Parallel()
	owners := onlyIn()
	for _, f := range productionFiles(t) {
		for _, imported := range f.imports() {
			prefix := longestPrefix(owners, imported)
			first, _, _ := strings.Cut(imported, "/")
			switch {
			case strings.HasPrefix(imported, module):
			case prefix == "" && strings.Contains(first, "."):
				t.Errorf("%s: the dependency %s has no line in onlyIn", f.path, imported)
			case prefix != "" && !slices.Contains(owners[prefix], f.dir):
				t.Errorf("%s: %s belongs to %s", f.path, imported, strings.Join(owners[prefix], ", "))
			}
		}
	}
}

func longestPrefix(owners map[string][]string, imported string) string {
	longest := ""
	for prefix := range owners {
		if (imported == prefix || strings.HasPrefix(imported, prefix+"/")) && len(prefix) > len(longest) {
			longest = prefix
		}
	}
	return longest
}

func TestDecisionsReachNothingOutside(t *testing.T) {
	t.Parallel()
	for _, f := range productionFiles(t) {
		if !slices.Contains(pure(), f.dir) {
			continue
		}
		for _, imported := range f.imports() {
			if slices.Contains(outside(), imported) || strings.HasPrefix(imported, "net/") {
				t.Errorf("%s: %s decides, and may not import %s", f.path, f.dir, imported)
			}
		}
	}
}

// The time of a decision is the database's, read once per pass and handed on.
func TestDecisionsDoNotReadTheClock(t *testing.T) {
	t.Parallel()
	for _, f := range productionFiles(t) {
		isPhase := f.dir == "internal/engine" && strings.HasPrefix(path.Base(f.path), "phase_")
		if slices.Contains(pure(), f.dir) || isPhase {
			f.refuse(t, "time", "take the time as an argument", "Now", "Since", "Until")
		}
	}
}

// Settings come through config, which the mains hand the environment to. The emulator reads it for what its tasks inherit, testdb for the tests' server,
// and crash, in builds for tests, for where to die.
func TestOnlyMainsReadTheEnvironment(t *testing.T) {
	t.Parallel()
	for _, f := range productionFiles(t) {
		if f.ast.Name.Name != "main" && f.dir != "internal/emulator" && f.dir != "internal/testdb" && f.dir != "internal/crash" {
			f.refuse(t, "os", "take getenv as an argument", "Getenv", "LookupEnv", "Environ", "ExpandEnv")
		}
	}
}

func TestNoTestIsSkipped(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && f.isTest && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, s.Sel.Name) {
				t.Errorf("%s: a test that cannot run must fail", f.at(s))
			}
			return true
		})
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	comments := map[string]int{}
	for _, f := range productionFiles(t) {
		comments[f.dir] += 0
		if f.ast.Doc == nil {
			continue
		}
		comments[f.dir]++
		beginning := "Package " + f.ast.Name.Name + " "
		if f.ast.Name.Name == "main" {
			beginning = "Command " + path.Base(f.dir) + " "
		}
		if text := f.ast.Doc.Text(); !strings.HasPrefix(text, beginning) {
			t.Errorf("%s: the package's comment begins with %q, want %q", f.path, firstLine(text), beginning)
		}
	}
	for dir, n := range comments {
		if n != 1 {
			t.Errorf("%s: %d comments on the package, want one", dir, n)
		}
	}
}

func TestFilesStayReadable(t *testing.T) {
	t.Parallel()
	const most = 500
	for _, f := range productionFiles(t) {
		if n := f.set.File(f.ast.Pos()).LineCount(); n > most {
			t.Errorf("%s: %d lines, want %d at most", f.path, n, most)
		}
	}
}

func TestNothingRunsBeforeMain(t *testing.T) {
	t.Parallel()
	for _, f := range productionFiles(t) {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: no init functions; let the mains call it", f.at(fn))
			}
		}
	}
}
