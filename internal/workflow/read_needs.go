package workflow

import (
	"slices"
	"strings"
)

// needNames reads the list of a step's needs as it stands.
func (r *reader) needNames(n *node) []string {
	if n == nil {
		return nil
	}
	if n.kind != listKind {
		example := "[extract]"
		if n.kind == textKind && isWord(n.text) {
			example = "[" + n.text + "]"
		}
		r.mismatch(n, "a list", example)
		return nil
	}
	if len(n.children) > MaxSteps {
		r.fault(n, "%d needs; at most %d are allowed", len(n.children), MaxSteps)
		return nil
	}
	var names []string
	for _, c := range n.children {
		if name, ok := r.text(c, "the name of a step"); ok {
			names = append(names, name)
		}
	}
	return names
}

// needs checks what the steps say about each other; n is the mapping of all steps.
func (r *reader) needs(n *node) {
	var names []string
	for _, c := range n.children {
		names = append(names, c.name)
	}
	graph := map[string][]string{}
	for _, step := range n.children {
		list := step.child("needs")
		if list == nil || list.kind != listKind || len(list.children) > MaxSteps {
			continue
		}
		for i, c := range list.children {
			repeated := func(other *node) bool { return other.kind == textKind && other.text == c.text }
			switch {
			case c.kind != textKind:
			case c.text == step.name:
				r.fault(c, "a step cannot need itself")
			case !slices.Contains(names, c.text):
				r.fault(c, "there is no step %s%s", quoted(c.text), didYouMean(c.text, names))
			case slices.ContainsFunc(list.children[:i], repeated):
				r.fault(c, "%s is named twice", quoted(c.text))
			default:
				graph[step.name] = append(graph[step.name], c.text)
			}
		}
	}
	for _, cycle := range cycles(names, graph) {
		r.fault(n.child(cycle[0]).child("needs"), "the steps wait for each other: %s", strings.Join(append(cycle, cycle[0]), " → "))
	}
}

// cycles finds circles in the graph: at least one where there is any, and none that shares a step with another.
// Each begins with its first step in the order of names; each step needs the next.
func cycles(names []string, graph map[string][]string) [][]string {
	var found [][]string
	done := map[string]bool{}
	var way []string
	var visit func(name string)
	visit = func(name string) {
		if done[name] {
			return
		}
		if i := slices.Index(way, name); i >= 0 {
			circle := slices.Clone(way[i:])
			for _, step := range circle {
				done[step] = true
			}
			first := slices.IndexFunc(names, func(n string) bool { return slices.Contains(circle, n) })
			start := slices.Index(circle, names[first])
			found = append(found, append(circle[start:len(circle):len(circle)], circle[:start]...))
			return
		}
		way = append(way, name)
		for _, next := range graph[name] {
			visit(next)
		}
		way = way[:len(way)-1]
		done[name] = true
	}
	for _, name := range names {
		visit(name)
	}
	return found
}
