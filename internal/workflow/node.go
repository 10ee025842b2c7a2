package workflow

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// kind is what a value in a document is. Both YAML and JSON come down to these six.
type kind uint8

const (
	nullKind kind = iota
	boolKind
	numberKind
	textKind
	listKind
	mappingKind
)

// node is one value of a document, with its place. YAML's aliases and merges are written out.
type node struct {
	kind         kind
	line, column int    // where problems are reported: the name for the value of a field
	text         string // a text's value; the source of a number or boolean
	name         string // the field that it is the value of
	index        int    // its place in the list that holds it
	up           *node  // what holds it, nil for the document's root
	children     []*node
}

// child is the value of a field, nil where there is none.
func (n *node) child(name string) *node {
	if n == nil || n.kind != mappingKind {
		return nil
	}
	for _, c := range n.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// path is the way to the value, as in steps.transform.needs[0].
func (n *node) path() string {
	switch {
	case n.up == nil:
		return ""
	case n.up.kind == listKind:
		return n.up.path() + "[" + strconv.Itoa(n.index) + "]"
	}
	return joinPath(n.up.path(), n.name)
}

func joinPath(path, field string) string {
	if !isPlain(field) {
		field = quoted(field)
	}
	if path == "" {
		return field
	}
	return path + "." + field
}

// isPlain says whether a name can stand in a path without quotes.
func isPlain(s string) bool {
	return s != "" && len(s) <= 100 && strings.IndexFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-')
	}) < 0
}

// found says in a message what stands in the document.
func (n *node) found() string {
	switch n.kind {
	case nullKind:
		return "nothing"
	case boolKind, numberKind:
		return strings.Trim(quoted(n.text), `"`)
	case textKind:
		return quoted(n.text)
	case listKind:
		return "a list"
	}
	return "a mapping"
}

// isScalar says whether the value is a text, a number or a boolean.
func (n *node) isScalar() bool {
	return n.kind == textKind || n.kind == numberKind || n.kind == boolKind
}

// isLiteral says whether a number or boolean is spelled as JSON spells it. YAML also knows 0x1F, 010, .5 and True.
func (n *node) isLiteral() bool {
	if n.kind == boolKind {
		return n.text == "true" || n.text == "false"
	}
	return json.Valid([]byte(n.text)) && strings.Trim(n.text[:1], "-0123456789") == "" && isDigits(n.text[len(n.text)-1:])
}

// appendJSON writes the value as it was typed, fields in the order of the document.
// A number or boolean in a spelling that only YAML knows becomes a text: as anything else it is refused.
func appendJSON(dst []byte, n *node) []byte {
	switch n.kind {
	case nullKind:
		return append(dst, "null"...)
	case boolKind, numberKind:
		if n.isLiteral() {
			return append(dst, n.text...)
		}
		return appendText(dst, n.text)
	case textKind:
		return appendText(dst, n.text)
	}
	return appendChildren(dst, n, n.children, appendJSON)
}

// appendNormal writes the value in the one form that equal values share: compact, fields sorted, numbers without exponents.
func appendNormal(dst []byte, n *node) []byte {
	children := n.children
	switch n.kind {
	case numberKind:
		return append(dst, plainNumber(n.text)...)
	case mappingKind:
		children = slices.Clone(children)
		slices.SortFunc(children, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	case listKind:
	default:
		return appendJSON(dst, n)
	}
	return appendChildren(dst, n, children, appendNormal)
}

func appendChildren(dst []byte, n *node, children []*node, appendValue func([]byte, *node) []byte) []byte {
	open, end := byte('['), byte(']')
	if n.kind == mappingKind {
		open, end = '{', '}'
	}
	dst = append(dst, open)
	for i, c := range children {
		if i > 0 {
			dst = append(dst, ',')
		}
		if n.kind == mappingKind {
			dst = append(appendText(dst, c.name), ':')
		}
		dst = appendValue(dst, c)
	}
	return append(dst, end)
}

// appendText writes a JSON string. It escapes only what JSON demands, so that <, > and & stay readable in containers.
func appendText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c < 0x20:
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
