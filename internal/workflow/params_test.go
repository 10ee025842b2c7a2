package workflow

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func raw(pairs ...string) map[string]json.RawMessage {
	m := map[string]json.RawMessage{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = json.RawMessage(pairs[i+1])
	}
	return m
}

func TestARunGetsTheGivenParamsAndTheDefaultsOfTheOthers(t *testing.T) {
	t.Parallel()
	spec := Spec{Params: raw("limit", `100`, "name", `"x"`, "dry", `true`, "countries", `["de"]`)}
	tests := []struct {
		name        string
		given, want map[string]json.RawMessage
	}{
		{"nothing given", nil, raw("limit", `100`, "name", `"x"`, "dry", `true`, "countries", `["de"]`)},
		{"everything given", raw("limit", `5`, "name", `"y"`, "dry", `false`, "countries", `[1, "fr", true]`),
			raw("limit", `5`, "name", `"y"`, "dry", `false`, "countries", `[1,"fr",true]`)},
		{"a number as text keeps its spelling", raw("name", `1.50e3`), raw("limit", `100`, "name", `"1.50e3"`, "dry", `true`, "countries", `["de"]`)},
		{"a boolean as text", raw("name", `true`), raw("limit", `100`, "name", `"true"`, "dry", `true`, "countries", `["de"]`)},
		{"any number for a number", raw("limit", `-2.5`), raw("limit", `-2.5`, "name", `"x"`, "dry", `true`, "countries", `["de"]`)},
		{"an empty list", raw("countries", `[]`), raw("limit", `100`, "name", `"x"`, "dry", `true`, "countries", `[]`)},
		{"a given value is never a template", raw("name", `"${x} $${y}"`), raw("limit", `100`, "name", `"${x} $${y}"`, "dry", `true`, "countries", `["de"]`)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := spec.RunParams(tt.given)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("params (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParamsThatDoNotFitAreRefused(t *testing.T) {
	t.Parallel()
	spec := Spec{Params: raw("limit", `100`, "name", `"x"`, "dry", `true`, "countries", `["de"]`)}
	_, err := spec.RunParams(raw("limt", `1`, "limit", `"ten"`, "dry", `1`, "countries", `"de"`, "name", `["a"]`))
	checkError(t, err, strings.Join([]string{
		`params.countries: "de" is not a list; the default is ["de"]`,
		`params.dry: 1 is not a boolean; the default is true`,
		`params.limit: "ten" is not a number; the default is 100`,
		`params.limt: unknown param; this workflow has: countries, dry, limit, name; did you mean "limit"?`,
		`params.name: a list is not text; the default is "x"`,
	}, "\n"))

	_, err = spec.RunParams(raw("name", `{"a":1}`, "limit", `null`, "countries", `[[1]]`, "dry", `[`))
	checkError(t, err, strings.Join([]string{
		`params.countries: a list is not text, a number or a boolean; write one of these, or a list of them`,
		`params.dry: not valid JSON: unexpected end of JSON input`,
		`params.limit: there is no value; write one of these, or a list of them`,
		`params.name: a mapping is not text, a number or a boolean; write one of these, or a list of them`,
	}, "\n"))

	_, err = spec.RunParams(raw("limit", `1e999`, "name", `"\u0000"`))
	checkError(t, err, "params.limit: 1e999 has more digits than can be kept; write it in quotes\n"+
		"params.name: text with a NUL character is not allowed")

	_, err = spec.RunParams(raw("name", `"`+strings.Repeat("x", 32<<10)+`"`))
	checkError(t, err, "params: all params together have 32,821 bytes as JSON; at most 32,768 are allowed")

	_, err = Spec{}.RunParams(raw("a b", `1`))
	checkError(t, err, `params."a b": unknown param; this workflow has none`)
}

func TestAParamOfTheCommandLine(t *testing.T) {
	t.Parallel()
	tests := []struct{ kv, name, value string }{
		{"limit=5", "limit", `5`},
		{"limit=-1.50e3", "limit", `-1.50e3`},
		{"dry=true", "dry", `true`},
		{"countries=[\"de\", 1]", "countries", `["de", 1]`},
		{"name=de", "name", `"de"`},
		{"name=", "name", `""`},
		{"name=a=b", "name", `"a=b"`},
		{"name=007", "name", `"007"`},
		{"name= 5", "name", `" 5"`},
		{"name=null", "name", `"null"`},
		{"name={\"a\":1}", "name", `"{\"a\":1}"`},
		{"name=\"x\"", "name", `"\"x\""`},
		{"name=[de]", "name", `"[de]"`},
		{"name=<ü>\n", "name", `"<ü>\n"`},
	}
	for _, tt := range tests {
		t.Run(tt.kv, func(t *testing.T) {
			t.Parallel()
			name, value, err := ParseParam(tt.kv)
			if err != nil || name != tt.name || string(value) != tt.value {
				t.Errorf("%s, %s, %v; want %s, %s", name, value, err, tt.name, tt.value)
			}
		})
	}
	for kv, want := range map[string]string{
		"limit":     `param "limit": write NAME=VALUE`,
		"=5":        `param "=5": write NAME=VALUE`,
		"Limit=5":   `param "Limit=5": "Limit" cannot be the name of a param; allowed are ` + wordRule,
		"name=\xff": `param name: the value is not UTF-8 text`,
	} {
		_, _, err := ParseParam(kv)
		checkError(t, err, want)
	}
}
