package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"
	"cloud-run-orchestrator/internal/workflow"

	"github.com/google/uuid"
)

// jobsOfWorkflows are the jobs of the newest versions of all workflows, each with the steps that use it.
func (e *Engine) jobsOfWorkflows(ctx context.Context) (map[string][]lifecycle.JobUse, error) {
	users := map[string][]lifecycle.JobUse{}
	after := ""
	for {
		list, err := e.Store.Workflows(ctx, after, page)
		if err != nil {
			return nil, err
		}
		for _, w := range list {
			after = w.Name
			var spec workflow.Spec
			if err := json.Unmarshal(w.Spec, &spec); err != nil {
				return nil, fmt.Errorf("read the definition of workflow %s: %w", w.Name, err)
			}
			for _, s := range spec.Steps {
				job := s.Job.FullName()
				users[job] = append(users[job], lifecycle.JobUse{Workflow: w.Name, Step: s.Name, Container: s.Job.Container, Timeout: time.Duration(s.Timeout)})
			}
		}
		if len(list) < page {
			return users, nil
		}
	}
}

// list reads the newest executions of every job that matters: one listing serves all rows of a job. Those of unsettled rows and of orphans come first.
func (d *doctor) list(ctx context.Context, unsettled []store.Row, known []store.Orphan, users map[string][]lifecycle.JobUse) []found {
	rows := map[string]int{}
	var jobs []string
	add := func(job string) {
		if !slices.Contains(jobs, job) {
			jobs = append(jobs, job)
		}
	}
	for _, x := range unsettled {
		add(x.Job)
		if x.Status != lifecycle.Finished {
			rows[x.Job]++
		}
	}
	for _, o := range known {
		add(lifecycle.JobOf(o.Name))
	}
	for _, job := range sortedKeys(users) {
		add(job)
	}
	searches := make([]search, len(jobs))
	for i, job := range jobs {
		searches[i] = search{job: job, since: d.now.Add(-doctorBack), began: d.now, pages: doctorPages, reads: doctorReads}
	}
	var seen []found
	left := forEach(ctx, d.e, &turn{now: d.now, spent: d.spent}, searches,
		func(ctx context.Context, s search) found {
			return d.e.search(ctx, &turn{now: d.now, spent: d.spent}, d.Health.Installation, s)
		},
		func(group []found) { seen = append(seen, group...) })
	for _, s := range left {
		d.skip("executions of job %s: the time was spent", s.job)
	}
	slices.SortFunc(seen, func(a, b found) int { return slices.Index(jobs, a.job) - slices.Index(jobs, b.job) })
	for _, f := range seen {
		d.listed(f, workflowsOf(users[f.job]), rows[f.job])
	}
	return seen
}

// listed tells how far one listing reached, and what it says of its job.
func (d *doctor) listed(f found, users []string, rows int) {
	d.Calls += f.listed + f.reading
	if f.listing.Gone {
		if len(users) > 0 || rows > 0 {
			d.add(lifecycle.DiagnoseNoJob(f.job, users, rows))
		}
		return
	}
	if f.err != nil {
		d.add(lifecycle.DiagnoseUnread(f.job, f.err.Error()))
	}
	j := CheckedJob{Job: f.job, Listed: f.listing.Count, Complete: f.listing.ReachedEnd}
	if !f.listing.Oldest.IsZero() {
		j.Back = &f.listing.Oldest
	}
	d.Jobs = append(d.Jobs, j)
	if f.err == nil && !f.listing.ReachedEnd && !f.listing.Oldest.Before(f.since) {
		d.skip("executions of job %s before the newest %d", f.job, f.listing.Count)
	}
	if n := f.hidden - f.reading; n > 0 {
		d.skip("%d executions of job %s that hide their environment in the listing", n, f.job)
	}
}

// ask asks for each live row that no listing showed, the longest unseen first, and gives those that Cloud Run does not know.
func (d *doctor) ask(ctx context.Context, unsettled []store.Row, seen []found) (gone map[uuid.UUID]bool) {
	shown := map[string]bool{}
	noJob := map[string]bool{}
	for _, f := range seen {
		noJob[f.job] = f.listing.Gone
		for _, s := range f.ours {
			shown[s.facts.Name] = true
		}
	}
	var rows []store.Row
	for _, x := range unsettled {
		if x.Name != "" && x.Status != lifecycle.Finished && !noJob[x.Job] && !shown[x.Name] {
			rows = append(rows, x)
		}
	}
	if len(rows) > doctorGets {
		d.skip("%d executions that no listing showed, of %d", len(rows)-doctorGets, len(rows))
		rows = rows[:doctorGets]
	}
	type answer struct {
		row store.Row
		err error
	}
	gone = map[uuid.UUID]bool{}
	unread := map[string]string{}
	left := forEach(ctx, d.e, &turn{now: d.now, spent: d.spent}, rows,
		func(ctx context.Context, x store.Row) answer {
			_, err := d.e.CloudRun.Get(ctx, x.Name)
			return answer{x, err}
		},
		func(group []answer) {
			for _, a := range group {
				d.Calls++
				switch {
				case errors.Is(a.err, lifecycle.ErrGone):
					gone[a.row.ID] = true
				case a.err != nil:
					unread[a.row.Job] = a.err.Error()
				}
			}
		})
	if len(left) > 0 {
		d.skip("%d executions that no listing showed: the time was spent", len(left))
	}
	for _, job := range sortedKeys(unread) {
		d.add(lifecycle.DiagnoseUnread(job, unread[job]))
	}
	return gone
}

// diagnose turns what was seen into findings. before and after are the ledger on both sides of the fixes; without fixes they are one.
func (d *doctor) diagnose(seen []found, gone map[uuid.UUID]bool, before, after state) {
	blocked := d.Health.LaunchBlockedReason != ""
	told := map[string]bool{}
	found := map[uuid.UUID]bool{}
	for _, f := range seen {
		for _, s := range f.ours {
			d.diagnoseSighting(s, before, after, blocked, told)
			found[s.marker.Row] = found[s.marker.Row] || s.judge(before.rows) == lifecycle.SightNamed
		}
		d.diagnoseOthers(f)
	}
	for _, o := range after.orphans {
		if o.EndedAt != nil || told[o.Name] {
			continue
		}
		f := lifecycle.DiagnoseOrphan(o.Name, o.Run, o.FoundAt, o.CancelAt, blocked)
		was, _ := before.orphan(o.Name)
		f.Fixed = was.CancelAt == nil && o.CancelAt != nil
		d.add(f)
	}
	for _, id := range sortedIDs(after.rows) {
		x := after.rows[id]
		switch {
		case x.Status == lifecycle.Launching && !found[id] && !lifecycle.InFlight(x.Execution, d.e.Claim, d.now):
			d.add(lifecycle.DiagnoseLaunch(x.Execution, x.Run, d.e.SettleWindow))
		case gone[id] && x.Status != lifecycle.Finished:
			if f, ok := lifecycle.DiagnoseGone(x.Execution, x.Run, d.e.SettleWindow, d.now); ok {
				d.add(f)
			}
		}
	}
}

// diagnoseSighting judges one execution of ours. An orphan that was known before is told with the known ones; what a restore has left alone was told then.
func (d *doctor) diagnoseSighting(s sighting, before, after state, blocked bool, told map[string]bool) {
	row := before.rows[s.marker.Row]
	sight := s.judge(before.rows)
	_, known := before.orphan(s.facts.Name)
	switch {
	case sight == lifecycle.SightNamed && lifecycle.InFlight(row.Execution, d.e.Claim, d.now),
		sight == lifecycle.SightOrphan && known,
		sight == lifecycle.SightUnknownSend && before.left[s.facts.Name]:
		return
	}
	f, ok := lifecycle.DiagnoseSight(sight, s.facts, row.Execution, row.Run, blocked)
	if !ok {
		return
	}
	now, isKnown := after.orphan(s.facts.Name)
	switch sight {
	case lifecycle.SightNamed:
		f.Fixed = lifecycle.SameExecution(after.rows[s.marker.Row].Name, s.facts.Name)
	case lifecycle.SightOrphan:
		f.Fixed = isKnown && (now.EndedAt != nil || now.CancelAt != nil)
		told[s.facts.Name] = true
	}
	d.add(f)
}

func (d *doctor) diagnoseOthers(f found) {
	if len(f.others) == 0 {
		return
	}
	oldest := f.others[len(f.others)-1].facts.CreatedAt
	d.add(lifecycle.DiagnoseOthers(f.job, f.others[0].facts.Name, len(f.others), oldest))
}

func sortedIDs(rows map[uuid.UUID]store.Row) []uuid.UUID {
	ids := make([]uuid.UUID, 0, len(rows))
	for id := range rows {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return ids
}
