package workflow

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// DefaultRegion is where a job is looked for when nothing names a region.
const DefaultRegion = "us-central1"

// Document is a definition as a user wrote it, found to be correct but for what only the orchestrator that runs it can add.
type Document struct {
	// Warnings are legal, but perhaps not what was meant.
	Warnings Problems

	file string
	root *node
	spec Spec    // its jobs may lack project and region
	jobs []*node // the place of each step's job, for problems
}

// Defaults are what an orchestrator adds to jobs that do not name their project or region.
type Defaults struct {
	Project string // empty: each job must have one
	Region  string // empty: DefaultRegion
}

// Parse reads and checks a definition in YAML or JSON. It is taken for JSON when it begins with { or the file's name ends in .json.
// The file's name is only used in messages; it may be empty. An error is of type Problems and holds all that is wrong.
//
// Args, env and params are plain text for now: ${ is refused there, so that no container gets a template in place of its value.
// $${ stands for a literal ${. Items are data and taken as they are.
func Parse(file string, doc []byte) (*Document, error) {
	l := &loader{report: report{file: file}}
	root := l.load(doc, strings.HasSuffix(strings.ToLower(file), ".json"))
	r := &reader{report: l.report}
	if root != nil {
		r.workflow(root)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	r.warnings.sort()
	return &Document{Warnings: r.warnings, file: file, root: root, spec: r.spec, jobs: r.jobs}, nil
}

// Name is the workflow's name.
func (d *Document) Name() string { return d.spec.Name }

// JSON is the document as JSON on one line: aliases are written out, fields are in their order, texts and numbers as they were typed.
// Parse takes it for the same definition.
func (d *Document) JSON() []byte {
	return appendJSON(nil, d.root)
}

// Spec is the definition with its jobs resolved. An error is of type Problems.
func (d *Document) Spec(defaults Defaults) (Spec, error) {
	r := &report{file: d.file}
	spec := d.spec
	spec.Steps = slices.Clone(spec.Steps)
	var lacking []int
	for i := range spec.Steps {
		job := &spec.Steps[i].Job
		job.Project = cmp.Or(job.Project, defaults.Project)
		job.Region = cmp.Or(job.Region, defaults.Region, DefaultRegion)
		switch {
		case job.Project == "":
			lacking = append(lacking, i)
		case !isProject(job.Project):
			r.missing(d.jobs[i], "project", "ORCHESTRATOR_PROJECT is %s, which cannot be a project; allowed are %s", quoted(job.Project), projectRule)
		}
		if !isRegion(job.Region) {
			r.missing(d.jobs[i], "region", "ORCHESTRATOR_REGION is %s, which cannot be a region; allowed are %s", quoted(job.Region), regionRule)
		}
	}
	if len(lacking) > 0 {
		others := ""
		if n := len(lacking) - 1; n > 0 {
			others = fmt.Sprintf("; %d more of the steps lack it too", n)
		}
		r.missing(d.jobs[lacking[0]], "project",
			"missing; write it here or in defaults.job.project, or set ORCHESTRATOR_PROJECT for the orchestrator that runs it%s", others)
	}
	if err := r.err(); err != nil {
		return Spec{}, err
	}
	return spec, nil
}
