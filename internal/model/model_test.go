package model

import (
	"flag"
	"maps"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// A default run is short; -rapid.checks=1000 makes it long, -rapid.steps its stories.
const (
	defaultChecks = "6"
	defaultSteps  = "35"
)

func TestMain(m *testing.M) {
	flag.Parse()
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range map[string]string{"rapid.checks": defaultChecks, "rapid.steps": defaultSteps} {
		if given[name] {
			continue
		}
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// TestNothingIsSentTwiceAndNothingIsLost lets rapid tell stories of an orchestrator whose every part may fail at any time. After every action SAFETY is
// checked, at the end of a story LIVENESS. A story that breaks a rule is made as short as possible, and printed.
func TestNothingIsSentTwiceAndNothingIsLost(t *testing.T) {
	t.Parallel()
	var stories, actions atomic.Int64
	happened := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		s := &scope{TB: t, story: rt}
		defer s.end()
		w := newWorld(s)
		stories.Add(1)
		m := &machine{w: w, rt: rt}
		m.begin()
		rt.Repeat(m.actions(&actions))
		w.comesToRest()
		for what, n := range w.happened {
			happened[what] += n
		}
	})
	t.Logf("%d stories, %d actions", stories.Load(), actions.Load())
	for _, what := range slices.Sorted(maps.Keys(happened)) {
		t.Logf("%6d  %s", happened[what], what)
	}
}

// scope is the testing.TB of one story: what fails in it fails only the story, and what it opened ends with it.
type scope struct {
	testing.TB
	story    *rapid.T
	cleanups []func()
}

func (s *scope) Helper()                           { s.story.Helper() }
func (s *scope) Log(args ...any)                   { s.story.Log(args...) }
func (s *scope) Logf(format string, args ...any)   { s.story.Logf(format, args...) }
func (s *scope) Error(args ...any)                 { s.story.Error(args...) }
func (s *scope) Errorf(format string, args ...any) { s.story.Errorf(format, args...) }
func (s *scope) Fatal(args ...any)                 { s.story.Fatal(args...) }
func (s *scope) Fatalf(format string, args ...any) { s.story.Fatalf(format, args...) }
func (s *scope) Failed() bool                      { return false } // its database is not kept: the story can be told again
func (s *scope) Cleanup(f func())                  { s.cleanups = append(s.cleanups, f) }

func (s *scope) end() {
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		s.cleanups[i]()
	}
}
