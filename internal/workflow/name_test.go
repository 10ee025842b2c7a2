package workflow

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 63)
	tests := []struct {
		what     string
		valid    func(string) bool
		yes, not []string
	}{
		{"workflow", func(s string) bool { return ValidName(s) == nil },
			[]string{"a", "a1", "nightly-report", "a--b", long}, []string{"", "-a", "a-", "1a", "A", "a_b", "a.b", "ä", "a b", "a\n", long + "a", "health"}},
		{"step", isWord, []string{"a", "a1", "list_files", "a_", long}, []string{"", "_a", "1a", "A", "a-b", "ä", long + "a"}},
		{"variable", isEnvName, []string{"A", "a", "_", "A_1", long + long}, []string{"", "1A", "A-B", "Ä", "A B", "A="}},
		{"project", isProject, []string{"p", "my-gcp-project", "123456789", "example.com:my-project", "p1"},
			[]string{"", "-p", "p-", "My-Project", "my_project", "a b", "projects/p", ":p", "p:", "a:b:c", "exa mple:p", strings.Repeat("p", 64)}},
		{"region", isRegion, []string{"us-central1", "europe-west12", "northamerica-northeast1", "me-central2"},
			[]string{"", "us", "us-central", "us-central1-a", "US-central1", "-central1", "us-1", "us_central1", "us central1", "us-central1 "}},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			for _, s := range tt.yes {
				if !tt.valid(s) {
					t.Errorf("%q is refused", s)
				}
			}
			for _, s := range tt.not {
				if tt.valid(s) {
					t.Errorf("%q is accepted", s)
				}
			}
		})
	}
	checkError(t, ValidName("My Workflow"), `"My Workflow" cannot be a workflow's name; allowed are lower-case letters, digits and hyphens, `+
		`beginning with a letter and not ending with a hyphen, at most 63 characters; and not health, which is an address of the functions`)
}

func TestNearestFindsWhatWasProbablyMeant(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		among []string
		want  string // empty: nothing is near
	}{
		{"exmaple-workflow", []string{"nightly-report", "example-workflow"}, "example-workflow"},
		{"extrct", []string{"extract", "transform"}, "extract"},
		{"regoin", []string{"project", "region"}, "region"},
		{"Extract", []string{"extract"}, "extract"},
		{"loads", []string{"loads2", "load", "roads"}, "loads2"},
		{"aab", []string{"aaa", "aab"}, "aab"},
		{"maxExecutions", []string{"max_executions"}, "max_executions"},
		{"a", []string{"b"}, ""},
		{"if", []string{"of", "env"}, "of"},
		{"schedule", []string{"labels", "steps"}, ""},
		{"", []string{"", "a"}, ""},
		{"x", nil, ""},
	}
	for _, tt := range tests {
		got, ok := Nearest(tt.name, tt.among)
		if got != tt.want || ok != (tt.want != "" || tt.name == "") {
			t.Errorf("Nearest(%q, %q) = %q, %v; want %q", tt.name, tt.among, got, ok, tt.want)
		}
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "abc", 0}, {"", "abc", 3}, {"abc", "acb", 1}, {"abc", "abd", 1}, {"abc", "abcd", 1}, {"abcd", "bcd", 1}, {"kitten", "sitting", 3}} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := distance(tt.b, tt.a); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.b, tt.a, got, tt.want)
		}
	}
}
