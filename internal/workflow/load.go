package workflow

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Limits of a document.
const (
	MaxDocumentBytes = 1 << 20 // as written, and as JSON with aliases written out
	maxDepth         = 64
)

// loader turns a document into nodes.
type loader struct {
	report
	left int // bytes of MaxDocumentBytes that are left; below 0 loading has been given up
}

// load gives the document's root, or nil with at least one problem reported.
func (l *loader) load(doc []byte, isJSON bool) *node {
	start := &node{line: 1, column: 1}
	if len(doc) > MaxDocumentBytes {
		l.fault(start, "the document has %s bytes; at most %s are allowed", grouped(len(doc)), grouped(MaxDocumentBytes))
		return nil
	}
	doc = bytes.TrimPrefix(doc, []byte("\ufeff"))
	if !l.checkText(doc) {
		return nil
	}
	if len(bytes.TrimSpace(doc)) == 0 {
		l.fault(start, "the document is empty")
		return nil
	}
	l.left = MaxDocumentBytes
	var root *node
	switch {
	case isJSON:
		root = l.loadJSON(doc, "")
	case bytes.HasPrefix(bytes.TrimSpace(doc), []byte("{")):
		root = l.loadJSON(doc, " (a document that begins with { is taken for JSON)")
	default:
		root = l.loadYAML(doc)
	}
	if root == nil || l.left < 0 {
		return nil
	}
	if n := len(appendJSON(nil, root)); n > MaxDocumentBytes {
		l.tooLarge(root)
		return nil
	}
	return root
}

// checkText reports the first byte that no document may hold.
func (l *loader) checkText(doc []byte) bool {
	at := &node{line: 1}
	for rest := doc; len(rest) > 0; {
		at.column++
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			l.fault(at, "the document is not UTF-8 text: byte 0x%02x", rest[0])
			return false
		case r == '\n':
			at.line, at.column = at.line+1, 0
		case r < 0x20 && r != '\t' && r != '\r':
			l.fault(at, "the control character 0x%02x is not allowed", r)
			return false
		}
		rest = rest[size:]
	}
	return true
}

// spend takes a value's size off what the document may still hold, and says whether loading goes on.
func (l *loader) spend(n *node) bool {
	if l.left < 0 {
		return false
	}
	l.left -= len(n.text) + len(n.name) + 1
	if l.left < 0 {
		root := n
		for root.up != nil {
			root = root.up
		}
		l.tooLarge(root)
	}
	return l.left >= 0
}

func (l *loader) tooLarge(root *node) {
	l.fault(root, "the document has more than %s bytes as JSON, with its aliases written out", grouped(MaxDocumentBytes))
}

// deep reports a value that is nested too deeply.
func (l *loader) deep(n *node) bool {
	depth := 0
	for up := n.up; up != nil; up = up.up {
		depth++
	}
	if depth > maxDepth {
		l.fault(n, "nested deeper than %d levels", maxDepth)
		return true
	}
	return false
}

// checkNUL refuses what neither an environment nor the database can hold.
func (l *loader) checkNUL(n *node) {
	if strings.Contains(n.text, "\x00") || strings.Contains(n.name, "\x00") {
		l.fault(n, "text with a NUL character is not allowed")
	}
}

// fields tells of repeated names while a mapping is loaded.
type fields map[string]int // name → line of its first use

// isNew says whether the field is the first of its name, and reports it otherwise.
func (l *loader) isNew(seen fields, n *node) bool {
	line, repeated := seen[n.name]
	if repeated {
		l.fault(n, "given twice; the first is on line %d", line)
		return false
	}
	seen[n.name] = n.line
	return true
}
