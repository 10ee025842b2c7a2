package emulator

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Faults is a script of faults. Which calls it disturbs follows from its seed and the calls' numbers alone, so a script repeats itself exactly, however
// many calls there are at a time. See LoadFaults.
type Faults struct {
	// Keep is how many finished executions of a job are to be kept, for Options.HistoryKept; 0 where the script does not say.
	Keep  int
	name  string
	seed  int
	rules []rule
}

// rule disturbs some calls of some methods.
type rule struct {
	methods            []string
	rate               float64 // 0 is every call
	calls              []span  // nil is every call
	job                string  // empty is every job
	from, until, every time.Duration
	fault              Fault
}

// span is the numbers from first to last.
type span struct{ first, last int }

// String says in some words what was loaded.
func (f *Faults) String() string {
	rules := fmt.Sprintf("%d rules", len(f.rules))
	if len(f.rules) == 1 {
		rules = "1 rule"
	}
	return fmt.Sprintf("%s, %s, seed %d", f.name, rules, f.seed)
}

// Intercept is for Options.Intercept.
func (f *Faults) Intercept(_ context.Context, c Call) Fault {
	var all Fault
	for i := range f.rules {
		if f.rules[i].hits(f.seed, i, c) {
			all = all.and(f.rules[i].fault)
		}
	}
	return all
}

func (r *rule) hits(seed, number int, c Call) bool {
	if !slices.Contains(r.methods, c.Method) || r.job != "" && jobOf(c.Name) != r.job {
		return false
	}
	since := c.Since
	if r.every > 0 {
		since %= r.every
	}
	switch {
	case since < r.from, r.until > 0 && since >= r.until:
		return false
	case r.rate > 0:
		return chance(seed, number, c) < r.rate
	case r.calls != nil:
		return slices.ContainsFunc(r.calls, func(s span) bool { return s.first <= c.N && c.N <= s.last })
	}
	return true
}

// chance is a number from 0 up to 1 that depends on its arguments alone.
func chance(seed, number int, c Call) float64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %d %s %d", seed, number, c.Method, c.N)
	x := h.Sum64() // similar texts have similar sums, so the bits are mixed as splitmix64 does
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return float64((x^x>>31)>>11) / (1 << 53)
}

// jobOf is the short name of the job in a resource's name.
func jobOf(name string) string {
	p := strings.SplitN(name, "/", 7)
	if len(p) < 6 {
		return ""
	}
	return p[5]
}

// and combines two faults of one call. Where both say the same thing, or both how the call ends, the first counts.
func (f Fault) and(g Fault) Fault {
	if f.Before == nil && f.LoseBefore == NoLoss && !f.Quota && f.After == nil && f.LoseAfter == NoLoss {
		f.Before, f.LoseBefore, f.Quota, f.After, f.LoseAfter = g.Before, g.LoseBefore, g.Quota, g.After, g.LoseAfter
	}
	f.Delay, f.Slow = cmp.Or(f.Delay, g.Delay), cmp.Or(f.Slow, g.Slow)
	f.HideFor, f.NotFoundFor = cmp.Or(f.HideFor, g.HideFor), cmp.Or(f.NotFoundFor, g.NotFoundFor)
	f.VanishAfter, f.CancelAfter = cmp.Or(f.VanishAfter, g.VanishAfter), cmp.Or(f.CancelAfter, g.CancelAfter)
	f.DropMetadata, f.HideEnv = f.DropMetadata || g.DropMetadata, f.HideEnv || g.HideEnv
	f.ProjectNumber, f.UnknownEnum, f.BadText = f.ProjectNumber || g.ProjectNumber, f.UnknownEnum || g.UnknownEnum, f.BadText || g.BadText
	return f
}

func readMethods() []string {
	return []string{"GetExecution", "ListExecutions", "GetTask", "ListTasks"}
}

func allMethods() []string {
	var all []string
	for _, r := range routes() {
		all = append(all, r.method)
	}
	return all
}

// kind is something that a rule may do.
type kind struct {
	name    string
	methods []string     // to which it does something; empty is all
	timed   bool         // it needs a time
	codes   []codes.Code // it may have; the first is the default
	message bool         // it may have one
	fault   func(details) Fault
}

// details are what a rule says about its kind.
type details struct {
	code    codes.Code
	message string
	time    time.Duration
}

func kinds() []kind {
	run := []string{"RunJob"}
	anyCode := []codes.Code{codes.Unavailable}
	for c := codes.Canceled; c <= codes.Unauthenticated; c++ {
		if c != codes.Unavailable {
			anyCode = append(anyCode, c)
		}
	}
	resets := []codes.Code{codes.ResourceExhausted, codes.PermissionDenied}
	failure := func(d details) error { return status.Error(d.code, d.message) }
	reset := func(d details) Loss {
		if d.code == codes.PermissionDenied {
			return ResetDenied
		}
		return ResetExhausted
	}
	return []kind{
		{name: "error", codes: anyCode, message: true, fault: func(d details) Fault { return Fault{Before: failure(d)} }},
		{name: "lose-answer", codes: anyCode, message: true, fault: func(d details) Fault { return Fault{After: failure(d)} }},
		{name: "late", timed: true, fault: func(d details) Fault { return Fault{Delay: d.time} }},
		{name: "slow", timed: true, fault: func(d details) Fault { return Fault{Slow: d.time} }},
		{name: "hang", fault: func(details) Fault { return Fault{LoseBefore: Hang} }},
		{name: "hang-after", fault: func(details) Fault { return Fault{LoseAfter: Hang} }},
		{name: "cut", fault: func(details) Fault { return Fault{LoseBefore: Cut} }},
		{name: "cut-after", fault: func(details) Fault { return Fault{LoseAfter: Cut} }},
		{name: "reset", codes: resets, fault: func(d details) Fault { return Fault{LoseBefore: reset(d)} }},
		{name: "reset-after", codes: resets, fault: func(d details) Fault { return Fault{LoseAfter: reset(d)} }},
		{name: "quota", fault: func(details) Fault { return Fault{Quota: true} }},
		{name: "list-lag", methods: run, timed: true, fault: func(d details) Fault { return Fault{HideFor: d.time} }},
		{name: "not-found", methods: run, timed: true, fault: func(d details) Fault { return Fault{NotFoundFor: d.time} }},
		{name: "vanish", methods: run, timed: true, fault: func(d details) Fault { return Fault{VanishAfter: d.time} }},
		{name: "cancel-outside", methods: run, timed: true, fault: func(d details) Fault { return Fault{CancelAfter: d.time} }},
		{name: "drop-metadata", methods: []string{"RunJob", "CancelExecution", "DeleteExecution", "GetOperation", "WaitOperation"},
			fault: func(details) Fault { return Fault{DropMetadata: true} }},
		{name: "hide-env", methods: []string{"ListExecutions", "ListTasks", "ListJobs"}, fault: func(details) Fault { return Fault{HideEnv: true} }},
		{name: "project-number", fault: func(details) Fault { return Fault{ProjectNumber: true} }},
		{name: "unknown-enum", fault: func(details) Fault { return Fault{UnknownEnum: true} }},
		{name: "bad-text", fault: func(details) Fault { return Fault{BadText: true} }},
	}
}
