package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCountPrimesAgreesWithPublishedCounts(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int64]int64{
		0: 0, 1: 0, 2: 0, 3: 1, 4: 2, 5: 2, 6: 3,
		10: 4, 100: 25, 1_000: 168, 10_000: 1_229, 100_000: 9_592, 1_000_000: 78_498, 10_000_000: 664_579, 100_000_000: 5_761_455,
	} {
		if got := countPrimes(0, limit); got != want {
			t.Errorf("%d primes below %d, want %d", got, limit, want)
		}
	}
	if got := countPrimes(1_000_000_000_000-40, 1_000_000_000_000); got != 2 {
		t.Errorf("%d primes in the last 40 numbers below 10^12, want 999,999,999,961 and 999,999,999,989", got)
	}
}

func TestCountPrimesAgreesWithTrialDivision(t *testing.T) {
	t.Parallel()
	isPrime := func(n int64) bool {
		for d := int64(2); d*d <= n; d++ {
			if n%d == 0 {
				return false
			}
		}
		return n > 1
	}
	for range 300 {
		low := rand.Int64N(4000)
		high := low + rand.Int64N(300)
		var want int64
		for n := low; n < high; n++ {
			if isPrime(n) {
				want++
			}
		}
		if got := countPrimes(low, high); got != want {
			t.Fatalf("%d primes in [%d, %d), want %d", got, low, high, want)
		}
	}
}

func TestSharesCoverEverythingOnce(t *testing.T) {
	t.Parallel()
	for _, tasks := range []int64{1, 2, 7, 200, 1_000_000} {
		var expected int64
		for i := range tasks {
			low, high := share{index: i, tasks: tasks, limit: maxLimit - 1}.bounds()
			if low != expected || high < low {
				t.Fatalf("share %d of %d is [%d, %d), want it to begin with %d", i, tasks, low, high, expected)
			}
			expected = high
		}
		if expected != maxLimit-1 {
			t.Errorf("%d shares end at %d", tasks, expected)
		}
	}
	var sum int64
	for i := range int64(37) {
		sum += countPrimes(share{index: i, tasks: 37, limit: 3_000_000}.bounds())
	}
	if sum != 216_816 {
		t.Errorf("%d primes below 3,000,000 in 37 shares, want 216,816", sum)
	}
}

func TestATaskKnowsItsShare(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env  map[string]string
		want share
		bad  bool
	}{
		"alone":            {nil, share{0, 1, defaultLimit}, false},
		"on Cloud Run":     {map[string]string{"CLOUD_RUN_TASK_INDEX": "3", "CLOUD_RUN_TASK_COUNT": "5", "LIMIT": "10"}, share{3, 5, 10}, false},
		"one of a step":    {map[string]string{"ORCHESTRATOR_TASK_INDEX": "7", "ORCHESTRATOR_TASK_COUNT": "200", "CLOUD_RUN_TASK_INDEX": "0", "CLOUD_RUN_TASK_COUNT": "1"}, share{7, 200, defaultLimit}, false},
		"packed":           {map[string]string{"ORCHESTRATOR_TASK_INDEXES": "0-4,7,9-10", "ORCHESTRATOR_TASK_COUNT": "200", "CLOUD_RUN_TASK_INDEX": "6", "CLOUD_RUN_TASK_COUNT": "8"}, share{9, 200, defaultLimit}, false},
		"beyond the count": {map[string]string{"ORCHESTRATOR_TASK_INDEX": "5", "ORCHESTRATOR_TASK_COUNT": "5"}, share{}, true},
		"beyond the pack":  {map[string]string{"ORCHESTRATOR_TASK_INDEXES": "0-4", "ORCHESTRATOR_TASK_COUNT": "200", "CLOUD_RUN_TASK_INDEX": "5"}, share{}, true},
		"no range":         {map[string]string{"ORCHESTRATOR_TASK_INDEXES": "4-x", "ORCHESTRATOR_TASK_COUNT": "200"}, share{}, true},
		"no number":        {map[string]string{"LIMIT": "many"}, share{}, true},
		"too high a limit": {map[string]string{"LIMIT": "1000000000001"}, share{}, true},
	} {
		got, err := readShare(func(k string) string { return test.env[k] })
		if (err != nil) != test.bad {
			t.Errorf("%s: error %v", name, err)
		}
		if err == nil && got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

func TestTheResultIsAWholeFileNamedLikeTheIndex(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	env := map[string]string{"RESULTS_DIR": dir, "LIMIT": "1000", "CLOUD_RUN_TASK_INDEX": "1", "CLOUD_RUN_TASK_COUNT": "2"}
	for range 2 { // a repeat does no harm
		if err := run(func(k string) string { return env[k] }); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff([]string{"1"}, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "1")); err != nil || string(got) != "73\n" {
		t.Errorf("result %q, %v; want 73", got, err)
	}
}

func BenchmarkCountPrimes(b *testing.B) {
	for b.Loop() {
		countPrimes(995_000_000, 1_000_000_000)
	}
}
