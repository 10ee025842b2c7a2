package workflow

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// step reads one step: n holds its fields, and in the short form those of the workflow too.
func (r *reader) step(n *node, name string, defaults Job) Step {
	step := Step{Name: name}
	if isShortForm := n.up == nil; !isShortForm { // there needs is refused, and max_executions is the workflow's
		step.Needs = r.needNames(n.child("needs"))
		step.MaxExecutions = r.whole(n.child("max_executions"), MaxTasks)
	}
	at := n.child("job")
	if at == nil {
		at = &node{up: n, name: "job", kind: mappingKind, line: n.line, column: n.column}
	}
	r.jobs = append(r.jobs, at)
	step.Job = merged(r.job(n.child("job")), defaults)
	if step.Job.Name == "" && at.child("name") == nil && at.kind == mappingKind {
		r.missing(at, "name", "missing; write the name of a Cloud Run job here or in defaults.job.name")
	}
	if tasks := n.child("tasks"); tasks != nil {
		step.Tasks = r.tasks(tasks)
	} else {
		r.missing(n, "tasks", "missing; write {count: 5} or {items: [a, b]}")
	}
	step.Args = r.args(n.child("args"))
	step.Env = r.env(n.child("env"))
	step.Timeout = r.timeout(n.child("timeout"))
	step.Tolerate = r.tolerate(n.child("tolerate"))
	return step
}

func (r *reader) job(n *node) Job {
	var job Job
	if n == nil || !r.mapping(n, "{name: my-job}", "project", "region", "name", "container") {
		return job
	}
	if c := n.child("project"); c != nil {
		job.Project = r.name(c, isProject, "project", projectRule)
	}
	if c := n.child("region"); c != nil {
		job.Region = r.name(c, isRegion, "region", regionRule)
	}
	if c := n.child("name"); c != nil {
		job.Name = r.name(c, isLabel, "job's name", labelRule)
	}
	if c := n.child("container"); c != nil {
		job.Container = r.name(c, isLabel, "container's name", labelRule)
	}
	return job
}

// merged takes from defaults what the job itself does not say.
func merged(job, defaults Job) Job {
	return Job{
		Project:   cmp.Or(job.Project, defaults.Project),
		Region:    cmp.Or(job.Region, defaults.Region),
		Name:      cmp.Or(job.Name, defaults.Name),
		Container: cmp.Or(job.Container, defaults.Container),
	}
}

func (r *reader) tasks(n *node) Tasks {
	const example = "{count: 5} or {items: [a, b]}"
	if !r.mapping(n, example, "count", "items") {
		return Tasks{}
	}
	count, items := n.child("count"), n.child("items")
	switch {
	case count != nil && items != nil:
		r.fault(n, "count and items are given; keep one of them")
	case count == nil && items == nil:
		r.fault(n, "nothing says how many tasks there are; write %s", example)
	}
	tasks := Tasks{Count: r.whole(count, MaxTasks)}
	if items != nil {
		tasks.Items = r.items(items)
	}
	return tasks
}

func (r *reader) items(n *node) []json.RawMessage {
	switch {
	case n.kind != listKind:
		r.mismatch(n, "a list", "[a, b]")
		return nil
	case len(n.children) == 0:
		r.fault(n, "the list is empty, so that there would be nothing to do; write at least one item")
		return nil
	case len(n.children) > MaxTasks:
		r.fault(n, "%s items; at most %s are allowed", grouped(len(n.children)), grouped(MaxTasks))
		return nil
	}
	items := make([]json.RawMessage, 0, len(n.children))
	for _, c := range n.children {
		if !r.values(c) {
			continue
		}
		item := appendNormal(nil, c)
		if len(item) > MaxValueBytes {
			r.fault(c, "the item has %s bytes as JSON; at most %s are allowed", grouped(len(item)), grouped(MaxValueBytes))
		}
		items = append(items, item)
	}
	return items
}

func (r *reader) args(n *node) *[]string {
	if n == nil {
		return nil
	}
	if n.kind != listKind {
		r.mismatch(n, "a list", `["--verbose"], or [] to clear the job's own`)
		return nil
	}
	if len(n.children) > MaxArgs {
		r.fault(n, "%s arguments; at most %s are allowed", grouped(len(n.children)), grouped(MaxArgs))
	}
	args := make([]string, 0, len(n.children))
	for _, c := range n.children {
		args = append(args, r.plain(c))
	}
	return &args
}

func (r *reader) env(n *node) map[string]string {
	if n == nil {
		return nil
	}
	if n.kind != mappingKind {
		r.mismatch(n, "a mapping", "{LIMIT: 100}")
		return nil
	}
	if len(n.children) > MaxEnv {
		r.fault(n, "%s variables; at most %s are allowed", grouped(len(n.children)), grouped(MaxEnv))
	}
	env := map[string]string{}
	for _, c := range n.children {
		switch {
		case !isEnvName(c.name):
			r.fault(c, "%s cannot be the name of a variable; allowed are letters, digits and underscores, not beginning with a digit", quoted(c.name))
		case isReserved(c.name):
			r.fault(c, "the name belongs to Cloud Run or the orchestrator; names like ORCHESTRATOR_*, CLOUD_RUN_*, K_*, X_GOOGLE_* and PORT cannot be set")
		case soundsSecret(c.name):
			r.warn(c, "everyone who may read the status can read this value; secrets belong in the Cloud Run job, from Secret Manager")
		}
		env[c.name] = r.plain(c)
	}
	if len(env) == 0 {
		return nil
	}
	return env
}

func isReserved(name string) bool {
	return name == "PORT" || slices.ContainsFunc([]string{"ORCHESTRATOR_", "CLOUD_RUN_", "K_", "X_GOOGLE_"}, func(prefix string) bool {
		return strings.HasPrefix(name, prefix)
	})
}

func soundsSecret(name string) bool {
	return slices.ContainsFunc([]string{"_TOKEN", "_PASSWORD", "_SECRET", "_KEY"}, func(suffix string) bool {
		return strings.HasSuffix(strings.ToUpper(name), suffix)
	})
}

func (r *reader) timeout(n *node) Duration {
	const example = "90s, 10m, 1h30m or 7d"
	if n == nil {
		return 0
	}
	if n.kind != textKind {
		r.mismatch(n, "a duration", example)
		return 0
	}
	d, err := ParseDuration(n.text)
	switch {
	case err != nil:
		r.fault(n, "%v", err)
	case d == 0:
		r.fault(n, "%s is no time at all; write %s, or leave it out for the job's own", n.found(), example)
	case d > Duration(7*24*time.Hour):
		r.warn(n, "%s is longer than Cloud Run's present limit of 168h (7d)", n.found())
	}
	return d
}

func (r *reader) tolerate(n *node) Tolerate {
	if n == nil {
		return Tolerate{}
	}
	percent := n.kind == textKind && strings.HasSuffix(n.text, "%")
	if !percent && (n.kind != numberKind || !n.isLiteral()) {
		r.mismatch(n, "a number of tasks or a percentage", `3 or "1%"`)
		return Tolerate{}
	}
	t, err := ParseTolerate(n.text)
	if err != nil {
		r.fault(n, "%v", err)
	}
	return t
}
