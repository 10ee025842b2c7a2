// Package engine moves runs: it orders what store remembers, lifecycle decides and cloudrun does. It holds no SQL and no API detail.
package engine

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"cloud-run-orchestrator/internal/cloudrun"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"
	"cloud-run-orchestrator/internal/workflow"

	"github.com/google/uuid"
)

// Options are what an engine works with.
type Options struct {
	Store    *store.Store
	CloudRun *cloudrun.Client // nil for an engine that never ticks
	Mode     lifecycle.Mode
	Defaults workflow.Defaults // of jobs whose definition leaves project or region out
	Log      *slog.Logger      // nil drops everything
	// LogEveryTick writes a line for idle ticks too, as metrics need it; else they are only for debugging.
	LogEveryTick bool

	CallDeadline time.Duration // of one call to Cloud Run
	Claim        time.Duration // how long a claimed row is its claimer's; above CallDeadline
	SettleWindow time.Duration // counted from a claim: what was accepted under it is surely listed by then; above Claim
	Budget       time.Duration // of one tick
	HistoryKept  int           // executions of a job that Cloud Run surely lists
	Concurrency  int           // calls at once

	Account string // the service account that calls Cloud Run, empty where it is not known; only shown
	Schema  int    // the newest schema version that this program knows; 0 where nobody asks

	// Wake is called after every commit that gives ticks something to do; nil where they come by themselves. It takes seconds at most, and has no error
	// that a caller could do anything about.
	Wake func(ctx context.Context)
	// Woken ends a tick's pause between two passes. It is for ticks in the process that is woken, and nil elsewhere.
	Woken <-chan struct{}

	// Clock reads both local clocks: the wall, and the monotonic one as the time since some fixed moment. nil is this machine's.
	// With one that stands still no tick is ever cut short, and with a Budget below a second none naps.
	Clock func() (wall time.Time, monotonic time.Duration)
}

// Engine is what the four functions call. It is safe for concurrent use.
type Engine struct {
	Options
	specs specs

	mu       sync.Mutex
	jobs     map[string]lifecycle.JobFacts // as they were recorded last
	launched map[string]time.Duration      // by location, when it was recorded last that one was launched there, on the monotonic clock
}

// New makes an engine.
func New(o Options) *Engine {
	if o.Clock == nil {
		start := time.Now()
		o.Clock = func() (time.Time, time.Duration) { return time.Now().Round(0), time.Since(start) }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Engine{Options: o, jobs: map[string]lifecycle.JobFacts{}, launched: map[string]time.Duration{}}
}

// wake has a tick come soon, for what was committed just now.
func (e *Engine) wake(ctx context.Context) {
	if e.Wake != nil {
		e.Wake(ctx)
	}
}

// newID makes an id. UUID v7 sort by time, so that new rows go to the end of the indexes.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// specs remembers definitions: a version never changes.
type specs struct {
	mu   sync.Mutex
	kept map[specKey]*workflow.Spec
}

type specKey struct {
	workflow uuid.UUID
	version  int
}

// maxSpecs bounds the memory of definitions; when it is full it begins anew.
const maxSpecs = 200

func (s *specs) get(k specKey) *workflow.Spec {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[k]
}

func (s *specs) put(k specKey, raw json.RawMessage) (*workflow.Spec, error) {
	spec := new(workflow.Spec)
	if err := json.Unmarshal(raw, spec); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil || len(s.kept) >= maxSpecs {
		s.kept = map[specKey]*workflow.Spec{}
	}
	s.kept[k] = spec
	return spec, nil
}
