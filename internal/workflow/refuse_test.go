package workflow

import (
	"fmt"
	"strings"
	"testing"
)

// head and foot make a whole document: a name and a job, and the tasks on line 4.
const (
	head = "name: a\njob: {name: j}\n"
	foot = "\ntasks: {count: 1}\n"
)

// step is a step on one line.
func step(name, needs string) string {
	return fmt.Sprintf("  %s: {job: {name: j}, tasks: {count: 1}, needs: %s}\n", name, needs)
}

// lines writes a line with each number below n.
func lines(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// refusal is a document, and what is said of it, a problem a line.
type refusal struct{ name, doc, want string }

func checkRefusals(t *testing.T, refusals []refusal) {
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := Parse("w.yaml", []byte(tt.doc))
			if err == nil {
				t.Fatalf("accepted: %s", d.JSON())
			}
			checkError(t, err, tt.want)
		})
	}
}

const severalProblems = `
name: Nightly
descripton: x
labels: {team: 5}
defaults: {job: {regoin: us-central1}}
steps:
  extract:
    job: {name: extract}
    tasks: {cuont: 5}
    timeout: 6 hours
  report:
    needs: [extrct]
    job: {name: Report_}
    tasks: {count: 0}
`

func TestAWorkflowThatCannotBeIsRefusedWithItsPlaces(t *testing.T) {
	t.Parallel()
	checkRefusals(t, []refusal{
		{"the name of an address", "name: health\njob: {name: load}\ntasks: {count: 1}\n",
			`w.yaml:1:1: name: "health" cannot be a workflow's name; allowed are lower-case letters, digits and hyphens, beginning with a letter and not ending with a hyphen, at most 63 characters; and not health, which is an address of the functions`},
		{"several problems at once in the order of the document", severalProblems,
			strings.Join([]string{
				`w.yaml:2:1: name: "Nightly" cannot be a workflow's name; allowed are lower-case letters, digits and hyphens, beginning with a letter and not ending with a hyphen, at most 63 characters; and not health, which is an address of the functions`,
				`w.yaml:3:1: descripton: unknown field; allowed here: name, description, labels, params, max_executions, defaults, steps; did you mean "description"?`,
				`w.yaml:4:10: labels.team: 5 is not text; write it in quotes: "5"`,
				`w.yaml:5:18: defaults.job.regoin: unknown field; allowed here: project, region, name, container; did you mean "region"?`,
				"w.yaml:9:5: steps.extract.tasks: nothing says how many tasks there are; write {count: 5} or {items: [a, b]}",
				`w.yaml:9:13: steps.extract.tasks.cuont: unknown field; allowed here: count, items; did you mean "count"?`,
				`w.yaml:10:5: steps.extract.timeout: "6 hours" is not a duration; write 90s, 10m, 1h30m or 7d`,
				`w.yaml:12:13: steps.report.needs[0]: there is no step "extrct"; did you mean "extract"?`,
				`w.yaml:13:11: steps.report.job.name: "Report_" cannot be a job's name; allowed are lower-case letters, digits and hyphens, beginning with a letter and not ending with a hyphen, at most 63 characters`,
				"w.yaml:14:13: steps.report.tasks.count: 0 is out of range; write 1 to 1,000,000",
			}, "\n")},
		{"a field of the language to come is unknown", head + foot + "schedule: {cron: x}\n",
			"w.yaml:5:1: schedule: unknown field; allowed here: name, description, labels, params, max_executions, defaults, steps, job, tasks, args, env, timeout, tolerate"},
		{"a misspelt field", head + foot + "tiemout: 5m\n",
			`w.yaml:5:1: tiemout: unknown field; allowed here: name, description, labels, params, max_executions, defaults, steps, job, tasks, args, env, timeout, tolerate; did you mean "timeout"?`},
		{"a field given twice", head + foot + "name: b\nenv: {A: 1, B: 2, A: 3}",
			strings.Join([]string{
				"w.yaml:5:1: name: given twice; the first is on line 1",
				"w.yaml:6:19: env.A: given twice; the first is on line 6",
			}, "\n")},
		{"no name", "job: {name: j}" + foot,
			"w.yaml:1:1: name: missing; write name: my-workflow"},
		{"a name without a value", "name:\njob: {name: j}" + foot,
			"w.yaml:1:1: name: there is no value; write a workflow's name"},
		{"a name that is a number", "name: 5\njob: {name: j}" + foot,
			`w.yaml:1:1: name: 5 is not text; write it in quotes: "5"`},
		{"nothing to run", "name: a\n",
			"w.yaml:1:1: steps: there is nothing to run; write steps, or job and tasks for a single step"},
		{"no job", "name: a" + foot,
			"w.yaml:1:1: job.name: missing; write the name of a Cloud Run job here or in defaults.job.name"},
		{"no tasks", head,
			"w.yaml:1:1: tasks: missing; write {count: 5} or {items: [a, b]}"},
		{"a job that is a text", "name: a\njob: my-job" + foot,
			`w.yaml:2:1: job: "my-job" is not a mapping; write {name: my-job}`},
		{"names of the job that cannot be", "name: a\njob: {name: J, region: us-central1-a, project: My_Project, container: c_}" + foot,
			strings.Join([]string{
				`w.yaml:2:7: job.name: "J" cannot be a job's name; allowed are lower-case letters, digits and hyphens, beginning with a letter and not ending with a hyphen, at most 63 characters`,
				`w.yaml:2:16: job.region: "us-central1-a" cannot be a region; allowed are names such as us-central1`,
				`w.yaml:2:39: job.project: "My_Project" cannot be a project; allowed are ids such as my-gcp-project`,
				`w.yaml:2:60: job.container: "c_" cannot be a container's name; allowed are lower-case letters, digits and hyphens, beginning with a letter and not ending with a hyphen, at most 63 characters`,
			}, "\n")},
		{"a long description", head + foot + "description: " + strings.Repeat("é", 1001),
			"w.yaml:5:1: description: the description has 1,001 characters; at most 1,000 are allowed"},
		{"labels that cannot be", head + foot + "labels: {\"\": x, \"a\\nb\": y, c: \"l\\nm\", d: [x]}",
			strings.Join([]string{
				`w.yaml:5:10: labels."": the key of a label has 1 to 63 characters, all on one line`,
				`w.yaml:5:17: labels."a\nb": the key of a label has 1 to 63 characters, all on one line`,
				"w.yaml:5:28: labels.c: the value of a label has at most 255 characters, all on one line",
				`w.yaml:5:39: labels.d: a list is not text; write "some text"`,
			}, "\n")},
		{"labels as a list", head + foot + "labels: [a]",
			"w.yaml:5:1: labels: a list is not a mapping; write {team: data}"},
		{"too many labels", head + foot + "labels:\n" + lines(65, "  l%d: x\n"),
			"w.yaml:5:1: labels: 65 labels; at most 64 are allowed"},
		{"max_executions of the workflow", head + foot + "max_executions: 0",
			"w.yaml:5:1: max_executions: 0 is out of range; write 1 to 1,000,000"},
		{"params that cannot be", head + foot + "params: {Limit: 1, b: {type: integer}, c: null, d: [[1]], e: [null], f: \"${date()}\", g: 010}",
			strings.Join([]string{
				`w.yaml:5:10: params.Limit: "Limit" cannot be the name of a param; allowed are lower-case letters, digits and underscores, beginning with a letter, at most 63 characters`,
				"w.yaml:5:20: params.b: a mapping is not text, a number or a boolean; write one of these, or a list of them",
				"w.yaml:5:40: params.c: there is no value; write one of these, or a list of them",
				"w.yaml:5:53: params.d[0]: a list is not text, a number or a boolean; write one of these, or a list of them",
				"w.yaml:5:63: params.e[0]: there is no value; write one of these, or a list of them",
				`w.yaml:5:70: params.f: "${date()}": templates in ${ } are not supported yet; write $${ where a literal ${ is meant`,
				"w.yaml:5:86: params.g: 010 is not a number as JSON writes it (decimal, without leading zeros); write it so, or in quotes where text is meant",
			}, "\n")},
		{"params as a list", head + foot + "params: [a]",
			"w.yaml:5:1: params: a list is not a mapping; write {limit: 100}"},
		{"params that are too large together", head + foot + "params: {a: x, b: " + strings.Repeat("x", 32<<10) + "}",
			"w.yaml:5:1: params: the params have 32,784 bytes as JSON; at most 32,768 are allowed"},
		{"needs in the short form", head + foot + "needs: [a]",
			"w.yaml:5:1: needs: without steps there is one step, main, and nothing that it could need"},
		{"fields of a step beside steps", "name: a\njob: {name: j}\ntasks: {count: 1}\nneeds: [x]\ntimeouts: 5m\nsteps:\n" + step("x", "[]"),
			strings.Join([]string{
				"w.yaml:2:1: job: belongs to a step; where there are steps it cannot stand at the top",
				"w.yaml:3:1: tasks: belongs to a step; where there are steps it cannot stand at the top",
				"w.yaml:4:1: needs: belongs to a step; where there are steps it cannot stand at the top",
				"w.yaml:5:1: timeouts: unknown field; allowed here: name, description, labels, params, max_executions, defaults, steps",
			}, "\n")},
		{"steps as a list", "name: a\nsteps: [a]",
			"w.yaml:2:1: steps: a list is not a mapping; write each step's name, and below it its fields"},
		{"no step", "name: a\nsteps: {}",
			"w.yaml:2:1: steps: there is no step; write at least one"},
		{"steps without a value", "name: a\nsteps:\n",
			"w.yaml:2:1: steps: there is no value; write each step's name, and below it its fields"},
		{"a step without a value", "name: a\nsteps:\n  x:\n",
			"w.yaml:3:3: steps.x: there is no value; write {job: {name: my-job}, tasks: {count: 5}}"},
		{"names of steps that cannot be", "name: a\nsteps:\n" + step("Extract", "[]") + step("a-b", "[]"),
			strings.Join([]string{
				`w.yaml:3:3: steps.Extract: "Extract" cannot be the name of a step; allowed are lower-case letters, digits and underscores, beginning with a letter, at most 63 characters`,
				`w.yaml:4:3: steps.a-b: "a-b" cannot be the name of a step; allowed are lower-case letters, digits and underscores, beginning with a letter, at most 63 characters`,
			}, "\n")},
		{"more than 100 steps", "name: a\nsteps:\n" + lines(101, "  s%d: {job: {name: j}, tasks: {count: 1}}\n"),
			"w.yaml:2:1: steps: 101 steps; at most 100 are allowed"},
		{"defaults of something else", head + foot + "defaults: {retry: {}}",
			"w.yaml:5:12: defaults.retry: unknown field; allowed here: job"},
	})
}
