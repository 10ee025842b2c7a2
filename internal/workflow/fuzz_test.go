package workflow

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzParse: no document makes Parse panic, and an accepted one stays what it is as JSON and in the database.
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
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		d, err := Parse("", doc)
		if err != nil {
			var problems Problems
			if !errors.As(err, &problems) || len(problems) == 0 || problems.Error() == "" {
				t.Fatalf("an error that tells no problem: %#v", err)
			}
			return
		}
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
		var read Spec
		if err := json.Unmarshal(stored, &read); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(spec, read); diff != "" {
			t.Fatalf("the Spec does not survive JSON (-want +got):\n%s", diff)
		}
	})
}
