package workflow

import (
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// maxAllocated bounds what one document may take from memory, whatever its aliases and nesting say.
const maxAllocated = 512 << 20

// FuzzParse: no document makes Parse panic or eat the memory, what is wrong stands where it says, and an accepted one stays what it is as JSON, in its
// canonical form and in the database.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		wholeLanguage,
		head + foot,
		severalProblems,
		string(Simple(SimpleArgs{Name: "a", JobName: "j", TaskCount: 5})),
		`{"name":"a","job":{"name":"j"},"tasks":{"items":["\ud83d\ude00",1e2,-0.0,{"b":[null],"a":true}]},"params":{"p":"$${x}"}}`,
		"name: a\nx: &x {name: j}\njob: *x\ntasks: {count: 1}",
		"name: a\njob: {<<: {name: j}}\ntasks: {items: [&a [1], *a, {<<: [{x: 1}]}]}\nenv: {A: 010, B: True, C: 2026-01-01, D: !!str 5}",
		"name: a\nsteps:\n  a: {job: {name: j}, tasks: {count: 1}, needs: [b]}\n  b: {job: {name: j}, tasks: {count: 1}, needs: [a]}\n",
		"a: &a [*a]", "---\n---\n", "- 1", "{", "\xff", "\ufeffname: a",
		"name: a\njob: {name: j}\ntasks: {count: 1}\nargs: [\"$${a}\", -1, \"\\b\\u2028\"]\ntolerate: 0.5%\ntimeout: 1m30s\nlabels: {a: b}",
	} {
		f.Add([]byte(seed), strings.HasPrefix(seed, "{"))
	}
	f.Fuzz(func(t *testing.T, doc []byte, isJSON bool) {
		file := map[bool]string{true: "a.json"}[isJSON]
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d, err := Parse(file, doc)
		if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > maxAllocated {
			t.Fatalf("%d bytes of a document took %d of memory", len(doc), after.TotalAlloc-before.TotalAlloc)
		}
		if err != nil {
			var problems Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("an error that tells no problem: %#v", err)
			}
			checkPlaces(t, doc, problems)
			return
		}
		checkPlaces(t, doc, d.Warnings)
		spec, err := d.Spec(Defaults{Project: "p"})
		if err != nil {
			t.Fatalf("with a default project: %v", err)
		}
		again, err := Parse("", d.JSON())
		if err != nil {
			t.Fatalf("its JSON is refused: %v\n%s", err, d.JSON())
		}
		if string(again.JSON()) != string(d.JSON()) {
			t.Fatalf("JSON is not stable:\n%s\n%s", d.JSON(), again.JSON())
		}
		sameSpec, err := again.Spec(Defaults{Project: "p"})
		if err != nil || sameSpec.Digest() != spec.Digest() {
			t.Fatalf("its JSON is another definition (%v):\n%s", err, cmp.Diff(string(spec.Canonical()), string(sameSpec.Canonical())))
		}
		stored, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range [][]byte{stored, spec.Canonical()} {
			var read Spec
			if err := json.Unmarshal(form, &read); err != nil {
				t.Fatalf("%v: %s", err, form)
			}
			if string(form) == string(stored) {
				if diff := cmp.Diff(spec, read); diff != "" {
					t.Fatalf("the Spec does not survive JSON (-want +got):\n%s", diff)
				}
			}
			if read.Digest() != spec.Digest() {
				t.Fatalf("another definition after a round trip:\n%s", cmp.Diff(string(spec.Canonical()), string(read.Canonical())))
			}
		}
	})
}

// checkPlaces demands that problems stand inside the document.
func checkPlaces(t *testing.T, doc []byte, problems Problems) {
	t.Helper()
	lines := strings.Split(lineBreaks.Replace(string(doc)), "\n")
	for _, p := range problems {
		if p.Message == "" || !utf8.ValidString(p.String()) || strings.Contains(p.String(), "\x00") {
			t.Fatalf("a problem that cannot be shown: %+q", p)
		}
		if p.Line == 0 && len(problems) == maxProblems+1 { // that there are more
			continue
		}
		if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > utf8.RuneCount(doc)+1 { // JSON knows fewer line breaks than YAML, so a line may be long
			t.Fatalf("%q stands outside the document of %d lines", p, len(lines))
		}
	}
}
