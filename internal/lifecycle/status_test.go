package lifecycle

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func kinds() []Kind { return []Kind{KindRun, KindStep, KindTask, KindExecution} }

func TestFinalStatusesAreThoseThatNothingLeaves(t *testing.T) {
	t.Parallel()
	want := map[Kind][]Status{
		KindRun:       {Success, Failed, Cancelled},
		KindStep:      {Success, Failed, Cancelled, Skipped},
		KindTask:      {Success, Failed, Cancelled, Skipped},
		KindExecution: {Finished},
	}
	for _, k := range kinds() {
		for _, s := range Statuses(k) {
			if got := Final(k, s); got != slices.Contains(want[k], s) {
				t.Errorf("Final(%s, %s) = %v", k, s, got)
			}
		}
	}
}

func TestStatusesAreInTheOrderOfALife(t *testing.T) {
	t.Parallel()
	want := map[Kind]string{
		KindRun:       "pending running failed cancelled success",
		KindStep:      "pending ready running skipped failed cancelled success",
		KindTask:      "pending dispatched running cancelled skipped success failed",
		KindExecution: "planned launching launched running finished",
	}
	for _, k := range kinds() {
		if diff := cmp.Diff(want[k], joinStatuses(Statuses(k))); diff != "" {
			t.Errorf("%s (-want +got)\n%s", k, diff)
		}
	}
}

func TestMayKnowsTheTableAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, k := range kinds() {
		for _, from := range Statuses(k) {
			for _, to := range Statuses(k) {
				inTable := slices.ContainsFunc(Transitions, func(t Transition) bool { return t.Kind == k && t.From == from && t.To == to })
				if got := May(k, from, to); got != inTable {
					t.Errorf("May(%s, %s, %s) = %v", k, from, to, got)
				}
				if May(k, from, to) != slices.Contains(Sources(k, to), string(from)) {
					t.Errorf("May and Sources differ for %s, %s, %s", k, from, to)
				}
			}
		}
	}
}

func TestSourcesAreWhatAGuardMayLeave(t *testing.T) {
	t.Parallel()
	tests := []struct {
		kind Kind
		to   Status
		want []string
	}{
		{KindRun, Running, []string{"pending"}},
		{KindRun, Success, []string{"running"}},
		{KindStep, Ready, []string{"pending"}},
		{KindStep, Success, []string{"running"}},
		{KindTask, Dispatched, []string{"pending"}},
		{KindTask, Pending, []string{"dispatched", "running"}},
		{KindTask, Cancelled, []string{"pending", "dispatched", "running"}},
		{KindExecution, Launching, []string{"planned"}},
		{KindExecution, Planned, []string{"launching"}},
		{KindExecution, Launched, []string{"launching"}},
		{KindExecution, Finished, []string{"planned", "launching", "launched", "running"}},
		{KindExecution, Success, nil},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, Sources(test.kind, test.to)); diff != "" {
			t.Errorf("%s to %s (-want +got)\n%s", test.kind, test.to, diff)
		}
	}
}

// What was sent can be unsent only by a definite no, and what was accepted never.
func TestNoExecutionGoesBackOnceItHasAName(t *testing.T) {
	t.Parallel()
	for _, from := range []Status{Launched, Running, Finished} {
		for _, to := range []Status{Planned, Launching} {
			if May(KindExecution, from, to) {
				t.Errorf("%s to %s is allowed", from, to)
			}
		}
	}
}

func TestEveryStatusCanBeReachedAndEndsSomewhere(t *testing.T) {
	t.Parallel()
	for _, k := range kinds() {
		all := Statuses(k)
		if first := reachable(k, all[0]); len(first) != len(all) {
			t.Errorf("%s: from %s only %v can be reached", k, all[0], first)
		}
		for _, s := range all {
			if !slices.ContainsFunc(reachable(k, s), func(s Status) bool { return Final(k, s) }) {
				t.Errorf("%s: %s never ends", k, s)
			}
		}
	}
}

// reachable are the statuses to which a thing may come, its own included.
func reachable(k Kind, from Status) []Status {
	seen := []Status{from}
	for i := 0; i < len(seen); i++ {
		for _, to := range Statuses(k) {
			if May(k, seen[i], to) && !slices.Contains(seen, to) {
				seen = append(seen, to)
			}
		}
	}
	return seen
}

func TestTransitionsAreSaidOnceAndWithAReason(t *testing.T) {
	t.Parallel()
	seen := map[Transition]bool{}
	for _, tr := range Transitions {
		key := Transition{Kind: tr.Kind, From: tr.From, To: tr.To}
		if seen[key] || tr.From == tr.To || tr.Why == "" {
			t.Errorf("%s %s to %s %q: repeated, from itself, or without a reason", tr.Kind, tr.From, tr.To, tr.Why)
		}
		seen[key] = true
	}
}

func TestTheSchemaKnowsTheSameStatuses(t *testing.T) {
	t.Parallel()
	schema, err := os.ReadFile("../../migrations/000001_init.up.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds() {
		table := tableOf(t, string(schema), string(k)+"s")
		if diff := cmp.Diff(sorted(Statuses(k)), checked(t, table, "status")); diff != "" {
			t.Errorf("%s: statuses of the table of transitions and of the schema's CHECK (-want +got)\n%s", k, diff)
		}
		var final []Status
		for _, s := range Statuses(k) {
			if Final(k, s) {
				final = append(final, s)
			}
		}
		if diff := cmp.Diff(sorted(final), finalInSchema(t, table)); diff != "" {
			t.Errorf("%s: final statuses of the table and of the schema (-want +got)\n%s", k, diff)
		}
	}
	outcomes := []Status{Status(OutcomeSuccess), Status(OutcomeFailed), Status(OutcomeCancelled), Status(OutcomeLost), Status(OutcomeRejected)}
	if diff := cmp.Diff(sorted(outcomes), checked(t, tableOf(t, string(schema), "executions"), "outcome")); diff != "" {
		t.Errorf("outcomes (-want +got)\n%s", diff)
	}
}

// tableOf cuts one CREATE TABLE out of a schema.
func tableOf(t *testing.T, schema, name string) string {
	t.Helper()
	_, rest, found := strings.Cut(schema, "CREATE TABLE "+name+" (")
	table, _, ended := strings.Cut(rest, "\n)")
	if !found || !ended {
		t.Fatalf("the schema has no table %s", name)
	}
	return table
}

// checked are the words that a column's CHECK allows.
func checked(t *testing.T, table, column string) []string {
	t.Helper()
	return words(t, table, `(?m)^\s+`+column+`\s+text.*CHECK \(`+column+` IN \(([^)]*)\)\)`)
}

// finalInSchema are the statuses with which a row must have finished_at.
func finalInSchema(t *testing.T, table string) []string {
	t.Helper()
	if strings.Contains(table, "CHECK ((status = 'finished') = (finished_at IS NOT NULL)") {
		return []string{"finished"}
	}
	return words(t, table, `CHECK \(\(status IN \(([^)]*)\)\) = \(finished_at IS NOT NULL\)\)`)
}

func words(t *testing.T, table, pattern string) []string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(table)
	if found == nil {
		t.Fatalf("the schema has nothing like %s", pattern)
	}
	var list []string
	for word := range strings.SplitSeq(found[1], ",") {
		list = append(list, strings.Trim(strings.TrimSpace(word), "'"))
	}
	slices.Sort(list)
	return list
}

func sorted(list []Status) []string {
	var words []string
	for _, s := range list {
		words = append(words, string(s))
	}
	slices.Sort(words)
	return words
}

func joinStatuses(list []Status) string {
	var words []string
	for _, s := range list {
		words = append(words, string(s))
	}
	return strings.Join(words, " ")
}
