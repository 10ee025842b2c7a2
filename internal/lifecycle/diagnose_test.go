package lifecycle

import (
	"strings"
	"testing"
	"time"
)

func healthy() Health {
	return Health{Mode: Live, SchemaVersion: 3, OldestRelease: 1, Mark: "m", MarkNow: "m", Now: at(0), LastTickAt: ptr(-time.Hour)}
}

func TestDiagnoseHealth(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*Health)
		want   FindingKind
		words  string
	}{
		{"all is well", func(*Health) {}, "", ""},
		{"a newer schema that this program may use", func(h *Health) { h.SchemaVersion = 4 }, "", ""},
		{"an older schema", func(h *Health) { h.SchemaVersion = 2 }, FindingSchema, "it has schema version 2, and this program needs 3"},
		{"a schema for newer programs", func(h *Health) { h.SchemaVersion, h.OldestRelease = 9, 4 }, FindingSchema, "release 4 or newer, and this is release 3"},
		{"a migration that failed", func(h *Health) { h.HalfMigrated, h.Mode = true, Mock }, FindingSchema, "migration 3 of it failed half-way"},
		{"another mode", func(h *Health) { h.Mode = Mock }, FindingMode, "belongs to mode mock, and this process runs in mode live"},
		{"a copy", func(h *Health) { h.MarkNow = "n" }, FindingDatabaseMark, "it is n, not m"},
		{"a block", func(h *Health) { h.LaunchBlockedReason = "why" }, FindingLaunchBlocked, "nothing is launched: why"},
		{"no tick for an hour", func(h *Health) { h.UnfinishedRuns, h.OldestRunAt = 2, ptr(-2*time.Hour) }, FindingNoTick, "no tick has come for 1h0m0s, and 2 runs are unfinished"},
		{"no tick for an hour, but the run is new", func(h *Health) { h.UnfinishedRuns, h.OldestRunAt = 1, ptr(-NoTickFor) }, "", ""},
		{"no tick ever", func(h *Health) { h.UnfinishedRuns, h.OldestRunAt, h.LastTickAt = 1, ptr(-NoTickFor-1), nil }, FindingNoTick, "no tick has come yet, and 1 run is unfinished"},
		{"no tick, and nothing to do", func(h *Health) { h.LastTickAt = nil }, "", ""},
	}
	for _, test := range tests {
		h := healthy()
		test.change(&h)
		list := h.Diagnose(Live, 3)
		switch {
		case test.want == "" && len(list) > 0:
			t.Errorf("%s: %+v", test.name, list)
		case test.want != "" && (len(list) != 1 || list[0].Kind != test.want || !strings.Contains(list[0].Detail, test.words) || list[0].Action == ""):
			t.Errorf("%s: %+v", test.name, list)
		}
	}
}

func TestDiagnoseGoneWaitsForTheSettleWindow(t *testing.T) {
	t.Parallel()
	x := Execution{Step: "main", Name: "n", CreatedAt: at(-time.Hour), LaunchedAt: ptr(0)}
	if _, ok := DiagnoseGone(x, "w.1", time.Minute, at(time.Minute-1)); ok {
		t.Error("an execution that may be listed late is told as gone")
	}
	if f, ok := DiagnoseGone(x, "w.1", time.Minute, at(time.Minute)); !ok || f.Run != "w.1" {
		t.Errorf("%+v", f)
	}
	x.LaunchedAt = nil
	if _, ok := DiagnoseGone(x, "w.1", time.Minute, at(0)); !ok {
		t.Error("a row without a time of its launch is judged by its creation")
	}
}

func TestDiagnoseSight(t *testing.T) {
	t.Parallel()
	row := Execution{Step: "main"}
	for _, test := range []struct {
		sight   Sight
		ended   bool
		blocked bool
		kind    FindingKind
		detail  string
		action  string
	}{
		{SightUnknownSend, false, false, FindingUnknownSend, "does not know", "launching is blocked as soon as"},
		{SightUnknownSend, false, true, FindingUnknownSend, "does not know", "launching is blocked, and the execution is left alone"},
		{SightNamed, false, false, FindingLaunchFound, "was not answered", "gives its row the name"},
		{SightOrphan, false, false, FindingOrphan, "has not ended", "cancelled unless it has ended"},
		{SightOrphan, true, false, FindingOrphan, "may have been done twice", "cancelled unless it has ended"},
		{SightOrphan, false, true, FindingOrphan, "has not ended", "left alone while launching is blocked"},
	} {
		f := Facts{Name: "n", CreatedAt: at(0)}
		if test.ended {
			f.CompletedAt = ptr(time.Minute)
		}
		got, ok := DiagnoseSight(test.sight, f, row, "w.1", test.blocked)
		if !ok || got.Kind != test.kind || !strings.Contains(got.Detail, test.detail) || !strings.Contains(got.Action, test.action) || *got.Since != at(0) {
			t.Errorf("%+v: %+v", test, got)
		}
	}
	if f, ok := DiagnoseSight(SightOwn, Facts{}, row, "w.1", false); ok {
		t.Errorf("a row's own execution: %+v", f)
	}
}

func TestTheGravestFindingsComeFirst(t *testing.T) {
	t.Parallel()
	list := []Finding{{Kind: FindingOtherInstallation}, {Kind: FindingOrphan, Subject: "1"}, {Kind: FindingRule}, {Kind: FindingOrphan, Subject: "2"}, {Kind: FindingSchema}}
	SortFindings(list)
	var got []string
	for _, f := range list {
		got = append(got, string(f.Kind)+f.Subject)
	}
	if want := "schema rule orphan1 orphan2 other_installation"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	if s := (Finding{Kind: "new"}).Severity(); s != SeverityError {
		t.Errorf("a kind that nobody knows is %s", s)
	}
}
