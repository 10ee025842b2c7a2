package functions

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"cloud-run-orchestrator/internal/api"

	"github.com/danielgtaylor/huma/v2"
)

// explain says huma's findings about a request in sentences that tell what is allowed.
// It takes only the places from huma: what is allowed there stands in the operation's own schema.
func explain(schemas huma.Registry, op *huma.Operation, m *huma.ErrorModel) *problem {
	p := newProblem(m.Status, "%s", m.Detail)
	for _, d := range m.Errors {
		if d != nil {
			p.Errors = append(p.Errors, api.ProblemField{Location: d.Location, Message: sentence(schemas, op, d)})
		}
	}
	slices.SortStableFunc(p.Errors, func(a, b api.ProblemField) int { return strings.Compare(a.Location, b.Location) })
	switch {
	case len(p.Errors) == 1:
		p.Detail = p.Errors[0].Message
	case len(p.Errors) == 0 && p.Status == http.StatusBadRequest:
		p.Detail = "the body is empty; send a JSON object"
	case len(p.Errors) > 1:
		p.Detail = fmt.Sprintf("the request has %d faults; the first: %s", len(p.Errors), p.Errors[0].Message)
	}
	p.Title = http.StatusText(p.Status)
	return p
}

func sentence(schemas huma.Registry, op *huma.Operation, d *huma.ErrorDetail) string {
	section, rest, _ := strings.Cut(d.Location, ".")
	if section == "body" {
		return bodySentence(schemas, op, rest, d.Message)
	}
	for _, p := range op.Parameters {
		if p.In != section || p.Name != rest {
			continue
		}
		if p.Required && d.Value == "" {
			return fmt.Sprintf("the %s parameter %s is missing; it must be %s", section, rest, describe(p.Schema))
		}
		return fmt.Sprintf("%s must be %s", rest, describe(p.Schema))
	}
	var known []string
	for _, p := range op.Parameters {
		if p.In == section {
			known = append(known, p.Name)
		}
	}
	return fmt.Sprintf("unknown %s parameter %s; %s", section, shown(rest), allowed(known))
}

// bodySentence walks down the body's schema to the place that huma names.
func bodySentence(schemas huma.Registry, op *huma.Operation, at, original string) string {
	s := resolve(schemas, op.RequestBody.Content["application/json"].Schema)
	if at == "" {
		return "the body must be " + describe(s)
	}
	name, below, deeper := strings.Cut(at, ".")
	child, ok := s.Properties[name]
	if !ok {
		return fmt.Sprintf("unknown field %s; %s", shown(name), allowed(slices.Sorted(maps.Keys(s.Properties))))
	}
	if child = resolve(schemas, child); !deeper {
		return fmt.Sprintf("%s must be %s", name, describe(child))
	}
	return fmt.Sprintf("%s in %s: %s", below, name, original)
}

func resolve(schemas huma.Registry, s *huma.Schema) *huma.Schema {
	for s.Ref != "" {
		s = schemas.SchemaFromRef(s.Ref)
	}
	return s
}

func allowed(names []string) string {
	if len(names) == 0 {
		return "none is allowed here"
	}
	return "allowed: " + strings.Join(names, ", ")
}

// describe says in words what a schema allows.
func describe(s *huma.Schema) string {
	switch {
	case len(s.Enum) > 0:
		words := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			words[i] = fmt.Sprint(v)
		}
		return orList(words)
	case s.PatternDescription != "":
		return s.PatternDescription
	case s.Type == huma.TypeInteger && s.Minimum != nil && s.Maximum != nil:
		return fmt.Sprintf("a whole number from %v to %v", *s.Minimum, *s.Maximum)
	case s.Type == huma.TypeInteger:
		return "a whole number"
	case s.Type == huma.TypeString && s.MaxLength != nil:
		return fmt.Sprintf("a text of at most %d characters", *s.MaxLength)
	case s.Type == huma.TypeString:
		return "a text"
	case s.Type == huma.TypeBoolean:
		return "true or false"
	case s.Type == huma.TypeArray:
		return "a list"
	case s.Type == huma.TypeObject:
		return "an object"
	}
	return "a value of another type"
}
