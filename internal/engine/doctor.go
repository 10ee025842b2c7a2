package engine

import (
	"context"
	"fmt"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"

	"github.com/google/uuid"
)

// Bounds of one call of Doctor. What lies beyond is told as not looked at.
const (
	doctorBack  = lifecycle.WatchFor // how far back a listing goes at most
	doctorPages = 10                 // pages of a listing at most
	doctorReads = 20                 // executions of a job that hide their environment, read by themselves
	doctorGets  = 200                // rows that no listing showed, asked for by themselves
	doctorRows  = 5000               // unsettled rows
	doctorTold  = 100                // steps with doubtful tasks
)

// Doctor is what one call of Doctor is asked for.
type Doctor struct {
	Fix   bool   // put right what may be put right
	Cloud bool   // compare the jobs of the workflows with what they need, too
	Actor string // who asks
}

// Checkup is what one call of Doctor found, and how far it looked.
type Checkup struct {
	Findings  []lifecycle.Finding // the gravest first
	Health    lifecycle.Health
	Rules     int // of the data that were checked
	Rows      int // of the ledger that were compared with Cloud Run
	Calls     int // to Cloud Run that read
	Compared  int // jobs whose settings and permissions were compared with what their users need
	Jobs      []CheckedJob
	NotLooked []string // what was not looked at, a sentence each
	Took      time.Duration
}

// CheckedJob is how far the listing of one job's executions reached.
type CheckedJob struct {
	Job      string
	Listed   int        // executions
	Back     *time.Time // creation of the oldest of them; nil where there is none
	Complete bool       // the listing reached the last execution that Cloud Run keeps
}

// Doctor compares the database with its own rules, and with Cloud Run in both directions. With fix it does what recover would do about what a listing shows:
// names go to the rows that wait for them, orphans are recorded and cancelled, sends that the database does not know block launching.
// With cloud it compares the jobs of the workflows with what they need, too, and changes nothing about them.
// It never ends a row, and never touches what belongs to another installation. ErrConflict with fix in another mode than the database's.
func (e *Engine) Doctor(ctx context.Context, o Doctor) (Checkup, error) {
	health, err := e.Store.Health(ctx)
	if err != nil {
		return Checkup{}, err
	}
	if o.Fix && health.Mode != e.Mode {
		return Checkup{}, lifecycle.Conflict("this database belongs to mode %s, and this process runs in mode %s; nothing was changed", health.Mode, e.Mode)
	}
	d := &doctor{Doctor: o, e: e, begun: time.Now(), stop: ctx.Done(), now: health.Now}
	d.Health = health
	switch {
	case health.HalfMigrated:
		d.skip("anything else, since the schema is half migrated")
	case health.Mode != e.Mode:
		d.skip("Cloud Run, since it is not the one of mode %s", health.Mode)
	default:
		err = d.compare(context.WithoutCancel(ctx))
	}
	if err != nil {
		return Checkup{}, err
	}
	if !health.HalfMigrated {
		if err := d.data(ctx); err != nil {
			return Checkup{}, err
		}
	}
	d.add(d.Health.Diagnose(e.Mode, e.Schema)...)
	lifecycle.SortFindings(d.Findings)
	d.Took = time.Since(d.begun)
	return d.Checkup, nil
}

// doctor is one call of Doctor in progress.
type doctor struct {
	Doctor
	Checkup
	e     *Engine
	begun time.Time
	stop  <-chan struct{}
	now   time.Time // the database's clock when it began
}

func (d *doctor) add(list ...lifecycle.Finding) { d.Findings = append(d.Findings, list...) }

func (d *doctor) skip(format string, args ...any) {
	d.NotLooked = append(d.NotLooked, fmt.Sprintf(format, args...))
}

// spent says whether Cloud Run's half of the budget is over, or the caller is. The other half belongs to the rules of the data.
func (d *doctor) spent() bool {
	select {
	case <-d.stop:
		return true
	default:
		return time.Since(d.begun) >= d.e.Budget/2
	}
}

// data checks what the database says by itself.
func (d *doctor) data(ctx context.Context) error {
	doubtful, err := d.e.Store.Doubtful(ctx, lifecycle.ReasonLaunchUnknown, lifecycle.WatchFor, doctorTold)
	if err != nil {
		return err
	}
	for _, t := range doubtful {
		d.add(lifecycle.DiagnoseDoubtful(t.Run, t.Step, t.Tasks, t.Since))
	}
	if len(doubtful) == doctorTold {
		d.skip("steps with tasks that may have run beyond the newest %d", doctorTold)
	}
	limit, cancel := context.WithTimeout(ctx, max(d.e.Budget-time.Since(d.begun), d.e.Budget/4))
	defer cancel()
	broken, err := d.e.Store.Invariants(limit)
	switch {
	case err != nil && limit.Err() != nil:
		d.skip("the rules of the data: they were not checked within the budget of %s", d.e.Budget)
		return ctx.Err()
	case err != nil:
		return err
	}
	d.Rules = store.Rules()
	for _, v := range broken {
		d.add(lifecycle.DiagnoseRule(v.Name, v.Detail))
	}
	return nil
}

// compare compares the ledger with Cloud Run, and puts right what may be.
func (d *doctor) compare(ctx context.Context) error {
	e := d.e
	unsettled, all, err := e.Store.Unsettled(ctx, doctorRows)
	if err != nil {
		return err
	}
	if all > len(unsettled) {
		d.skip("%d of %d unsettled executions", all-len(unsettled), all)
	}
	known, err := e.Store.Orphans(ctx, nil)
	if err != nil {
		return err
	}
	users, err := d.e.jobsOfWorkflows(ctx)
	if err != nil {
		return err
	}
	var jobs []compared
	if d.Cloud {
		jobs = d.ofJobs(ctx, users)
	}
	seen := d.list(ctx, unsettled, known, users)
	gone := d.ask(ctx, unsettled, seen)
	d.Rows = len(unsettled)

	before, err := d.read(ctx, seen, unsettled)
	if err != nil {
		return err
	}
	after := before
	if d.Fix {
		if err := d.fix(ctx, seen, before); err != nil {
			return err
		}
		if after, err = d.read(ctx, seen, unsettled); err != nil {
			return err
		}
		if d.Health, err = e.Store.Health(ctx); err != nil {
			return err
		}
	}
	d.diagnose(seen, gone, before, after)
	if d.Cloud {
		d.diagnoseJobs(jobs, seen, users)
		d.diagnoseStrangers(seen)
	}
	return nil
}

// state is what the ledger knows about everything that was seen.
type state struct {
	left    map[string]bool // executions that a restore has left alone
	rows    map[uuid.UUID]store.Row
	orphans []store.Orphan
}

// read reads the ledger after Cloud Run was asked, so that what a tick has settled meanwhile is no finding.
func (d *doctor) read(ctx context.Context, seen []found, unsettled []store.Row) (s state, err error) {
	var ids []uuid.UUID
	var names []string
	for _, f := range seen {
		ids, names = append(ids, rowsOf(f.ours)...), append(names, namesOf(f.ours)...)
	}
	for _, x := range unsettled {
		ids = append(ids, x.ID)
	}
	if s.rows, err = d.e.Store.Rows(ctx, ids); err != nil {
		return s, err
	}
	if s.left, err = d.e.Store.LeftAlone(ctx, names); err != nil {
		return s, err
	}
	s.orphans, err = d.e.Store.Orphans(ctx, ids)
	return s, err
}

// orphan is what is known about an orphan of this name.
func (s state) orphan(name string) (store.Orphan, bool) {
	for _, o := range s.orphans {
		if lifecycle.SameExecution(o.Name, name) {
			return o, true
		}
	}
	return store.Orphan{}, false
}

// fix records and does what recover would, in its words and under its guards. All sightings are judged together, so that one that blocks launching
// keeps the others from being taken for orphans.
func (d *doctor) fix(ctx context.Context, seen []found, before state) error {
	var all found
	for _, f := range seen {
		all.ours = append(all.ours, f.ours...)
	}
	if _, err := d.e.recordFound(ctx, d.now, all); err != nil {
		return err
	}
	rows, err := d.e.Store.Rows(ctx, rowsOf(all.ours))
	if err != nil {
		return err
	}
	for _, s := range all.ours {
		row := rows[s.marker.Row]
		inFlight := lifecycle.InFlight(before.rows[s.marker.Row].Execution, d.e.Claim, d.now) // then its own tick may have named it
		if s.judge(before.rows) != lifecycle.SightNamed || inFlight || !lifecycle.SameExecution(row.Name, s.facts.Name) {
			continue
		}
		err := d.e.Store.Note(ctx, row.RunID, lifecycle.Event{Kind: "launch_found", Actor: d.Actor, Subject: "execution " + s.facts.Name,
			Detail: "doctor found it by its marker, and gave its row the name"})
		if err != nil {
			return err
		}
	}
	t := &turn{now: d.now, spent: d.spent}
	if _, err := d.e.stopOrphans(ctx, t); err != nil { // what could not be cancelled stays a finding
		d.skip("orphans that could not be asked to stop: %v", err)
	}
	return nil
}
