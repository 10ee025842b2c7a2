package workflow

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// yamlReader copies YAML's own tree, with aliases and merges written out.
type yamlReader struct {
	*loader
	open map[*yaml.Node]bool // the anchors that are being written out
}

func (l *loader) loadYAML(doc []byte) *node {
	l.end = endOf(doc)
	var tree, second yaml.Node
	documents, err := yaml.NewLoader(bytes.NewReader(doc))
	if err == nil {
		err = documents.Load(&tree)
	}
	if errors.Is(err, io.EOF) || err == nil && len(tree.Content) == 0 {
		l.fault(&node{line: 1, column: 1}, "the document is empty")
		return nil
	}
	if err != nil {
		l.syntax(err)
		return nil
	}
	switch err := documents.Load(&second); {
	case err == nil:
		l.fault(&node{line: second.Line, column: second.Column}, "a second document begins here; a file holds one workflow")
		return nil
	case !errors.Is(err, io.EOF):
		l.syntax(err)
		return nil
	}
	y := &yamlReader{loader: l, open: map[*yaml.Node]bool{}}
	root := &node{line: tree.Content[0].Line, column: tree.Content[0].Column}
	y.value(root, tree.Content[0])
	return root
}

// syntax reports what the YAML parser refused. It tells no place for characters that YAML does not allow anywhere.
func (l *loader) syntax(err error) {
	at, message := &node{line: 1, column: 1}, err.Error()
	var load *yaml.LoadError
	if errors.As(err, &load) {
		message = load.Message
		if load.ContextMsg != "" {
			message = load.ContextMsg + ": " + message
		}
		if load.Mark.Line > 0 {
			at = &node{line: load.Mark.Line, column: max(load.Mark.Column, 1)}
		}
	}
	l.fault(at, "not valid YAML: %s", message)
}

// lineBreaks brings all that the YAML parser takes for the end of a line into one form.
var lineBreaks = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

// endOf is the place behind a document's last character.
func endOf(doc []byte) node {
	lines := strings.Split(lineBreaks.Replace(string(doc)), "\n")
	return node{line: len(lines), column: utf8.RuneCountInString(lines[len(lines)-1]) + 1}
}

// value copies source into n, whose place and name are known.
func (y *yamlReader) value(n *node, source *yaml.Node) {
	if source.Kind == yaml.AliasNode {
		y.alias(n, source.Alias)
		return
	}
	switch source.Kind {
	case yaml.ScalarNode:
		y.scalar(n, source)
	case yaml.SequenceNode:
		n.kind = listKind
	case yaml.MappingNode:
		n.kind = mappingKind
	}
	y.checkNUL(n)
	if !y.spend(n) || n.kind < listKind || y.deep(n) {
		return
	}
	if tag := source.ShortTag(); tag != "!!seq" && tag != "!!map" {
		y.fault(n, "the tag %s is not supported", quoted(tag))
		return
	}
	if n.kind == listKind {
		y.list(n, source)
		return
	}
	y.mapping(n, source)
}

func (y *yamlReader) alias(n *node, anchored *yaml.Node) {
	if y.open[anchored] {
		y.fault(n, "the alias *%s stands inside of what it repeats", anchored.Anchor)
		return
	}
	y.open[anchored] = true
	y.value(n, anchored)
	delete(y.open, anchored)
}

func (y *yamlReader) scalar(n *node, source *yaml.Node) {
	n.text = source.Value
	switch tag := source.ShortTag(); tag {
	case "!!str", "!!timestamp", "!!merge":
		n.kind = textKind
	case "!!int", "!!float":
		n.kind = numberKind
	case "!!bool":
		n.kind = boolKind
	case "!!null":
		n.kind, n.text = nullKind, ""
	default:
		y.fault(n, "the tag %s is not supported", quoted(tag))
	}
}

func (y *yamlReader) list(n *node, source *yaml.Node) {
	for i, element := range source.Content {
		if y.left < 0 {
			return
		}
		c := &node{up: n, index: i, line: element.Line, column: element.Column}
		y.value(c, element)
		n.children = append(n.children, c)
	}
}

func (y *yamlReader) mapping(n *node, source *yaml.Node) {
	seen := fields{}
	var merges []*yaml.Node
	for i := 0; i+1 < len(source.Content) && y.left >= 0; i += 2 {
		key, value := source.Content[i], source.Content[i+1]
		if key.ShortTag() == "!!merge" {
			merges = append(merges, value)
			continue
		}
		c := &node{up: n, line: key.Line, column: key.Column}
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!null" {
			y.add(c, n.path(), "the name of a field must be text")
			continue
		}
		c.name = key.Value
		y.value(c, value)
		if y.isNew(seen, c) {
			n.children = append(n.children, c)
		}
	}
	for _, merge := range merges {
		y.merge(n, seen, merge)
	}
}

// merge adds the fields of another mapping, or of several, where n has none of that name.
func (y *yamlReader) merge(n *node, seen fields, source *yaml.Node) {
	read := &node{up: n, name: "<<", line: source.Line, column: source.Column}
	y.value(read, source)
	others := []*node{read}
	if read.kind == listKind {
		others = read.children
	}
	for _, other := range others {
		if other.kind != mappingKind {
			y.fault(read, "%s cannot be merged; write a mapping or an alias of one", other.found())
			continue
		}
		for _, c := range other.children {
			if _, has := seen[c.name]; !has {
				seen[c.name] = c.line
				c.up = n
				n.children = append(n.children, c)
			}
		}
	}
}
