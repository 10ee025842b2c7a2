package workflow

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of a definition.
const (
	MaxTasks       = 1_000_000 // of a step
	MaxSteps       = 100
	MaxEnv         = 900 // variables of a step; Cloud Run takes 1,000, and ours need room
	MaxArgs        = 1000
	MaxLabels      = 64
	MaxDescription = 1000     // characters
	MaxValueBytes  = 32 << 10 // of an argument, a variable or an item, and of all params together as JSON

	maxLabelKey   = 63
	maxLabelValue = 255
)

// reader turns nodes into a Spec.
type reader struct {
	report
	spec Spec
	jobs []*node
}

// mapping says whether n is a mapping, and reports fields that are not allowed in it.
func (r *reader) mapping(n *node, example string, allowed ...string) bool {
	if n.kind != mappingKind {
		r.mismatch(n, "a mapping", example)
		return false
	}
	r.unknown(n, allowed)
	return true
}

// unknown reports the fields of a mapping that are neither allowed nor told already.
func (r *reader) unknown(n *node, allowed []string, told ...string) {
	for _, c := range n.children {
		if !slices.Contains(allowed, c.name) && !slices.Contains(told, c.name) && !r.full() {
			r.fault(c, "unknown field; allowed here: %s%s", strings.Join(allowed, ", "), didYouMean(c.name, allowed))
		}
	}
}

// mismatch reports a value of the wrong type.
func (r *reader) mismatch(n *node, want, example string) {
	if n.kind == nullKind {
		r.fault(n, "there is no value; write %s", example)
		return
	}
	r.fault(n, "%s is not %s; write %s", n.found(), want, example)
}

// text reads a text that must be in quotes where YAML would take it for something else.
func (r *reader) text(n *node, example string) (string, bool) {
	switch n.kind {
	case textKind:
		return n.text, true
	case numberKind, boolKind:
		r.fault(n, `%s is not text; write it in quotes: "%s"`, n.found(), n.text)
	default:
		r.mismatch(n, "text", example)
	}
	return "", false
}

// name reads a text that must follow a rule.
func (r *reader) name(n *node, valid func(string) bool, what, rule string) string {
	s, ok := r.text(n, "a "+what)
	if ok && !valid(s) {
		r.fault(n, "%s cannot be a %s; allowed are %s", quoted(s), what, rule)
	}
	return s
}

// whole reads a whole number from 1 to most, 0 where n is nil or wrong.
func (r *reader) whole(n *node, most int) int {
	if n == nil {
		return 0
	}
	digits := strings.TrimPrefix(n.text, "-")
	switch {
	case n.kind == textKind && isDigits(digits):
		r.fault(n, "%s is text; write it without quotes, 1 to %s", n.found(), grouped(most))
		return 0
	case n.kind != numberKind || !isDigits(digits) || !n.isLiteral():
		r.mismatch(n, "a whole number", "1 to "+grouped(most))
		return 0
	}
	value, err := strconv.Atoi(n.text)
	if err != nil || value < 1 || value > most {
		r.fault(n, "%s is out of range; write 1 to %s", n.found(), grouped(most))
		return 0
	}
	return value
}

// plain reads what becomes text in a container, args and env: numbers and booleans as they were typed.
// A template is refused, since it would reach the container as it is.
func (r *reader) plain(n *node) string {
	if !n.isScalar() {
		r.mismatch(n, "text", `"some text"`)
		return ""
	}
	if len(n.text) > MaxValueBytes {
		r.fault(n, "the value has %s bytes; at most %s are allowed", grouped(len(n.text)), grouped(MaxValueBytes))
		return ""
	}
	return r.literal(n)
}

// literal reads a text in which templates will have a meaning one day: $${ is a literal ${.
func (r *reader) literal(n *node) string {
	var b strings.Builder
	for i := 0; i < len(n.text); i++ {
		switch rest := n.text[i:]; {
		case strings.HasPrefix(rest, "$${"):
			b.WriteString("${")
			i += 2
		case strings.HasPrefix(rest, "${"):
			r.fault(n, "%s: templates in ${ } are not supported yet; write $${ where a literal ${ is meant", n.found())
			return ""
		default:
			b.WriteByte(n.text[i])
		}
	}
	return b.String()
}

// values reports what no value of an item or a param may hold.
func (r *reader) values(n *node) bool {
	ok := true
	switch n.kind {
	case numberKind:
		if fault := numberFault(n); fault != "" {
			r.fault(n, "%s", fault)
			ok = false
		}
	case boolKind:
		if !n.isLiteral() {
			r.fault(n, `%s is not a boolean as JSON writes it; write %s, or "%s" where text is meant`, n.found(), strings.ToLower(n.text), n.text)
			ok = false
		}
	}
	for _, c := range n.children {
		ok = r.values(c) && ok
	}
	return ok
}

// labels reads short texts by name.
func (r *reader) labels(n *node) map[string]string {
	if n == nil {
		return nil
	}
	if n.kind != mappingKind {
		r.mismatch(n, "a mapping", "{team: data}")
		return nil
	}
	if len(n.children) > MaxLabels {
		r.fault(n, "%d labels; at most %d are allowed", len(n.children), MaxLabels)
	}
	labels := map[string]string{}
	for _, c := range n.children {
		value, ok := r.text(c, `"some text"`)
		switch {
		case c.name == "" || !isShort(c.name, maxLabelKey):
			r.fault(c, "the key of a label has 1 to %d characters, all on one line", maxLabelKey)
		case ok && !isShort(value, maxLabelValue):
			r.fault(c, "the value of a label has at most %d characters, all on one line", maxLabelValue)
		}
		labels[c.name] = value
	}
	if len(labels) == 0 {
		return nil
	}
	return labels
}

func isShort(s string, most int) bool {
	return utf8.RuneCountInString(s) <= most && strings.IndexFunc(s, func(c rune) bool { return c < 0x20 || c == 0x7f }) < 0
}
