package lifecycle

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	readme        = "../../README.md"
	diagramsBegin = "<!-- generated from internal/lifecycle by: go test ./internal/lifecycle -update -->\n"
	diagramsEnd   = "<!-- end of the generated part -->\n"
)

// The README's diagrams are the table of transitions, so that they cannot tell anything else than the guards.
func TestDiagramsOfTheREADMEAreTheTable(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), diagramsBegin)
	shown, after, ends := strings.Cut(rest, diagramsEnd)
	if !begins || !ends {
		t.Fatalf("%s has no place for the diagrams; write these two lines:\n%s%s", readme, diagramsBegin, diagramsEnd)
	}
	if *update {
		shown = diagrams()
		if err := os.WriteFile(readme, []byte(before+diagramsBegin+shown+diagramsEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(diagrams(), shown); diff != "" {
		t.Errorf("%s is not up to date; run: go test ./internal/lifecycle -update (-want +got)\n%s", readme, diff)
	}
}

func TestDiagramsHoldEveryTransitionOnce(t *testing.T) {
	t.Parallel()
	text := diagrams()
	for _, tr := range Transitions {
		if strings.ContainsAny(tr.Why, ":;#\n\"") {
			t.Errorf("Mermaid would not read %q as a label", tr.Why)
		}
		if !strings.Contains(text, fmt.Sprintf("    %s --> %s: ", tr.From, tr.To)) {
			t.Errorf("%s: %s to %s is not shown", tr.Kind, tr.From, tr.To)
		}
	}
	if got := strings.Count(text, " --> ") - strings.Count(text, "[*]"); got != len(Transitions) {
		t.Errorf("%d arrows between statuses, want %d", got, len(Transitions))
	}
}

// diagrams are one Mermaid diagram for each kind of thing.
func diagrams() string {
	var b strings.Builder
	for _, k := range kinds() {
		fmt.Fprintf(&b, "\nA%s **%s**:\n\n```mermaid\n%s```\n", map[bool]string{true: "n"}[k == KindExecution], k, diagram(k))
	}
	b.WriteString("\n")
	return b.String()
}

func diagram(k Kind) string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n    direction LR\n")
	all := Statuses(k)
	fmt.Fprintf(&b, "    [*] --> %s\n", all[0])
	for _, from := range all {
		var arrows []Transition
		for _, tr := range Transitions {
			if tr.Kind == k && tr.From == from {
				arrows = append(arrows, tr)
			}
		}
		slices.SortStableFunc(arrows, func(a, b Transition) int { return slices.Index(all, a.To) - slices.Index(all, b.To) })
		for _, tr := range arrows {
			fmt.Fprintf(&b, "    %s --> %s: %s\n", tr.From, tr.To, tr.Why)
		}
		if Final(k, from) {
			fmt.Fprintf(&b, "    %s --> [*]\n", from)
		}
	}
	return b.String()
}
