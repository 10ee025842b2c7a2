package workflow

import (
	"errors"
	"strings"
	"testing"
)

func TestADocumentThatIsNoDefinitionIsRefusedWithItsPlaces(t *testing.T) {
	t.Parallel()
	checkRefusals(t, []refusal{
		{"a list", "- a\n",
			"w.yaml:1:1: a list is not a mapping; write {name: my-workflow, job: {name: my-job}, tasks: {count: 5}}"},
		{"a text", "hello",
			`w.yaml:1:1: "hello" is not a mapping; write {name: my-workflow, job: {name: my-job}, tasks: {count: 5}}`},
		{"an empty document", " \n",
			"w.yaml:1:1: the document is empty"},
		{"only a comment", "# nothing\n",
			"w.yaml:1:1: the document is empty"},
		{"two documents", head + foot + "---\nname: b\n",
			"w.yaml:5:1: a second document begins here; a file holds one workflow"},
		{"another encoding", "name: a\ndescription: caf\xe9\n",
			"w.yaml:2:17: the document is not UTF-8 text: byte 0xe9"},
		{"a control character", "name: a\ndescription: \"\x07\"\n",
			"w.yaml:2:15: the control character 0x07 is not allowed"},
		{"a character that YAML does not know", "name: a\ndescription: \ufffe\n",
			"w.yaml:1:1: not valid YAML: control characters are not allowed (value: 65534)"},
		{"a NUL character", head + "tasks: {items: [\"a\\0b\", {\"x\\0\": 1}]}\n",
			strings.Join([]string{
				"w.yaml:3:17: tasks.items[0]: text with a NUL character is not allowed",
				`w.yaml:3:26: tasks.items[1]."x\x00": text with a NUL character is not allowed`,
			}, "\n")},
		{"YAML without its end", "name: a\njob: {name: j\n",
			"w.yaml:3:1: not valid YAML: while parsing a flow mapping: did not find expected ',' or '}'"},
		{"YAML with tabs", "name: a\n\tjob: b\n",
			"w.yaml:2:1: not valid YAML: while scanning a plain scalar: found a tab character that violates indentation"},
		{"a syntax error in a second document", head + foot + "---\na: [",
			"w.yaml:6:5: not valid YAML: while parsing a flow node: did not find expected node content"},
		{"numbers with huge exponents", `{"name":"a","job":{"name":"j"},"tasks":{"items":[1e999,0e99999999999999999999,0e-401]}}`,
			strings.Join([]string{
				"w.yaml:1:50: tasks.items[0]: 1e999 has more digits than can be kept; write it in quotes",
				"w.yaml:1:56: tasks.items[1]: 0e99999999999999999999 has more digits than can be kept; write it in quotes",
				"w.yaml:1:79: tasks.items[2]: 0e-401 has more digits than can be kept; write it in quotes",
			}, "\n")},
		{"an unknown anchor", "name: *a\n",
			"w.yaml:1:7: not valid YAML: unknown anchor 'a' referenced"},
		{"tags", head + "tasks: {items: [!foo a, !!binary aGk=, !!set {a}, !!int x]}",
			strings.Join([]string{
				"w.yaml:3:17: tasks.items[0]: the tag \"!foo\" is not supported",
				"w.yaml:3:25: tasks.items[1]: the tag \"!!binary\" is not supported",
				"w.yaml:3:40: tasks.items[2]: the tag \"!!set\" is not supported",
				"w.yaml:3:51: tasks.items[3]: x is not a number as JSON writes it (decimal, without leading zeros); write it so, or in quotes where text is meant",
			}, "\n")},
		{"an alias inside of itself", head + "tasks: {items: &x [*x]}",
			"w.yaml:3:20: tasks.items[0][0]: the alias *x stands inside of what it repeats"},
		{"an alias bomb", "a: &a [" + strings.Repeat("x, ", 1000) + "]\nb: &b [" + strings.Repeat("*a, ", 1000) + "]\nc: [" + strings.Repeat("*b, ", 1000) + "]\n",
			"w.yaml:1:1: the document has more than 1,048,576 bytes as JSON, with its aliases written out"},
		{"an alias of a large text, often", "a: &a " + strings.Repeat("x", 30000) + "\nb: [" + strings.Repeat("*a, ", 36) + "]\n",
			"w.yaml:1:1: the document has more than 1,048,576 bytes as JSON, with its aliases written out"},
		{"YAML that is too large as JSON", head + "tasks: {items: [" + strings.Repeat("a,", 400_000) + "]}",
			"w.yaml:1:1: the document has more than 1,048,576 bytes as JSON, with its aliases written out"},
		{"a field's name that is no text", head + foot + "env: {[a]: b, null: c, ~: d}",
			strings.Join([]string{
				"w.yaml:5:7: env: the name of a field must be text",
				"w.yaml:5:15: env: the name of a field must be text",
				"w.yaml:5:24: env: the name of a field must be text",
			}, "\n")},
		{"a merge of a number", head + foot + "env: {<<: 5}",
			`w.yaml:5:11: env."<<": 5 cannot be merged; write a mapping or an alias of one`},
		{"deep YAML", head + "tasks: {items: " + strings.Repeat("[", 70) + strings.Repeat("]", 70) + "}",
			"w.yaml:3:79: tasks.items[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][…: nested deeper than 64 levels"},
		{"a large document", strings.Repeat("#", 1<<20+1),
			"w.yaml:1:1: the document has 1,048,577 bytes; at most 1,048,576 are allowed"},
		{"JSON with a syntax error", "{\"name\": \"ä\",\n  \"ö\": {name: 1}}",
			"w.yaml:2:9: not valid JSON: invalid character 'n' looking for beginning of object key string (a document that begins with { is taken for JSON)"},
		{"JSON without its end", "{\"name\": \"a\",\n",
			"w.yaml:2:1: not valid JSON: unexpected end of JSON input (a document that begins with { is taken for JSON)"},
		{"JSON with something behind it", "{\"name\": \"a\"}\n{}",
			"w.yaml:2:1: not valid JSON: invalid character '{' after top-level value (a document that begins with { is taken for JSON)"},
		{"JSON with a field given twice", "{\"name\": \"a\",\n \"name\": \"b\", \"job\": {\"name\": \"j\"}, \"tasks\": {\"count\": \"x\", \"count\": 2}}",
			strings.Join([]string{
				"w.yaml:2:2: name: given twice; the first is on line 1",
				`w.yaml:2:47: tasks.count: "x" is not a whole number; write 1 to 1,000,000`,
				"w.yaml:2:61: tasks.count: given twice; the first is on line 2",
			}, "\n")},
		{"JSON with half of a character", "{\"name\": \"a\", \"description\": \"é\\ud83d\\ude00 \\ud83d\", \"job\": {\"name\": \"j\"},\n \"ü\": 1, \"tasks\": {\"count\": 1e3}}",
			strings.Join([]string{
				`w.yaml:1:15: description: an escape from \ud800 to \udfff is half of a character; write both halves, or the character itself`,
				`w.yaml:2:2: "ü": unknown field; allowed here: name, description, labels, params, max_executions, defaults, steps, job, tasks, args, env, timeout, tolerate`,
				"w.yaml:2:20: tasks.count: 1e3 is not a whole number; write 1 to 1,000,000",
			}, "\n")},
		{"JSON with a NUL character", "{\"name\": \"a\", \"description\": \"\\u0000\", \"job\": {\"name\": \"j\"}, \"tasks\": {\"count\": 1}}",
			"w.yaml:1:15: description: text with a NUL character is not allowed"},
		{"deep JSON mappings", `{"name":"a","job":{"name":"j"},"tasks":{"items":[` + strings.Repeat(`{"x":`, 62) + `{"}":1}` + strings.Repeat("}", 62) + "]}}",
			"w.yaml:1:356: tasks.items[0].x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x: nested deeper than 64 levels"},
		{"deep JSON", "{\"name\": \"a\", \"job\": {\"name\": \"j\"}, \"tasks\": {\"items\": " + strings.Repeat("[", 70) + "\"]\"" + strings.Repeat("]", 70) + "}, \"x\": 1}",
			strings.Join([]string{
				"w.yaml:1:119: tasks.items[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][…: nested deeper than 64 levels",
				"w.yaml:1:202: x: unknown field; allowed here: name, description, labels, params, max_executions, defaults, steps, job, tasks, args, env, timeout, tolerate",
			}, "\n")},
	})
}

func TestOnlyTheFirstHundredProblemsAreListed(t *testing.T) {
	t.Parallel()
	_, err := Parse("w.yaml", []byte(head+foot+lines(150, "y%d: 1\n")))
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != 101 {
		t.Fatalf("%d problems, want 100 and one line about the others", len(problems))
	}
	if got, want := problems[100].String(), "w.yaml: only the first 100 problems found are listed"; got != want {
		t.Errorf("last line %q, want %q", got, want)
	}
}

func TestAMillionItemsAreTheLimit(t *testing.T) {
	t.Parallel()
	// No document of the allowed size can hold them; the limit must stand all the same should that size grow.
	list := &node{kind: listKind, children: make([]*node, MaxTasks+1), name: "items", up: &node{kind: mappingKind}}
	r := &reader{}
	r.items(list)
	checkError(t, r.err(), "items: 1,000,001 items; at most 1,000,000 are allowed")
}

func TestWithoutAFileNameAProblemBeginsWithItsLine(t *testing.T) {
	t.Parallel()
	_, err := Parse("", []byte("name: a\njob: {name: j}\ntasks: {count: 0}\n"))
	checkError(t, err, "line 3, column 9: tasks.count: 0 is out of range; write 1 to 1,000,000")
	for want, p := range map[string]Problem{
		"params.x: unknown":      {Path: "params.x", Message: "unknown"},
		"w.yaml: nothing in it":  {File: "w.yaml", Message: "nothing in it"},
		"w.yaml:3:9: nothing":    {File: "w.yaml", Line: 3, Column: 9, Message: "nothing"},
		"line 3, column 9: none": {Line: 3, Column: 9, Message: "none"},
	} {
		if got := p.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestHostileDocumentsAreAnsweredSoon(t *testing.T) {
	t.Parallel()
	// Each of these took seconds or the whole memory with a careless reader; the deadline of the test run is the limit here.
	docs := map[string]string{
		"many unknown fields": lines(70_000, "taskz%d: 1\n"),
		"many items":          head + "tasks: {items: [" + strings.Repeat("1,", 500_000) + "]}",
		"many needs":          "name: a\nsteps:\n" + step("x", "["+strings.Repeat("y,", 400_000)+"]"),
		"many brackets":       strings.Repeat("[", 1<<20),
		"many JSON brackets":  `{"a":` + strings.Repeat("[", 1<<20-10),
		"many anchors":        lines(40_000, "a%[1]d: &a%[1]d x\n"),
		"JSON on one line":    `{"name":"a","job":{"name":"j"},"tasks":{"items":[` + strings.TrimSuffix(strings.Repeat("1,", 500_000), ",") + `]},"x":1}`,
	}
	for name, doc := range docs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if len(doc) > MaxDocumentBytes {
				t.Fatalf("the document has %d bytes", len(doc))
			}
			_, err := Parse("", []byte(doc))
			if accepted := err == nil; accepted != (name == "many items") {
				t.Errorf("accepted: %v", accepted)
			}
		})
	}
}
