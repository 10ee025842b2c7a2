package workflow

import (
	"slices"
	"unicode/utf8"
)

// workflow reads a whole document.
func (r *reader) workflow(root *node) {
	common := []string{"name", "description", "labels", "params", "max_executions", "defaults"}
	ofStep := []string{"job", "tasks", "args", "env", "timeout", "tolerate"}
	if root.kind != mappingKind {
		r.mismatch(root, "a mapping", "{name: my-workflow, job: {name: my-job}, tasks: {count: 5}}")
		return
	}
	r.header(root)
	defaults := r.defaults(root.child("defaults"))
	allowed := append(common, "steps")
	if steps := root.child("steps"); steps != nil {
		r.misplaced(root, "belongs to a step; where there are steps it cannot stand at the top", append(ofStep, "needs"))
		r.unknown(root, allowed, append(ofStep, "needs")...)
		r.steps(steps, defaults)
		return
	}
	r.misplaced(root, "without steps there is one step, main, and nothing that it could need", []string{"needs"})
	r.unknown(root, append(allowed, ofStep...), "needs")
	if root.child("job") == nil && root.child("tasks") == nil {
		r.missing(root, "steps", "there is nothing to run; write steps, or job and tasks for a single step")
		return
	}
	r.spec.Steps = []Step{r.step(root, "main", defaults)}
}

// misplaced reports fields that exist, but not here.
func (r *reader) misplaced(n *node, reason string, fields []string) {
	for _, c := range n.children {
		if slices.Contains(fields, c.name) {
			r.fault(c, "%s", reason)
		}
	}
}

// header reads what stands at the top in both forms.
func (r *reader) header(root *node) {
	if n := root.child("name"); n != nil {
		r.spec.Name = r.name(n, isName, "workflow's name", nameRule)
	} else {
		r.missing(root, "name", "missing; write name: my-workflow")
	}
	if n := root.child("description"); n != nil {
		r.spec.Description, _ = r.text(n, "a sentence or two")
		if length := utf8.RuneCountInString(r.spec.Description); length > MaxDescription {
			r.fault(n, "the description has %s characters; at most %s are allowed", grouped(length), grouped(MaxDescription))
		}
	}
	r.spec.Labels = r.labels(root.child("labels"))
	r.spec.Params = r.params(root.child("params"))
	r.spec.MaxExecutions = r.whole(root.child("max_executions"), MaxTasks)
}

// defaults reads the job for every step that does not say otherwise.
func (r *reader) defaults(n *node) Job {
	if n == nil || !r.mapping(n, "{job: {region: us-central1}}", "job") {
		return Job{}
	}
	return r.job(n.child("job"))
}

// steps reads the steps, and then what they say about each other.
func (r *reader) steps(n *node, defaults Job) {
	if n.kind != mappingKind {
		r.mismatch(n, "a mapping", "each step's name, and below it its fields")
		return
	}
	if len(n.children) == 0 {
		r.fault(n, "there is no step; write at least one")
	}
	if len(n.children) > MaxSteps {
		r.fault(n, "%d steps; at most %d are allowed", len(n.children), MaxSteps)
		return
	}
	for _, c := range n.children {
		if !isWord(c.name) {
			r.fault(c, "%s cannot be the name of a step; allowed are %s", quoted(c.name), wordRule)
		}
		if !r.mapping(c, "{job: {name: my-job}, tasks: {count: 5}}",
			"needs", "job", "tasks", "args", "env", "timeout", "max_executions", "tolerate") {
			continue
		}
		r.spec.Steps = append(r.spec.Steps, r.step(c, c.name, defaults))
	}
	r.needs(n)
}
