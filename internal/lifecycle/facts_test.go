package lifecycle

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

const (
	installation = "0199b3c2-7d41-7c0e-9a55-0d2f7a1b6c11"
	row          = "0199b3c2-7d41-7c0e-9a55-0d2f7a1b6c22"
)

func TestMarkerSurvivesItsText(t *testing.T) {
	t.Parallel()
	m := Marker{Installation: uuid.MustParse(installation), Row: uuid.MustParse(row), Send: 12}
	const text = installation + "/" + row + "/12"
	if m.String() != text {
		t.Errorf("text %s, want %s", m, text)
	}
	got, ok := ParseMarker(text)
	if diff := cmp.Diff(m, got); !ok || diff != "" {
		t.Errorf("ok %v (-want +got)\n%s", ok, diff)
	}
}

func TestParseMarkerRefusesWhatStringNeverWrites(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "/", "//", "nightly/1/1",
		installation + "/" + row,
		installation + "/" + row + "/",
		installation + "/" + row + "/0",
		installation + "/" + row + "/-1",
		installation + "/" + row + "/01",
		installation + "/" + row + "/+1",
		installation + "/" + row + "/1/1",
		installation + "/" + row + "/1 ",
		" " + installation + "/" + row + "/1",
		"{" + installation + "}/" + row + "/1",
		"urn:uuid:" + installation + "/" + row + "/1",
		"0199B3C2-7D41-7C0E-9A55-0D2F7A1B6C11/" + row + "/1",
		installation + "/" + row + "/99999999999999999999",
	} {
		if m, ok := ParseMarker(text); ok || m != (Marker{}) {
			t.Errorf("%q: %v, %v", text, m, ok)
		}
	}
}

func FuzzParseMarker(f *testing.F) {
	f.Add(installation + "/" + row + "/1")
	f.Add("{" + installation + "}/" + row + "/1")
	f.Add(installation + "/" + row + "/007")
	f.Fuzz(func(t *testing.T, text string) {
		m, ok := ParseMarker(text)
		switch {
		case ok && (m.String() != text || m.Send < 1):
			t.Fatalf("%q is written back as %q", text, m)
		case !ok && m != (Marker{}):
			t.Fatalf("%q: refused, and yet %v", text, m)
		}
	})
}

func TestSameExecution(t *testing.T) {
	t.Parallel()
	const name = "projects/my-project/locations/us-central1/jobs/load/executions/load-x7k2p"
	tests := []struct {
		name string
		a, b string
		want bool
	}{
		{"itself", name, name, true},
		{"the project's number for its id", name, "projects/1234567890/locations/us-central1/jobs/load/executions/load-x7k2p", true},
		{"another execution", name, "projects/my-project/locations/us-central1/jobs/load/executions/load-9d0aa", false},
		{"another job", name, "projects/my-project/locations/us-central1/jobs/save/executions/load-x7k2p", false},
		{"another region", name, "projects/my-project/locations/europe-west1/jobs/load/executions/load-x7k2p", false},
		{"a row without a name", "", name, false},
		{"two rows without a name", "", "", false},
		{"a short name says too little", "load-x7k2p", "load-x7k2p", false},
		{"a project alone", "projects/my-project", "projects/my-project", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := SameExecution(test.a, test.b); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
			if got := SameExecution(test.b, test.a); got != test.want {
				t.Errorf("the other way round: %v, want %v", got, test.want)
			}
		})
	}
}

func TestPartsOfNames(t *testing.T) {
	t.Parallel()
	const job = "projects/p/locations/us-central1/jobs/load"
	tests := []struct{ name, location, short string }{
		{job, "projects/p/locations/us-central1", "load"},
		{job + "/executions/load-x7k2p", "projects/p/locations/us-central1", "load-x7k2p"},
		{"load", "load", "load"},
		{"", "", ""},
	}
	for _, test := range tests {
		if got := Location(test.name); got != test.location {
			t.Errorf("Location(%q) = %q, want %q", test.name, got, test.location)
		}
		if got := ShortName(test.name); got != test.short {
			t.Errorf("ShortName(%q) = %q, want %q", test.name, got, test.short)
		}
	}
}
