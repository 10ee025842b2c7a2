package engine

import (
	"context"
	"errors"
	"slices"

	"cloud-run-orchestrator/internal/lifecycle"
)

// doctorCompared is how many jobs one call of Doctor compares at most. Each takes two calls to Cloud Run.
const doctorCompared = 200

// compared is what Cloud Run said of a job and of the permissions on it.
type compared struct {
	job    string
	gone   bool
	read   bool // the job's state is known
	state  lifecycle.JobState
	access lifecycle.Access
	calls  int
}

// ofJobs reads the jobs that workflows use, and asks for the permissions on them, before anything else takes the time for it.
func (d *doctor) ofJobs(ctx context.Context, users map[string][]lifecycle.JobUse) []compared {
	if d.e.Mode == lifecycle.Mock { // the mock has every job with every permission, and does not know what is in it
		d.skip("the jobs: in mode mock Cloud Run is simulated, and what it says of jobs and permissions means nothing")
		return nil
	}
	jobs := sortedKeys(users)
	if len(jobs) > doctorCompared {
		d.skip("settings and permissions of %d jobs, of %d", len(jobs)-doctorCompared, len(jobs))
		jobs = jobs[:doctorCompared]
	}
	var list []compared
	left := forEach(ctx, d.e, &turn{now: d.now, spent: d.spent}, jobs, d.ofJob, func(group []compared) { list = append(list, group...) })
	if len(left) > 0 {
		d.skip("settings and permissions of %d jobs, from %s on: the time was spent", len(left), left[0])
	}
	slices.SortFunc(list, func(a, b compared) int { return slices.Index(jobs, a.job) - slices.Index(jobs, b.job) })
	return list
}

func (d *doctor) ofJob(ctx context.Context, job string) compared {
	c := compared{job: job, access: lifecycle.Access{Account: d.e.Account}, calls: 1}
	var err error
	if c.state, err = d.e.CloudRun.Job(ctx, job); errors.Is(err, lifecycle.ErrGone) {
		c.gone = true
		return c
	}
	c.read = err == nil
	c.access.Unread = textOf(err)
	c.calls++
	c.access.Lacking, err = d.e.CloudRun.Permissions(ctx, job, lifecycle.Permissions())
	c.access.Untested = textOf(err)
	return c
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// diagnoseJobs judges the jobs. One that the listings did not find either was told with them.
func (d *doctor) diagnoseJobs(list []compared, seen []found, users map[string][]lifecycle.JobUse) {
	for _, c := range list {
		d.Calls += c.calls
		d.Compared++
		if c.gone {
			if !slices.ContainsFunc(seen, func(f found) bool { return f.job == c.job && f.listing.Gone }) {
				d.add(lifecycle.DiagnoseNoJob(c.job, workflowsOf(users[c.job]), 0))
			}
			continue
		}
		d.add(lifecycle.DiagnoseAccess(c.job, c.access)...)
		if c.read {
			d.add(lifecycle.DiagnoseJob(c.state, users[c.job])...)
		}
	}
}

// diagnoseStrangers tells, for each region, how many executions run there that carry no marker.
func (d *doctor) diagnoseStrangers(seen []found) {
	at := map[string][]lifecycle.Strangers{}
	for _, f := range seen {
		if len(f.strangers) == 0 {
			continue
		}
		location := lifecycle.Location(f.job)
		at[location] = append(at[location], lifecycle.Strangers{
			Job: f.job, Running: len(f.strangers), AtLeast: f.err != nil || !f.listing.ReachedEnd || f.hidden > f.reading, Newest: f.strangers[0],
		})
	}
	for _, location := range sortedKeys(at) {
		d.add(lifecycle.DiagnoseStrangers(location, at[location]))
	}
}

// workflowsOf are the workflows of the users of a job, each once.
func workflowsOf(uses []lifecycle.JobUse) (names []string) {
	for _, u := range uses {
		if !slices.Contains(names, u.Workflow) {
			names = append(names, u.Workflow)
		}
	}
	return names
}
