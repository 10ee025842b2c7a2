package emulator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTheExampleOfAFaultsFileHasEveryKind(t *testing.T) {
	t.Parallel()
	f, err := LoadFaults("../../local/examples/faults.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var done []string
	for _, r := range f.rules {
		done = append(done, r.fault.kinds()...)
	}
	for _, k := range kinds() {
		if !slices.Contains(done, k.name) {
			t.Errorf("there is no %s", k.name)
		}
	}
	if len(done) != len(kinds()) || f.Keep != 500 || f.String() != fmt.Sprintf("../../local/examples/faults.yaml, %d rules, seed 42", len(kinds())) {
		t.Errorf("it has %d kinds, and is %s", len(done), f)
	}
}

func TestAllThatIsWrongWithAFaultsFileIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	const methods = "ListJobs, GetJob, RunJob, TestIamPermissions, ListExecutions, GetExecution, CancelExecution, DeleteExecution, ListTasks, GetTask, ListOperations, GetOperation, WaitOperation, reads and all"
	for _, test := range []struct {
		text string
		want string
	}{
		{"", "f:1:1: no documents in stream"},
		{"- a", "f:1:1: must be a mapping of names to values"},
		{"seed: 1", "f:1:1: faults: is missing; write faults: and below it a list of rules"},
		{"faults: {}", "f:1:9: faults: must be a list of rules, each beginning with - on:"},
		{"faults: [a]", "f:1:10: faults[0]: must be a mapping of names to values"},
		{"seed: -1\nkeep: 0\nfaults: []", "f:1:7: seed: \"-1\" is not a whole number from 0 to 9007199254740992\nf:2:7: keep: \"0\" is not a whole number from 1 to 1000000"},
		{"faults: [{}]", "f:1:10: faults[0]: needs on, as in on: RunJob, do: lose-answer\nf:1:10: faults[0]: needs do, as in on: RunJob, do: lose-answer"},
		{"faults: [{on: all, do: cut, what: 1}]", "f:1:35: faults[0].what: there is no such field; allowed are on, rate, calls, job, from, until, every, do, code, message, for"},
		{"faults: [{on: Nothing, do: cut}, {on: [], do: cut}]", `f:1:15: faults[0].on: there is no method "Nothing"; allowed are ` + methods + "\nf:1:39: faults[1].on: must not be empty"},
		{"faults: [{on: all, do: explode}]", `f:1:24: faults[0].do: there is no "explode"; allowed are error, lose-answer, late, slow, hang, hang-after, cut, cut-after, reset, reset-after, quota, list-lag, not-found, vanish, cancel-outside, drop-metadata, hide-env, project-number, unknown-enum, bad-text`},
		{"faults: [{on: reads, do: vanish, for: 1s}]", "f:1:26: faults[0].do: vanish does something to RunJob only"},
		{"faults: [{on: all, do: late}, {on: all, do: cut, for: 1s}]", "f:1:24: faults[0]: late needs for, as in for: 2s\nf:1:55: faults[1].for: cut takes no time"},
		{"faults: [{on: all, do: late, for: 2}]", `f:1:35: faults[0].for: "2" is not a duration above 0 and up to 7d; write 90s, 10m, 1h30m or 7d`},
		{"faults: [{on: all, do: cut, rate: 2}, {on: all, do: cut, rate: 0.1, calls: [1]}]", "f:1:35: faults[0].rate: \"2\" is not a number above 0 and up to 1\nf:1:64: faults[1]: has both rate and calls; write one of them, or neither for every call"},
		{"faults: [{on: all, do: cut, calls: [0, 5-4, x]}]", "f:1:37: faults[0].calls: \"0\" is not the number of a call from 1 on, nor a range as in 10-20\nf:1:40: faults[0].calls: \"5-4\" is not the number of a call from 1 on, nor a range as in 10-20\nf:1:45: faults[0].calls: \"x\" is not the number of a call from 1 on, nor a range as in 10-20"},
		{"faults: [{on: all, do: cut, calls: 3}]", "f:1:36: faults[0].calls: must be a list of numbers and ranges, as in [3, 10-20]"},
		{"faults: [{on: all, do: cut, job: A_b}]", "f:1:34: faults[0].job: a job's name is " + jobNameRule},
		{"faults: [{on: all, do: cut, from: 2s, until: 1s}, {on: all, do: cut, every: 3s}]", "f:1:10: faults[0]: until 1s is not after from 2s\nf:1:51: faults[1]: every 3s needs an until that is not later"},
		{"faults: [{on: all, do: cut, code: OK}, {on: all, do: reset, code: ABORTED, message: m}]", "f:1:35: faults[0].code: cut has no code\nf:1:67: faults[1].code: \"ABORTED\" cannot be the code of reset; allowed are RESOURCE_EXHAUSTED, PERMISSION_DENIED\nf:1:85: faults[1].message: reset sends no message"},
		{"faults: [", "f:1:10: while parsing a flow node: did not find expected node content"},
	} {
		_, err := ParseFaults("f", []byte(test.text))
		got := "nothing"
		if err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.text, diff)
		}
	}
}

func TestARuleHitsTheCallsThatItNames(t *testing.T) {
	t.Parallel()
	get := Call{Method: "GetExecution", N: 5, Name: somewhere + "/jobs/a/executions/a-x", Since: 15 * time.Second}
	list := Call{Method: "ListExecutions", N: 1, Name: somewhere + "/jobs/-"}
	for rule, want := range map[string][2]bool{
		"on: all":                                  {true, true},
		"on: reads":                                {true, true},
		"on: RunJob":                               {false, false},
		"on: [RunJob, GetExecution]":               {true, false},
		"on: all, job: a":                          {true, false},
		"on: all, job: b":                          {false, false},
		"on: all, calls: [5]":                      {true, false},
		"on: all, calls: [1-4, 6]":                 {false, true},
		"on: all, rate: 1":                         {true, true},
		"on: all, from: 15s":                       {true, false},
		"on: all, from: 16s":                       {false, false},
		"on: all, until: 15s":                      {false, true},
		"on: all, until: 16s":                      {true, true},
		"on: all, until: 5s, every: 5s":            {true, true},
		"on: all, from: 4s, until: 5s, every: 11s": {true, false},
		"on: all, from: 5s, until: 6s, every: 11s": {false, false},
	} {
		f, err := ParseFaults("f", []byte("faults: [{"+rule+", do: cut}]"))
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range []Call{get, list} {
			if got := f.Intercept(t.Context(), c).LoseBefore == Cut; got != want[i] {
				t.Errorf("%s hits %+v: %v", rule, c, got)
			}
		}
	}
}

func TestAScriptRepeatsItselfExactly(t *testing.T) {
	t.Parallel()
	const calls = 20_000
	hits := func(seed int) []int {
		f, err := ParseFaults("f", fmt.Appendf(nil, "seed: %d\nfaults: [{on: all, rate: 0.05, do: cut}]", seed))
		if err != nil {
			t.Fatal(err)
		}
		var hit []int
		for n := range calls {
			if f.Intercept(context.Background(), Call{Method: "RunJob", N: n}) != (Fault{}) {
				hit = append(hit, n)
			}
		}
		return hit
	}
	first := hits(1)
	if share := float64(len(first)) / calls; share < 0.045 || share > 0.055 {
		t.Errorf("a rate of 0.05 hits %.3f", share)
	}
	if !slices.Equal(first, hits(1)) {
		t.Error("the same seed hits other calls")
	}
	if slices.Equal(first, hits(2)) {
		t.Error("another seed hits the same calls")
	}
}

func TestSeveralRulesMayHitOneCall(t *testing.T) {
	t.Parallel()
	f, err := ParseFaults("f", []byte(`faults:
  - {on: RunJob, do: late, for: 1s}
  - {on: RunJob, do: lose-answer, message: first}
  - {on: RunJob, do: error, message: second}
  - {on: RunJob, do: late, for: 2s}
  - {on: RunJob, do: list-lag, for: 3s}
  - {on: RunJob, do: bad-text}`))
	if err != nil {
		t.Fatal(err)
	}
	got := f.Intercept(t.Context(), Call{Method: "RunJob", N: 1})
	if got.Before != nil || !strings.Contains(fmt.Sprint(got.After), "first") || got.Delay != time.Second || got.HideFor != 3*time.Second || !got.BadText {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff([]string{"late", "lose-answer", "list-lag", "bad-text"}, got.kinds()); diff != "" {
		t.Error(diff)
	}
}
