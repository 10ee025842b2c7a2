package workflow

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// params reads the defaults of a run's params: text, numbers, booleans, and lists of these.
func (r *reader) params(n *node) map[string]json.RawMessage {
	if n == nil {
		return nil
	}
	if n.kind != mappingKind {
		r.mismatch(n, "a mapping", "{limit: 100}")
		return nil
	}
	params := map[string]json.RawMessage{}
	for _, c := range n.children {
		if !isWord(c.name) {
			r.fault(c, "%s cannot be the name of a param; allowed are %s", quoted(c.name), wordRule)
		}
		if r.param(c) {
			params[c.name] = appendNormal(nil, r.unescaped(c))
		}
	}
	if size := paramsSize(params); size > MaxValueBytes {
		r.fault(n, "the params have %s bytes as JSON; at most %s are allowed", grouped(size), grouped(MaxValueBytes))
	}
	if len(params) == 0 {
		return nil
	}
	return params
}

// param says whether the value is one that a param may have, and reports it otherwise.
func (r *reader) param(n *node) bool {
	values := []*node{n}
	if n.kind == listKind {
		values = n.children
	}
	for _, value := range values {
		if !value.isScalar() {
			r.mismatch(value, "text, a number or a boolean", "one of these, or a list of them")
			return false
		}
	}
	return r.values(n)
}

// unescaped is a param's default with $${ read as ${.
func (r *reader) unescaped(n *node) *node {
	read := *n
	if n.kind == textKind {
		read.text = r.literal(n)
	}
	read.children = nil
	for _, c := range n.children {
		read.children = append(read.children, r.unescaped(c))
	}
	return &read
}

// RunParams are the values that a run gets: those given, and the defaults of the others. An error is of type Problems.
// A value must have the type of the default; any list will do for a list. Where the default is a text,
// a number or boolean is taken as the text that it was written as, since ParseParam cannot know better.
func (s Spec) RunParams(given map[string]json.RawMessage) (map[string]json.RawMessage, error) {
	names := slices.Sorted(maps.Keys(s.Params))
	params := map[string]json.RawMessage{}
	maps.Copy(params, s.Params)
	var problems Problems // in the order of names: they have no place in a document
	for _, name := range slices.Sorted(maps.Keys(given)) {
		value, message := "", ""
		if fallback, ok := s.Params[name]; ok {
			value, message = paramValue(given[name], fallback)
		} else if len(names) == 0 {
			message = "unknown param; this workflow has none"
		} else {
			message = fmt.Sprintf("unknown param; this workflow has: %s%s", strings.Join(names, ", "), didYouMean(name, names))
		}
		if message != "" {
			problems = append(problems, Problem{Path: joinPath("params", name), Message: message})
			continue
		}
		params[name] = json.RawMessage(value)
	}
	if size := paramsSize(params); size > MaxValueBytes {
		problems = append(problems, Problem{Path: "params", Message: fmt.Sprintf(
			"all params together have %s bytes as JSON; at most %s are allowed", grouped(size), grouped(MaxValueBytes))})
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return params, nil
}

// paramValue checks one given value against the default. The message is empty where it fits.
func paramValue(given, fallback json.RawMessage) (value, message string) {
	n, err := loadValue(given)
	if err != nil {
		return "", err.Error()
	}
	r := &reader{}
	if !r.param(n) {
		return "", r.problems[0].Message
	}
	standard, err := loadValue(fallback)
	if err != nil {
		return "", err.Error()
	}
	want := standard.kind
	if want == textKind && (n.kind == numberKind || n.kind == boolKind) {
		n.kind = textKind
	}
	if n.kind != want {
		kinds := map[kind]string{boolKind: "a boolean", numberKind: "a number", textKind: "text", listKind: "a list"}
		return "", fmt.Sprintf("%s is not %s; the default is %s", n.found(), kinds[want], beginning(string(fallback), 60))
	}
	return string(appendNormal(nil, n)), ""
}

// paramsSize is the length of params as JSON.
func paramsSize(params map[string]json.RawMessage) int {
	size := len("{")
	for name, value := range params {
		size += len(name) + len(`"":,`) + len(value) // the last one's comma stands for the closing bracket
	}
	return size
}

// ParseParam reads NAME=VALUE as a command line has it. Only the workflow knows the type: so a VALUE that JSON takes for a number,
// a boolean or a list is sent as that, anything else as text; RunParams makes text again of what should be text.
func ParseParam(kv string) (name string, value json.RawMessage, err error) {
	name, text, found := strings.Cut(kv, "=")
	switch {
	case !found || name == "":
		return "", nil, fmt.Errorf("param %s: write NAME=VALUE", quoted(kv))
	case !isWord(name):
		return "", nil, fmt.Errorf("param %s: %s cannot be the name of a param; allowed are %s", quoted(kv), quoted(name), wordRule)
	case !utf8.ValidString(text) || strings.Contains(text, "\x00"):
		return "", nil, fmt.Errorf("param %s: the value is not UTF-8 text", name)
	}
	if n, err := loadValue([]byte(text)); err == nil && strings.TrimSpace(text) == text {
		switch n.kind {
		case numberKind, boolKind, listKind:
			return name, json.RawMessage(text), nil
		}
	}
	return name, appendText(nil, text), nil
}
