package crash_test

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write points.txt anew")

// A new commit or call to Cloud Run is a new point, and appears here. The test that kills at every point reads the same list, and fails when it cannot reach one.
func TestEveryCommitAndCallOfEveryPhaseIsAPoint(t *testing.T) {
	t.Parallel()
	engine, store, client := read(t, "engine"), read(t, "store"), read(t, "cloudrun")
	commits, calls := store.commits(), client.calls()
	var points []string
	for phase, begin := range engine.phases() {
		for operation := range engine.operations(begin, commits, calls) {
			points = append(points, phase+"."+operation+".before", phase+"."+operation+".after")
		}
	}
	slices.Sort(points)
	if len(points) < 60 {
		t.Errorf("only %d points were found: %v", len(points), points)
	}
	const name = "points.txt"
	text := strings.Join(points, "\n") + "\n"
	if *update {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	known, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(known), text); diff != "" {
		t.Errorf("the points have changed; if it is meant, run: go test ./internal/crash -update\n%s", diff)
	}
}

// source is a package. Its code is found by names alone: a method belongs to the variable that its receiver is always called, or to a field
// called like its type. What this finds too much, no test can reach, and what it finds too little is reached and not known.
type source struct {
	functions map[string]*ast.FuncDecl            // by name
	methods   map[string]map[string]*ast.FuncDecl // by the receiver's name or type, and name
	texts     map[string]string                   // constants of SQL
}

func read(t *testing.T, pkg string) source {
	t.Helper()
	s := source{functions: map[string]*ast.FuncDecl{}, methods: map[string]map[string]*ast.FuncDecl{}, texts: map[string]string{}}
	files, err := filepath.Glob(filepath.Join("..", pkg, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("package %s: %v", pkg, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			s.take(d)
		}
	}
	return s
}

func (s source) take(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			s.functions[d.Name.Name] = d
			return
		}
		receiver := d.Recv.List[0]
		kind := receiver.Type
		if star, ok := kind.(*ast.StarExpr); ok {
			kind = star.X
		}
		owners := []string{text(kind)}
		for _, name := range receiver.Names {
			owners = append(owners, name.Name)
		}
		for _, owner := range owners {
			if s.methods[owner] == nil {
				s.methods[owner] = map[string]*ast.FuncDecl{}
			}
			s.methods[owner][d.Name.Name] = d
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			v, ok := spec.(*ast.ValueSpec)
			if !ok || d.Tok != token.CONST {
				continue
			}
			for i, name := range v.Names {
				if i < len(v.Values) {
					s.texts[name.Name] = text(v.Values[i])
				}
			}
		}
	}
}

// text is all literal text and all names in an expression.
func text(e ast.Expr) string {
	var all strings.Builder
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			all.WriteString(n.Value)
		case *ast.Ident:
			all.WriteString(n.Name)
		}
		return true
	})
	return all.String()
}

// called is the function or method of the package that an expression names; nil where it names none.
func (s source) called(n ast.Node) *ast.FuncDecl {
	switch n := n.(type) {
	case *ast.SelectorExpr:
		return s.methods[owner(n)][n.Sel.Name]
	case *ast.Ident:
		return s.functions[n.Name]
	}
	return nil
}

// walk visits everything in a function and in those of the package that it comes to, each once. visit says whether to go on below a node.
func (s source) walk(begin *ast.FuncDecl, visit func(ast.Node) bool) {
	seen := map[*ast.FuncDecl]bool{}
	var follow func(*ast.FuncDecl)
	follow = func(f *ast.FuncDecl) {
		if f == nil || seen[f] {
			return
		}
		seen[f] = true
		ast.Inspect(f.Body, func(n ast.Node) bool {
			if n == nil || !visit(n) {
				return false
			}
			follow(s.called(n))
			return true
		})
	}
	follow(begin)
}

// owner is the last name before the selected one.
func owner(s *ast.SelectorExpr) string {
	switch x := s.X.(type) {
	case *ast.SelectorExpr:
		return x.Sel.Name
	case *ast.Ident:
		return x.Name
	}
	return ""
}

// phases are where each phase of a tick begins, and the tick itself, and requests.
func (s source) phases() map[string][]*ast.FuncDecl {
	engine := s.methods["Engine"]
	begin := map[string][]*ast.FuncDecl{"tick": {engine["Tick"]}, "request": {engine["Trigger"], engine["Cancel"]}}
	ast.Inspect(engine["phases"], func(n ast.Node) bool {
		entry, ok := n.(*ast.CompositeLit)
		if !ok || len(entry.Elts) != 2 {
			return true
		}
		name, ok := entry.Elts[0].(*ast.BasicLit)
		method, ok2 := entry.Elts[1].(*ast.SelectorExpr)
		if ok && ok2 {
			begin[strings.Trim(name.Value, `"`)] = []*ast.FuncDecl{engine[method.Sel.Name]}
		}
		return true
	})
	return begin
}

// operations are the commits and calls that some functions come to.
func (s source) operations(begin []*ast.FuncDecl, commits, calls map[string][]string) map[string]bool {
	found := map[string]bool{}
	for _, f := range begin {
		s.walk(f, func(n ast.Node) bool {
			selected, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			ops := map[string]map[string][]string{"Store": commits, "CloudRun": calls}[owner(selected)]
			for _, op := range ops[selected.Sel.Name] {
				found[op] = true
			}
			return ops == nil && selected.Sel.Name != "phases" // the phases have points of their own
		})
	}
	return found
}

var writes = regexp.MustCompile(`\b(INSERT INTO|DELETE FROM)\b|(?s)\bUPDATE\s+\w+.*?\bSET\b`)

// commits are the methods of the store that commit something.
func (s source) commits() map[string][]string {
	all := map[string][]string{}
	for name, method := range s.methods["Store"] {
		s.walk(method, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && (writes.MatchString(s.texts[id.Name]) || id.Name == "inTx") {
				all[name] = []string{name}
			}
			return true
		})
	}
	return all
}

// calls are the methods of the client with the methods of Cloud Run's API that they call.
func (s source) calls() map[string][]string {
	services := []string{"jobs", "executions", "tasks"}
	all := map[string][]string{}
	for name, method := range s.methods["Client"] {
		s.walk(method, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 { // a context and a request
				return true
			}
			if rpc, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains(services, owner(rpc)) {
				all[name] = append(all[name], rpc.Sel.Name)
			}
			return true
		})
	}
	return all
}
