package workflow

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Problem is one thing that is wrong with a document, or worth a look.
type Problem struct {
	File         string // empty where the document has no name
	Line, Column int    // from 1, the column in characters; 0 where there is no document
	Path         string // as in steps.transform.needs[0]; empty for the whole document
	Message      string
}

// String is nightly-report.yaml:14:5: deadline: what is wrong; without a file's name it begins with line 14, column 5.
func (p Problem) String() string {
	var b strings.Builder
	switch {
	case p.File != "" && p.Line > 0:
		fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	case p.File != "":
		b.WriteString(p.File + ": ")
	case p.Line > 0:
		fmt.Fprintf(&b, "line %d, column %d: ", p.Line, p.Column)
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Problems is everything that is wrong with a document, in the order of the document. It is never empty where it is an error.
type Problems []Problem

// Error gives one line per problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// maxProblems is how many problems of one document are told. Whoever has more has one cause for most of them.
const maxProblems = 100

// report collects problems and warnings of one document.
type report struct {
	file               string
	end                node // behind the last character, where that is known: the YAML parser adds a line break to every text, and puts some mistakes behind it
	problems, warnings Problems
}

// fault adds a problem with the value at n.
func (r *report) fault(n *node, format string, args ...any) {
	r.add(n, n.path(), fmt.Sprintf(format, args...))
}

// missing adds a problem with a field that the mapping n lacks.
func (r *report) missing(n *node, field, format string, args ...any) {
	r.add(n, joinPath(n.path(), field), fmt.Sprintf(format, args...))
}

func (r *report) add(n *node, path, message string) {
	if !r.full() {
		line, column := r.place(n)
		r.problems = append(r.problems, Problem{File: r.file, Line: line, Column: column, Path: beginning(path, 150), Message: message})
	}
}

// place is where n stands, which is inside the document.
func (r *report) place(n *node) (line, column int) {
	if r.end.line > 0 && n.line > r.end.line {
		n = &r.end
	}
	return n.line, n.column
}

// full says that further problems would not be told.
func (r *report) full() bool { return len(r.problems) >= maxProblems }

func (r *report) warn(n *node, format string, args ...any) {
	line, column := r.place(n)
	r.warnings = append(r.warnings, Problem{File: r.file, Line: line, Column: column, Path: n.path(), Message: fmt.Sprintf(format, args...)})
}

// err is what was reported, as an error; nil where it is nothing.
func (r *report) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	r.problems.sort()
	if r.full() {
		r.problems = append(r.problems, Problem{File: r.file, Message: fmt.Sprintf("only the first %d problems found are listed", maxProblems)})
	}
	return r.problems
}

// quoted shows text in a message: in quotes, and not more of it than helps.
func quoted(s string) string {
	short := beginning(s, 60)
	if short != s {
		return strconv.Quote(strings.TrimSuffix(short, "…")) + "…"
	}
	return strconv.Quote(s)
}

// beginning is a text, or its first characters and … where it is too long for a message.
func beginning(s string, most int) string {
	runes := 0
	for i := range s {
		if runes++; runes > most {
			return s[:i] + "…"
		}
	}
	return s
}

// grouped writes 1000000 as 1,000,000.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
