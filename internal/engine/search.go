package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"

	"github.com/google/uuid"
)

// search is the rows of one job for whose markers its newest executions are read: one listing serves them all.
type search struct {
	job     string
	unknown []lifecycle.Execution
	watched []lifecycle.Execution
	since   time.Time // how far back the listing must reach
	began   time.Time // the database's clock before the first page
	sent    time.Time // rows may have been sent until then, whatever they say themselves
	pages   int       // so many at most; 0 is no limit
	reads   int       // so many executions that hide their environment are read at most
}

// mostReads is how many executions of one listing are read for their environment. Others than ours may have none at all.
const mostReads = 200

func searchesOf(unknown, watched []lifecycle.Execution) []search {
	var list []search
	at := map[string]int{}
	add := func(x lifecycle.Execution) *search {
		i, ok := at[x.Job]
		if !ok {
			i = len(list)
			at[x.Job] = i
			list = append(list, search{job: x.Job, since: *x.SentAt, began: x.ClaimedAt, reads: mostReads})
		}
		s := &list[i]
		if x.SentAt.Before(s.since) {
			s.since = *x.SentAt
		}
		if x.ClaimedAt.Before(s.began) {
			s.began = x.ClaimedAt
		}
		return s
	}
	for _, x := range unknown {
		s := add(x)
		s.unknown = append(s.unknown, x)
	}
	for _, x := range watched {
		if x.SentAt != nil {
			s := add(x)
			s.watched = append(s.watched, x)
		}
	}
	return list
}

// found is what a search saw.
type found struct {
	search
	listing   lifecycle.Listing
	ours      []sighting
	others    []sighting      // of other installations
	names     map[string]bool // of both
	strangers []string        // names of executions that run and surely carry no marker
	hidden    int             // executions that hide their environment
	listed    int             // pages that were asked for
	reading   int             // executions that were asked for by themselves
	err       error
}

// sighting is an execution with a marker.
type sighting struct {
	marker lifecycle.Marker
	facts  lifecycle.Facts
}

// judge compares a sighting of ours with its row.
func (s sighting) judge(rows map[uuid.UUID]store.Row) lifecycle.Sight {
	row, known := rows[s.marker.Row]
	return lifecycle.Judge(s.marker, s.facts.Name, row.Execution, known)
}

func namesOf(list []sighting) []string {
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = s.facts.Name
	}
	return names
}

func rowsOf(list []sighting) []uuid.UUID {
	ids := make([]uuid.UUID, len(list))
	for i, s := range list {
		ids[i] = s.marker.Row
	}
	return ids
}

// search reads a job's executions, newest first, until it has passed the oldest send or the end.
func (e *Engine) search(ctx context.Context, t *turn, installation uuid.UUID, s search) found {
	f := found{search: s, listing: lifecycle.Listing{BeganAt: s.began, SentUntil: s.sent}, names: map[string]bool{}}
	token := ""
	for {
		list, next, err := e.CloudRun.List(ctx, s.job, token)
		f.listed++
		if errors.Is(err, lifecycle.ErrGone) && token == "" { // the job is gone, and its executions with it
			f.listing.Gone = true
			return f
		}
		if err != nil {
			f.err = err
			return f
		}
		for _, x := range list {
			e.sight(ctx, t, installation, x, &f)
		}
		token = next
		switch {
		case next == "":
			f.listing.ReachedEnd = true
			return f
		case f.listing.ReachesBack(s.since):
			return f
		case t.spent(), s.pages > 0 && f.listed >= s.pages:
			return f
		}
	}
}

// sight takes one listed execution in. One of the time in question that hides its environment is read by itself; when that fails, or is too much,
// nothing may be concluded from absence about what was sent at that time.
func (e *Engine) sight(ctx context.Context, t *turn, installation uuid.UUID, x lifecycle.Facts, f *found) {
	f.listing.Count++
	f.listing.Oldest = x.CreatedAt
	if end := x.CompletedAt; end != nil && (f.listing.FirstEnd.IsZero() || end.Before(f.listing.FirstEnd)) {
		f.listing.FirstEnd = *end
	}
	if x.EnvHidden && (x.CreatedAt.IsZero() || !x.CreatedAt.Before(f.since.Add(-lifecycle.ListingMargin))) {
		f.hidden++
		if f.hidden > f.reads || t.spent() {
			f.listing.PassOver(x.CreatedAt)
			return
		}
		read, err := e.CloudRun.Get(ctx, x.Name)
		f.reading++
		if err != nil {
			f.listing.PassOver(x.CreatedAt)
			f.err = fmt.Errorf("read %s, whose environment the listing hides: %w", x.Name, err)
			return
		}
		read.EnvHidden = false // what is read by itself has no environment where it shows none
		x = read
	}
	if x.Marker == "" && !x.EnvHidden && x.CompletedAt == nil && !slices.Contains(f.strangers, x.Name) {
		f.strangers = append(f.strangers, x.Name)
	}
	m, ok := lifecycle.ParseMarker(x.Marker)
	// What starts while pages are read moves the list on, and the last of one page is the first of the next: that is no second execution of its row.
	switch {
	case !ok, f.names[x.Name]:
		return
	case m.Installation == installation:
		f.ours = append(f.ours, sighting{m, x})
	default:
		f.others = append(f.others, sighting{m, x})
	}
	f.names[x.Name] = true
}
