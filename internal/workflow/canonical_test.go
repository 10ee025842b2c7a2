package workflow

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEqualDefinitionsHaveEqualDigests(t *testing.T) {
	t.Parallel()
	want := parsed(t, "a.yaml", `
name: a
labels: {x: "1", y: "2"}
params: {limit: 1e2, list: [b, a]}
job: {name: j, region: us-central1}
tasks: {items: [{b: 1, a: [1, {d: 1, c: 2}]}, 1.5e1]}
env: {B: 1, A: "x<y"}
timeout: 90m
tolerate: 1.0%
`)
	same := map[string]string{
		"JSON": `{"tolerate":"1%","timeout":"1h30m","env":{"A":"x\u003cy","B":"1"},
			"tasks":{"items":[{"a":[1,{"c":2,"d":1}],"b":1},15]},"job":{"region":"us-central1","name":"j"},
			"params":{"list":["b","a"],"limit":100},"labels":{"y":"2","x":"1"},"name":"a"}`,
		"the long form": "name: a\nlabels: {x: '1', y: '2'}\nparams: {limit: 100, list: [b, a]}\ndefaults: {job: {name: j}}\n" +
			"steps: {main: {tasks: {items: [{b: 1, a: [1, {d: 1, c: 2}]}, 15]}, env: {B: 1, A: x<y}, timeout: 5400s, tolerate: 1%}}",
	}
	for name, doc := range same {
		if got := parsed(t, "", doc); got.Digest() != want.Digest() {
			t.Errorf("%s differs (-want +got):\n%s", name, cmp.Diff(string(want.Canonical()), string(got.Canonical())))
		}
	}
	const canonical = `{"description":"","labels":{"x":"1","y":"2"},"name":"a","params":{"limit":100,"list":["b","a"]},` +
		`"steps":[{"env":{"A":"x<y","B":"1"},"job":{"name":"j","project":"default-project","region":"us-central1"},"name":"main",` +
		`"tasks":{"items":[{"a":[1,{"c":2,"d":1}],"b":1},15]},"timeout":"1h30m","tolerate":"1%"}]}`
	if diff := cmp.Diff(canonical, string(want.Canonical())); diff != "" {
		t.Errorf("Canonical (-want +got):\n%s", diff)
	}
}

func TestDifferentDefinitionsHaveDifferentDigests(t *testing.T) {
	t.Parallel()
	seen := map[[32]byte]string{}
	for _, doc := range []string{
		"name: a\njob: {name: j}\ntasks: {count: 1}",
		"name: b\njob: {name: j}\ntasks: {count: 1}",
		"name: a\njob: {name: j}\ntasks: {count: 2}",
		"name: a\njob: {name: j}\ntasks: {items: [1]}",
		"name: a\njob: {name: j}\ntasks: {items: ['1']}",
		"name: a\njob: {name: j}\ntasks: {items: [1.0]}",
		"name: a\njob: {name: j}\ntasks: {count: 1}\nargs: []",
		"name: a\njob: {name: j}\ntasks: {count: 1}\nmax_executions: 1",
		"name: a\nsteps: {main: {job: {name: j}, tasks: {count: 1}, max_executions: 1}}",
		"name: a\nsteps: {x: {job: {name: j}, tasks: {count: 1}}, y: {job: {name: j}, tasks: {count: 1}}}",
		"name: a\nsteps: {y: {job: {name: j}, tasks: {count: 1}}, x: {job: {name: j}, tasks: {count: 1}}}",
	} {
		digest := parsed(t, "", doc).Digest()
		if other, ok := seen[digest]; ok {
			t.Errorf("equal digests:\n%s\n%s", other, doc)
		}
		seen[digest] = doc
	}
}

func TestASpecSurvivesJSONExactly(t *testing.T) {
	t.Parallel()
	specs := map[string]Spec{
		"the whole language": wholeSpec(),
		"the least":          {Name: "a", Steps: []Step{{Name: "main", Tasks: Tasks{Count: 1}}}},
		"signs and escapes": {Name: "a", Params: raw("p", `"<&> \u2028 ü\n"`), Steps: []Step{{
			Name: "main", Tasks: Tasks{Items: []json.RawMessage{json.RawMessage(`{"<a>":"&","b":[null,"\u0001"]}`), json.RawMessage(`null`)}},
			Args: &[]string{"<b>"}, Env: map[string]string{"X": "a&b"}, Timeout: Duration(90 * time.Second), Tolerate: Tolerate{Percent: 0.5},
		}}},
	}
	for name, spec := range specs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, value := range spec.Params {
				spec.Params[i] = mustNormal(t, value)
			}
			for i, item := range spec.Steps[0].Tasks.Items {
				spec.Steps[0].Tasks.Items[i] = mustNormal(t, item)
			}
			written, err := json.Marshal(spec)
			if err != nil {
				t.Fatal(err)
			}
			for form, stored := range map[string][]byte{"as written": written, "as canonical": spec.Canonical(), "as jsonb": likeJSONB(t, written)} {
				var read Spec
				if err := json.Unmarshal(stored, &read); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(spec, read); diff != "" {
					t.Errorf("%s (-want +got):\n%s", form, diff)
				}
				if spec.Digest() != read.Digest() {
					t.Errorf("%s: another digest", form)
				}
			}
		})
	}
}

func mustNormal(t *testing.T, value json.RawMessage) json.RawMessage {
	t.Helper()
	normal, err := normalJSON(value)
	if err != nil {
		t.Fatal(err)
	}
	return normal
}

// likeJSONB writes JSON as PostgreSQL's jsonb gives it back: keys in another order, blanks between the parts.
func likeJSONB(t *testing.T, written []byte) []byte {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(written))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	stored, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func TestASpecThatCannotBeIsNotRead(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]string{
		`{"name":5}`: "workflow definition: json: cannot unmarshal number into Go struct field plain.name of type string",
		`{"steps":[{"name":"s","tasks":{"items":[1e999]}}]}`: "workflow definition: step s, item 0: 1e999 has more digits than can be kept; write it in quotes",
		`{"params":{"p":"\u0000"}}`:                          "workflow definition: param p: text with a NUL character is not allowed",
	} {
		var spec Spec
		checkError(t, json.Unmarshal([]byte(doc), &spec), want)
	}
}

func TestNumbersArePlain(t *testing.T) {
	t.Parallel()
	for number, want := range map[string]string{
		"0": "0", "-0": "0", "-0.0": "0.0", "5": "5", "-5": "-5", "1.50": "1.50", "1e2": "100", "1E+2": "100", "1.50e1": "15.0", "1.5e3": "1500",
		"0e5": "0", "1e-3": "0.001", "123e-2": "1.23", "-12.5e-1": "-1.25", "0.05e1": "0.5", "0.05e2": "5", "100e-2": "1.00", "-0.0e-2": "0.000",
		"12345678901234567890": "12345678901234567890", "1e20": "1" + strings.Repeat("0", 20),
	} {
		if got := plainNumber(number); got != want {
			t.Errorf("plainNumber(%s) = %s, want %s", number, got, want)
		}
	}
}

func TestStepsItemsAndNeedsAreFound(t *testing.T) {
	t.Parallel()
	spec := wholeSpec()
	if step, ok := spec.Step("transform"); !ok || step.Name != "transform" {
		t.Errorf("Step(transform) = %v, %v", step.Name, ok)
	}
	if _, ok := spec.Step("nothing"); ok {
		t.Error("Step(nothing) was found")
	}
	for i, want := range [][]int{{}, {0}, {0, 1}} {
		if diff := cmp.Diff(want, spec.Needs(i)); diff != "" {
			t.Errorf("Needs(%d) (-want +got):\n%s", i, diff)
		}
	}
	items, counted := spec.Steps[0], spec.Steps[1]
	for _, tt := range []struct {
		step  Step
		index int
		want  string
	}{{items, 0, `"de"`}, {items, 4, `{"country":"us","shards":4}`}, {items, 5, ""}, {items, -1, ""}, {counted, 0, ""}} {
		if got := string(tt.step.Item(tt.index)); got != tt.want {
			t.Errorf("%s.Item(%d) = %s, want %s", tt.step.Name, tt.index, got, tt.want)
		}
	}
	if items.Tasks.Len() != 5 || counted.Tasks.Len() != 10000 {
		t.Errorf("Len() = %d and %d", items.Tasks.Len(), counted.Tasks.Len())
	}
}
