package workflow

import (
	"encoding/json"
	"testing"
)

func TestTolerateIsANumberOrAPercentageRoundedDown(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text  string
		tasks int
		want  int
		json  string
	}{
		{"0", 100, 0, `0`},
		{"3", 100, 3, `3`},
		{"3", 2, 3, `3`},
		{"1000000", 5, 1_000_000, `1000000`},
		{"1%", 250, 2, `"1%"`},
		{"1%", 99, 0, `"1%"`},
		{"100%", 7, 7, `"100%"`},
		{"0%", 7, 0, `0`},
		{"0.0%", 7, 0, `0`},
		{"1.50%", 200, 3, `"1.5%"`},
		{"0.29%", 10_000, 29, `"0.29%"`}, // 28.999… as a floating point number
		{"0.0001%", 1_000_000, 1, `"0.0001%"`},
		{"0.0003%", 1_000_000, 3, `"0.0003%"`}, // 2.999… units of 0.0001% as a floating point number
		{"99.9999%", 1_000_000, 999_999, `"99.9999%"`},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			tolerate, err := ParseTolerate(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := tolerate.Of(tt.tasks); got != tt.want {
				t.Errorf("Of(%d) = %d, want %d", tt.tasks, got, tt.want)
			}
			asJSON, err := json.Marshal(tolerate)
			if err != nil || string(asJSON) != tt.json {
				t.Errorf("JSON %s, %v; want %s", asJSON, err, tt.json)
			}
			var again Tolerate
			if err := json.Unmarshal(asJSON, &again); err != nil || again != tolerate {
				t.Errorf("from JSON: %v, %v; want %v", again, err, tolerate)
			}
		})
	}
}

func TestWhatCannotBeToleratedIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`""`, `"%"`, `"1 %"`, `"-1%"`, `"+1"`, `"1e2%"`, `".5%"`, `"5.%"`, `"101%"`, `"1.00001%"`, `1.5`, `-1`, `1000001`, `null`, `true`, `{}`} {
		var got Tolerate
		if err := json.Unmarshal([]byte(`{"tolerate":`+text+`}`), &struct{ Tolerate *Tolerate }{&got}); err == nil && text != "null" {
			t.Errorf("%s was read as %v", text, got)
		}
	}
}
