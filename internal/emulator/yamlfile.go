package emulator

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// readYAML gives the top of a YAML file.
func readYAML(file string, text []byte) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Load(text, &doc); err != nil {
		return nil, syntaxError(file, text, err)
	}
	line, column := endOf(text)
	keepInside(doc.Content[0], line, column)
	return doc.Content[0], nil
}

// keepInside moves what stands behind the end of the text to its end: the parser adds a line break to every text, and may find a value behind it.
func keepInside(n *yaml.Node, line, column int) {
	if n.Line > line {
		n.Line, n.Column = line, column
	}
	for _, c := range n.Content {
		keepInside(c, line, column)
	}
}

// lineBreaks brings all that the YAML parser takes for the end of a line into one form.
var lineBreaks = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

// endOf is the place behind a text's last character.
func endOf(text []byte) (line, column int) {
	lines := strings.Split(lineBreaks.Replace(string(text)), "\n")
	return len(lines), utf8.RuneCountInString(lines[len(lines)-1]) + 1
}

// syntaxError says where the text is no YAML.
func syntaxError(file string, text []byte, err error) error {
	var at *yaml.LoadError
	if !errors.As(err, &at) {
		return fmt.Errorf("%s: %w", file, err)
	}
	message := strings.TrimPrefix(at.Message, "yaml: ")
	if at.ContextMsg != "" {
		message = at.ContextMsg + ": " + message
	}
	line, column := endOf(text)
	if at.Mark.Line <= line {
		line, column = max(at.Mark.Line, 1), max(at.Mark.Column, 1)
	}
	return fmt.Errorf("%s:%d:%d: %s", file, line, column, message)
}

// fileReader walks a YAML file and collects what is wrong with it.
type fileReader struct{ faults []fileFault }

type fileFault struct {
	line, column int
	text         string
}

func (r *fileReader) fault(n *yaml.Node, path, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if path != "" {
		text = path + ": " + text
	}
	r.faults = append(r.faults, fileFault{n.Line, n.Column, text})
}

// err joins the faults in the order of the file.
func (r *fileReader) err(file string) error {
	slices.SortStableFunc(r.faults, func(a, b fileFault) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	var errs []error
	for _, f := range r.faults {
		errs = append(errs, fmt.Errorf("%s:%d:%d: %s", file, f.line, f.column, f.text))
	}
	return errors.Join(errs...)
}

// entries gives the values of a mapping by key, and reports what is not one and keys that stand there twice.
func (r *fileReader) entries(n *yaml.Node, path string) map[string]*yaml.Node {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		r.fault(n, path, "must be a mapping of names to values")
		return nil
	}
	values := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		key := resolve(n.Content[i])
		if _, twice := values[key.Value]; twice || key.Kind != yaml.ScalarNode {
			r.fault(n.Content[i], path, "%q stands there twice, or is no name", key.Value)
			continue
		}
		values[key.Value] = resolve(n.Content[i+1])
	}
	return values
}

// mapping gives the fields of a mapping, and reports those that are not known.
func (r *fileReader) mapping(n *yaml.Node, path string, known ...string) (map[string]*yaml.Node, bool) {
	fields := r.entries(n, path)
	for name, value := range fields {
		if !slices.Contains(known, name) {
			r.fault(value, strings.TrimPrefix(path+"."+name, "."), "there is no such field; allowed are %s", strings.Join(known, ", "))
		}
	}
	return fields, fields != nil
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func (r *fileReader) text(n *yaml.Node, path string) string {
	if n.Kind != yaml.ScalarNode {
		r.fault(n, path, "must be a text")
		return ""
	}
	if strings.ContainsRune(n.Value, 0) {
		r.fault(n, path, "must not contain a NUL byte")
	}
	return n.Value
}

func (r *fileReader) words(n *yaml.Node, path string) []string {
	if n.Kind != yaml.SequenceNode {
		r.fault(n, path, "must be a list of words, as in [a, b]")
		return []string{""} // not empty, so that nothing else is said of it
	}
	var words []string
	for i, item := range n.Content {
		words = append(words, r.text(resolve(item), fmt.Sprintf("%s[%d]", path, i)))
	}
	return words
}

func (r *fileReader) number(n *yaml.Node, path string, low, high int) int {
	i, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || i < low || i > high {
		r.fault(n, path, "%s is not a whole number from %d to %d", describe(n), low, high)
	}
	return i
}

func (r *fileReader) duration(n *yaml.Node, path string) time.Duration {
	text := n.Value
	var total time.Duration
	if days, rest, ok := strings.Cut(text, "d"); ok {
		d, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			rest = "?"
		}
		total, text = time.Duration(d)*24*time.Hour, cmp.Or(rest, "0")
	}
	d, err := time.ParseDuration(text)
	total += d
	if n.Kind != yaml.ScalarNode || err != nil || d < 0 || total <= 0 || total > maxTimeout {
		r.fault(n, path, "%s is not a duration above 0 and up to 7d; write 90s, 10m, 1h30m or 7d", describe(n))
	}
	return total
}

// describe names a value in a message.
func describe(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode {
		return "a list or mapping"
	}
	return strconv.Quote(n.Value)
}
