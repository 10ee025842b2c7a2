package internal_test

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// file is one Go file of the module.
type file struct {
	path   string // relative to the module, with slashes, as is dir
	dir    string
	isTest bool
	set    *token.FileSet
	ast    *ast.File
}

func (f file) imports() []string {
	var list []string
	for _, i := range f.ast.Imports {
		if name, err := strconv.Unquote(i.Path.Value); err == nil {
			list = append(list, name)
		}
	}
	return list
}

// at is the place of a node, as an editor takes it.
func (f file) at(n ast.Node) string {
	return f.path + ":" + strconv.Itoa(f.set.Position(n.Pos()).Line)
}

// refuse reports every mention of some names of a package of the standard library, by whatever name it is imported.
func (f file) refuse(t *testing.T, pkg, instead string, names ...string) {
	t.Helper()
	local := ""
	for _, i := range f.ast.Imports {
		if i.Path.Value == strconv.Quote(pkg) {
			local = path.Base(pkg)
			if i.Name != nil {
				local = i.Name.Name
			}
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok || local == "" || !slices.Contains(names, s.Sel.Name) {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && x.Name == local {
			t.Errorf("%s: %s.%s; %s", f.at(s), pkg, s.Sel.Name, instead)
		}
		return true
	})
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func productionFiles(t *testing.T) []file {
	t.Helper()
	return slices.DeleteFunc(goFiles(t), func(f file) bool { return f.isTest })
}

// goFiles reads every Go file of the module itself, so that the test's cache sees them.
func goFiles(t *testing.T) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() != ".." && strings.HasPrefix(d.Name(), "."), d.IsDir() && d.Name() == "testdata":
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		f := file{path: strings.TrimPrefix(filepath.ToSlash(name), "../"), isTest: strings.HasSuffix(name, "_test.go"), set: token.NewFileSet()}
		f.dir = path.Dir(f.path)
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f.ast, err = parser.ParseFile(f.set, f.path, text, parser.ParseComments)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("only %d files found", len(files))
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.path, b.path) })
	return files
}
