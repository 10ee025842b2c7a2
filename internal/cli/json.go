package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
)

func (c *console) asJSON() bool { return c.format == formatJSON }

// printJSON prints one document.
func (c *console) printJSON(v any) error {
	doc, err := encode(v, "")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s\n", doc)
	return err
}

// printJSONList prints the document {"NAME": [...]} item by item. An error before the first item prints nothing; a later one leaves the document open, so that
// nobody takes a part for the whole.
func printJSONList[T any](c *console, name string, items iter.Seq2[T, error]) error {
	before := fmt.Sprintf("{\n  %q: [", name)
	empty := true
	for item, err := range items {
		if err != nil {
			return err
		}
		doc, err := encode(item, "    ")
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(c.out, "%s\n    %s", before, doc); err != nil {
			return err
		}
		before, empty = ",", false
	}
	if empty {
		_, err := fmt.Fprintf(c.out, "%s]\n}\n", before)
		return err
	}
	_, err := io.WriteString(c.out, "\n  ]\n}\n")
	return err
}

// encode is indented JSON in which what could steer a terminal is escaped.
func encode(v any, prefix string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent(prefix, "  ")
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	var safe bytes.Buffer
	for _, r := range string(bytes.TrimRight(b.Bytes(), "\n")) {
		if dangerous(r) && r != '\n' {
			fmt.Fprintf(&safe, `\u%04x`, r)
		} else {
			safe.WriteRune(r)
		}
	}
	return safe.Bytes(), nil
}
