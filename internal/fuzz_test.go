package internal_test

import (
	"go/ast"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A target without a corpus begins with nothing, and what it found is forgotten.
func TestEveryFuzzTargetHasACorpus(t *testing.T) {
	t.Parallel()
	targets := map[string]bool{}
	for _, f := range goFiles(t) {
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !f.isTest || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Fuzz") {
				continue
			}
			corpus := filepath.Join(f.dir, "testdata", "fuzz", fn.Name.Name)
			targets[corpus] = true
			if seeds, err := os.ReadDir(filepath.Join("..", corpus)); err != nil || len(seeds) == 0 {
				t.Errorf("%s: %s has no seeds in %s", f.at(fn), fn.Name.Name, corpus)
			}
		}
	}
	if len(targets) < 10 {
		t.Errorf("only %d fuzz targets were found", len(targets))
	}
	kept, err := filepath.Glob("../*/testdata/fuzz/*")
	more, err2 := filepath.Glob("../*/*/testdata/fuzz/*")
	for _, corpus := range append(kept, more...) {
		if !targets[strings.TrimPrefix(filepath.ToSlash(corpus), "../")] {
			t.Errorf("%s belongs to no target", corpus)
		}
	}
	if err != nil || err2 != nil {
		t.Error(err, err2)
	}
}
