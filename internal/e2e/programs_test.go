package e2e_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The programs under test.
const (
	orchestrator = "orchestrator"
	server       = "server"
	migrate      = "migrate"
	primes       = "primes"
	// mortal is server with crash points: it dies where CRASH_AT says.
	mortal = "mortal"
	// apart is the command orchestrator with other defaults: it looks for an orchestrator and a PostgreSQL where nobody is, and not at
	// localhost:8080 and :5432, where a person's own may be. It stands for orchestrator where ORCHESTRATOR_URL or DATABASE_URL is not set.
	apart = "apart"
)

// nobodyHere are ports for apart to look at. They belong to no known service and lie below those that systems give out.
const (
	noOrchestrator = "http://localhost:1009"
	noPostgres     = "postgres://postgres:postgres@localhost:1010/"
)

// Most of these tests wait for other processes most of the time.
const atOnce = "8"

// binDir is where TestMain lets the programs be built.
const binDirVar = "E2E_BIN_DIR"

func TestMain(m *testing.M) {
	os.Exit(withPrograms(m))
}

func withPrograms(m *testing.M) int {
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		_ = parallel.Value.Set(atOnce)
	}
	dir, err := os.MkdirTemp("", "orchestrator-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = errors.Join(os.Chmod(dir, 0o755), build(dir)) // other users run the programs, too
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the programs:", err)
		return 1
	}
	_ = os.Setenv(binDirVar, dir)
	return m.Run()
}

// program is the path of a built program.
func program(t *testing.T, name string) string {
	t.Helper()
	trackSources()
	return filepath.Join(os.Getenv(binDirVar), name)
}

// moduleRoot is the folder of go.mod.
func moduleRoot() string {
	root, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return root
}

// trackSources looks at every source, so that "go test" sees that the result depends on them. It knows the files that a test itself reads,
// not those that the compiler reads for it, and would answer from its cache after a change.
var trackSources = sync.OnceFunc(func() {
	for _, dir := range []string{"functions", "internal", "local", "migrations"} {
		_ = filepath.WalkDir(filepath.Join(moduleRoot(), dir), func(string, fs.DirEntry, error) error { return nil })
	}
})

// build builds every program into dir. Symbols are left out, because linking takes most of the time.
func build(dir string) error {
	err := goBuild("-o", dir+"/", "./local/orchestrator", "./functions/server", "./migrations/migrate", "./local/examples/primes")
	if err != nil {
		return err
	}
	if err := goBuild("-tags", "crashpoints", "-o", filepath.Join(dir, mortal), "./functions/server"); err != nil {
		return err
	}
	overlay, err := elsewhere(dir)
	if err != nil {
		return err
	}
	return goBuild("-overlay", overlay, "-o", filepath.Join(dir, apart), "./local/orchestrator")
}

// stamp is what make build and the Dockerfile give to the linker.
const (
	released = "v0.0.0-e2e"
	stamp    = "-X cloud-run-orchestrator/internal/release.version=" + released + " -X cloud-run-orchestrator/internal/release.commit=0123456789abcdef"
)

func goBuild(args ...string) error {
	cmd := exec.Command("go", append([]string{"build", "-ldflags=-s -w " + stamp}, args...)...)
	cmd.Dir = moduleRoot()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return nil
}

// elsewhere writes an overlay for the compiler in which the default places are those of apart.
func elsewhere(dir string) (file string, err error) {
	replace := map[string]string{}
	for _, r := range []struct{ file, was, is string }{
		{"internal/cli/cli.go", `"http://localhost:8080"`, `"` + noOrchestrator + `"`},
		{"internal/localpg/resolve.go", `"postgres://postgres:postgres@localhost:5432/"`, `"` + noPostgres + `"`},
	} {
		path := filepath.Join(moduleRoot(), r.file)
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if n := strings.Count(string(text), r.was); n != 1 {
			return "", fmt.Errorf("%s has %s %d times; want it once", r.file, r.was, n)
		}
		replaced := filepath.Join(dir, filepath.Base(r.file))
		if err := os.WriteFile(replaced, []byte(strings.Replace(string(text), r.was, r.is, 1)), 0o600); err != nil {
			return "", err
		}
		replace[path] = replaced
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, text, 0o600)
}
