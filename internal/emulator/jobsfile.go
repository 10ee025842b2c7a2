package emulator

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"
)

// LoadJobs reads job definitions from a YAML file:
//
//	jobs:
//	  resize:
//	    command: [./resize]     # on PATH, or relative to dir where it contains a slash
//	    args: [--fast]
//	    env: {OUT: "${OUT:-out}"}   # ${NAME} and ${NAME:-default} are taken from the emulator's own environment; $${ is ${
//	    containers: [resize]    # default: one, named like the job
//	    image: example/resize   # only shown
//	    task_count: 1
//	    max_retries: 0          # default 3, as in Cloud Run
//	    parallelism: 0          # tasks of an execution at the same time; 0 is no limit
//	    timeout: 10m            # of one attempt
//	    denied: []              # permissions that the caller lacks on it, as in run.jobs.runWithOverrides
//	    dir: .                  # working folder, relative to the file
//
// All that is wrong is reported at once, a line each: file:line:column: path: what, and what is allowed.
func LoadJobs(path string) (Jobs, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("jobs file: %w", err)
	}
	return parseJobs(path, text)
}

func parseJobs(file string, text []byte) (Jobs, error) {
	doc, err := readYAML(file, text)
	if err != nil {
		return nil, err
	}
	r := &fileReader{}
	jobs := Jobs{}
	if top, ok := r.mapping(doc, "", "jobs"); ok && top["jobs"] == nil {
		r.fault(doc, "jobs", "is missing; write jobs: and below it a job per name")
	} else if ok {
		for name, n := range r.entries(top["jobs"], "jobs") {
			jobs[name] = r.job(n, "jobs."+name, filepath.Dir(file))
			if !jobNamePattern.MatchString(name) {
				r.fault(n, "jobs."+name, "a job's name is %s", jobNameRule)
			}
		}
	}
	return jobs, r.err(file)
}

// job reads one job. base is the folder of the file.
func (r *fileReader) job(n *yaml.Node, path, base string) Job {
	j := Job{MaxRetries: defaultMaxRetries, Timeout: defaultTimeout, TaskCount: 1}
	fields, ok := r.mapping(n, path, "command", "args", "env", "containers", "image", "task_count", "max_retries", "parallelism", "timeout", "denied", "dir")
	if !ok {
		return j
	}
	if fields["command"] == nil {
		r.fault(n, path, `needs a command, as in command: [sh, -c, "echo hello"]`)
	}
	for name, value := range fields {
		r.field(&j, value, path+"."+name, name)
	}
	if !filepath.IsAbs(j.Dir) {
		j.Dir = filepath.Join(base, j.Dir)
	}
	return j
}

func (r *fileReader) field(j *Job, n *yaml.Node, path, name string) {
	switch name {
	case "command":
		if j.Command = r.words(n, path); len(j.Command) == 0 {
			r.fault(n, path, "must not be empty")
		}
	case "args":
		j.Args = r.words(n, path)
	case "env":
		j.Env = r.env(n, path)
	case "containers":
		j.Containers = r.words(n, path)
	case "image":
		j.Image = r.text(n, path)
	case "task_count":
		j.TaskCount = r.number(n, path, 1, maxTasks)
	case "max_retries":
		j.MaxRetries = r.number(n, path, 0, maxRetries)
	case "parallelism":
		j.Parallelism = r.number(n, path, 0, maxTasks)
	case "timeout":
		j.Timeout = r.duration(n, path)
	case "denied":
		j.Denied = r.words(n, path)
		if wrong := checkDenied(j.Denied); wrong != "" && n.Kind == yaml.SequenceNode {
			r.fault(n, path, "%s", wrong)
		}
	case "dir":
		j.Dir = r.text(n, path)
	}
}

func (r *fileReader) env(n *yaml.Node, path string) map[string]string {
	env := map[string]string{}
	for name, value := range r.entries(n, path) {
		at := path + "." + name
		if name == "" || strings.ContainsAny(name, "=\x00") {
			r.fault(value, at, "cannot be the name of an environment variable")
		} else if reserved(name) {
			r.fault(value, at, "the name is Cloud Run's own; choose one that is not PORT and begins with none of CLOUD_RUN_, K_, X_GOOGLE_")
		}
		text, err := expand(r.text(value, at), os.LookupEnv)
		if err != nil {
			r.fault(value, at, "%v", err)
		} else if len(text) > maxEnvValue {
			r.fault(value, at, "is %d bytes long; the limit is %d", len(text), maxEnvValue)
		}
		env[name] = text
	}
	if len(env) > maxEnv {
		r.fault(n, path, "has %d variables; the limit is %d", len(env), maxEnv)
	}
	return env
}

// expand replaces ${NAME} and ${NAME:-default}; $${ stands for ${.
func expand(text string, lookup func(string) (string, bool)) (string, error) {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, "${")
		if !found {
			out.WriteString(text)
			return out.String(), nil
		}
		if literal, ok := strings.CutSuffix(before, "$"); ok {
			out.WriteString(literal + "${")
			text = after
			continue
		}
		out.WriteString(before)
		inner, rest, closed := strings.Cut(after, "}")
		if !closed {
			return "", fmt.Errorf("%q has no closing brace; write ${NAME}, ${NAME:-default}, or $${ for a plain ${", "${"+after)
		}
		name, fallback, hasFallback := strings.Cut(inner, ":-")
		value, set := lookup(name)
		switch {
		case value != "" || set && !hasFallback:
			out.WriteString(value)
		case hasFallback:
			out.WriteString(fallback)
		default:
			return "", fmt.Errorf("%s is not set in the emulator's environment; set it, or write ${%s:-default}", name, name)
		}
		text = rest
	}
}
