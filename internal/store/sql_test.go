package store

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"strings"
	"testing"

	"cloud-run-orchestrator/internal/testdb"
)

// TestEveryStatementIsAccepted has the server parse and plan every constant whose name ends in SQL, on the migrated schema.
func TestEveryStatementIsAccepted(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	conn, err := db.Pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	statements := statementsOf(t, ".")
	for _, i := range invariants {
		statements["invariant: "+i.name] = i.sql
	}
	if len(statements) < 40 {
		t.Fatalf("only %d statements were found", len(statements))
	}
	for name, sql := range statements {
		if _, err := conn.Conn().Prepare(t.Context(), name, sql); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// statementsOf evaluates the constants of the package in dir.
func statementsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	config := types.Config{Error: func(error) {}} // without imports all else fails to check, but not constant texts
	pkg, _ := config.Check("store", fset, files, nil)
	found := map[string]string{}
	for _, name := range pkg.Scope().Names() {
		if c, ok := pkg.Scope().Lookup(name).(*types.Const); ok && strings.HasSuffix(name, "SQL") {
			found[name] = constant.StringVal(c.Val())
		}
	}
	return found
}
