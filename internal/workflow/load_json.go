package workflow

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// jsonReader walks over a document that is known to be valid JSON, and keeps the place.
type jsonReader struct {
	*loader
	doc  []byte
	pos  int
	line int // of the byte at marked
	col  int
	mark int // how far line and col have been counted
}

// loadJSON reads a JSON document; hint ends the message where it is none.
func (l *loader) loadJSON(doc []byte, hint string) *node {
	j := &jsonReader{loader: l, doc: doc, line: 1, col: 1}
	var raw json.RawMessage
	if err := json.Unmarshal(doc, &raw); err != nil {
		at := &node{line: 1, column: 1}
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			j.pos = min(max(int(syntax.Offset)-1, 0), len(doc))
			if strings.HasPrefix(syntax.Error(), "unexpected end") {
				j.pos = len(doc)
			}
			j.place(at)
		}
		l.fault(at, "not valid JSON: %v%s", err, hint)
		return nil
	}
	root := &node{}
	j.skipBlanks()
	j.place(root)
	j.value(root)
	return root
}

// place gives n the present position. Positions only grow, so that counting them costs one walk over the document.
func (j *jsonReader) place(n *node) {
	for j.mark < j.pos {
		r, size := utf8.DecodeRune(j.doc[j.mark:])
		if j.col++; r == '\n' {
			j.line, j.col = j.line+1, 1
		}
		j.mark += size
	}
	n.line, n.column = j.line, j.col
}

func (j *jsonReader) skipBlanks() {
	for j.pos < len(j.doc) && strings.IndexByte(" \t\r\n", j.doc[j.pos]) >= 0 {
		j.pos++
	}
}

// value reads the value at the present position into n, whose place and name are known.
func (j *jsonReader) value(n *node) {
	switch c := j.doc[j.pos]; c {
	case '{':
		n.kind = mappingKind
		j.mapping(n)
	case '[':
		n.kind = listKind
		j.list(n)
	case '"':
		n.kind, n.text = textKind, j.text(n)
	case 'n':
		j.pos += len("null")
	case 't', 'f':
		n.kind, n.text = boolKind, j.word()
	default:
		n.kind, n.text = numberKind, j.word()
	}
	j.checkNUL(n)
	j.spend(n)
}

func (j *jsonReader) mapping(n *node) {
	if j.skipDeep(n) {
		return
	}
	seen := fields{}
	for j.next('}') {
		c := &node{up: n}
		j.place(c)
		c.name = j.text(c)
		j.skipBlanks()
		j.pos++ // the colon
		j.skipBlanks()
		j.value(c)
		if j.isNew(seen, c) {
			n.children = append(n.children, c)
		}
	}
}

func (j *jsonReader) list(n *node) {
	if j.skipDeep(n) {
		return
	}
	for i := 0; j.next(']'); i++ {
		c := &node{up: n, index: i}
		j.place(c)
		j.value(c)
		n.children = append(n.children, c)
	}
}

// skipDeep jumps over a list or mapping that is nested too deeply.
func (j *jsonReader) skipDeep(n *node) bool {
	if !j.deep(n) {
		return false
	}
	for depth := 0; ; {
		switch j.doc[j.pos] {
		case '"':
			j.literal()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if j.pos++; depth == 0 {
			return true
		}
	}
}

// next goes to the next element of a list or mapping, or over its end.
func (j *jsonReader) next(end byte) bool {
	j.skipBlanks()
	if j.doc[j.pos] != end {
		j.pos++ // the opening bracket or a comma
		j.skipBlanks()
	}
	if j.doc[j.pos] == end {
		j.pos++
		return false
	}
	return true
}

func (j *jsonReader) word() string {
	start := j.pos
	for j.pos < len(j.doc) && strings.IndexByte(" \t\r\n,]}", j.doc[j.pos]) < 0 {
		j.pos++
	}
	return string(j.doc[start:j.pos])
}

// text reads a string. Half of a surrogate pair, which is no character, is a problem of n.
func (j *jsonReader) text(n *node) string {
	literal := j.literal()
	var s string
	if err := json.Unmarshal([]byte(literal), &s); err != nil {
		j.fault(n, "not valid JSON: %v", err)
	}
	replaced := strings.Count(literal, "\ufffd") + strings.Count(strings.ToLower(literal), `\ufffd`)
	if strings.Count(s, "\ufffd") > replaced {
		j.fault(n, `an escape from \ud800 to \udfff is half of a character; write both halves, or the character itself`)
	}
	return s
}

// literal reads a string as it is written, quotes included.
func (j *jsonReader) literal() string {
	start := j.pos
	for j.pos++; j.doc[j.pos] != '"'; j.pos++ {
		if j.doc[j.pos] == '\\' {
			j.pos++
		}
	}
	j.pos++
	return string(j.doc[start:j.pos])
}
