package workflow

import (
	"encoding/json"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

func TestDurationsAreReadAndWrittenInOneSpelling(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want time.Duration
		one  string // the one spelling
	}{
		{"90s", 90 * time.Second, "90s"},
		{"10m", 10 * time.Minute, "10m"},
		{"1h30m", 90 * time.Minute, "1h30m"},
		{"7d", 7 * 24 * time.Hour, "7d"},
		{"0s", 0, "0s"},
		{"1m30s", 90 * time.Second, "90s"},
		{"60s", time.Minute, "1m"},
		{"121s", 121 * time.Second, "2m1s"},
		{"90m", 90 * time.Minute, "1h30m"},
		{"168h", 168 * time.Hour, "7d"},
		{"1d12h", 36 * time.Hour, "36h"},
		{"1h0m5s", time.Hour + 5*time.Second, "1h5s"},
		{"3650d", 3650 * 24 * time.Hour, "3650d"},
		{"007m", 7 * time.Minute, "7m"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			d, err := ParseDuration(tt.text)
			if err != nil || time.Duration(d) != tt.want {
				t.Fatalf("ParseDuration = %v, %v; want %v", time.Duration(d), err, tt.want)
			}
			if d.String() != tt.one {
				t.Errorf("String() = %s, want %s", d, tt.one)
			}
			if again, err := ParseDuration(d.String()); again != d || err != nil {
				t.Errorf("read again: %v, %v", again, err)
			}
			var fromJSON, fromYAML Duration
			asJSON, err := json.Marshal(d)
			if err != nil || string(asJSON) != `"`+tt.one+`"` {
				t.Errorf("JSON %s, %v", asJSON, err)
			}
			if err := json.Unmarshal(asJSON, &fromJSON); err != nil || fromJSON != d {
				t.Errorf("from JSON: %v, %v", fromJSON, err)
			}
			if err := yaml.Unmarshal([]byte(tt.text), &fromYAML); err != nil || fromYAML != d {
				t.Errorf("from YAML: %v, %v", fromYAML, err)
			}
		})
	}
}

func TestWhatIsNoDurationIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "5", "s", "5 s", "-5s", "1.5h", "30m1h", "1h1h", "5ms", "5S", "1w", "1h30", "9999999999s", "９s"} {
		_, err := ParseDuration(text)
		checkError(t, err, quoted(text)+" is not a duration; write 90s, 10m, 1h30m or 7d")
	}
	for _, text := range []string{"3650d1s", "3651d", "999999999d"} {
		_, err := ParseDuration(text)
		checkError(t, err, quoted(text)+" is too long; at most 3650d are allowed")
	}
}

func TestADurationThatCouldNotBeReadAgainIsNotWritten(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{-time.Second, 1500 * time.Millisecond, 3651 * 24 * time.Hour} {
		if text, err := Duration(d).MarshalText(); err == nil {
			t.Errorf("%v was written as %s", d, text)
		}
	}
	if got := Duration(1500 * time.Millisecond).String(); got != "1.5s" {
		t.Errorf("String() = %s, want 1.5s", got)
	}
}
