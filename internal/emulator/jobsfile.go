package emulator

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

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
	var doc yaml.Node
	if err := yaml.Load(text, &doc); err != nil {
		return nil, syntaxError(file, err)
	}
	r := &jobsReader{}
	jobs := Jobs{}
	if top, ok := r.mapping(doc.Content[0], "", "jobs"); ok && top["jobs"] == nil {
		r.fault(doc.Content[0], "jobs", "is missing; write jobs: and below it a job per name")
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

// syntaxError says where the text is no YAML.
func syntaxError(file string, err error) error {
	var at *yaml.LoadError
	if !errors.As(err, &at) {
		return fmt.Errorf("%s: %w", file, err)
	}
	message := strings.TrimPrefix(at.Message, "yaml: ")
	if at.ContextMsg != "" {
		message = at.ContextMsg + ": " + message
	}
	return fmt.Errorf("%s:%d:%d: %s", file, max(at.Mark.Line, 1), max(at.Mark.Column, 1), message)
}

// jobsReader walks a jobs file and collects its faults.
type jobsReader struct{ faults []jobsFault }

type jobsFault struct {
	line, column int
	text         string
}

func (r *jobsReader) fault(n *yaml.Node, path, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if path != "" {
		text = path + ": " + text
	}
	r.faults = append(r.faults, jobsFault{n.Line, n.Column, text})
}

// err joins the faults in the order of the file.
func (r *jobsReader) err(file string) error {
	slices.SortStableFunc(r.faults, func(a, b jobsFault) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	var errs []error
	for _, f := range r.faults {
		errs = append(errs, fmt.Errorf("%s:%d:%d: %s", file, f.line, f.column, f.text))
	}
	return errors.Join(errs...)
}

// entries gives the values of a mapping by key, and reports what is not one and keys that stand there twice.
func (r *jobsReader) entries(n *yaml.Node, path string) map[string]*yaml.Node {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		r.fault(n, path, "must be a mapping of names to values")
		return nil
	}
	values := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		key := resolve(n.Content[i])
		if _, twice := values[key.Value]; twice || key.Kind != yaml.ScalarNode {
			r.fault(n.Content[i], path, "%q stands there twice, or is no name", key.Value)
			continue
		}
		values[key.Value] = resolve(n.Content[i+1])
	}
	return values
}

// mapping gives the fields of a mapping, and reports those that are not known.
func (r *jobsReader) mapping(n *yaml.Node, path string, known ...string) (map[string]*yaml.Node, bool) {
	fields := r.entries(n, path)
	for name, value := range fields {
		if !slices.Contains(known, name) {
			r.fault(value, strings.TrimPrefix(path+"."+name, "."), "there is no such field; allowed are %s", strings.Join(known, ", "))
		}
	}
	return fields, fields != nil
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// job reads one job. base is the folder of the file.
func (r *jobsReader) job(n *yaml.Node, path, base string) Job {
	j := Job{MaxRetries: defaultMaxRetries, Timeout: defaultTimeout, TaskCount: 1}
	fields, ok := r.mapping(n, path, "command", "args", "env", "containers", "image", "task_count", "max_retries", "parallelism", "timeout", "dir")
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

func (r *jobsReader) field(j *Job, n *yaml.Node, path, name string) {
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
	case "dir":
		j.Dir = r.text(n, path)
	}
}

func (r *jobsReader) text(n *yaml.Node, path string) string {
	if n.Kind != yaml.ScalarNode {
		r.fault(n, path, "must be a text")
		return ""
	}
	if strings.ContainsRune(n.Value, 0) {
		r.fault(n, path, "must not contain a NUL byte")
	}
	return n.Value
}

func (r *jobsReader) words(n *yaml.Node, path string) []string {
	if n.Kind != yaml.SequenceNode {
		r.fault(n, path, "must be a list of words, as in [a, b]")
		return []string{""} // not empty, so that nothing else is said of it
	}
	var words []string
	for i, item := range n.Content {
		words = append(words, r.text(resolve(item), fmt.Sprintf("%s[%d]", path, i)))
	}
	return words
}

func (r *jobsReader) number(n *yaml.Node, path string, low, high int) int {
	i, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || i < low || i > high {
		r.fault(n, path, "%s is not a whole number from %d to %d", describe(n), low, high)
	}
	return i
}

func (r *jobsReader) duration(n *yaml.Node, path string) time.Duration {
	text := n.Value
	var total time.Duration
	if days, rest, ok := strings.Cut(text, "d"); ok {
		d, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			rest = "?"
		}
		total, text = time.Duration(d)*24*time.Hour, cmp.Or(rest, "0")
	}
	d, err := time.ParseDuration(text)
	total += d
	if n.Kind != yaml.ScalarNode || err != nil || d < 0 || total <= 0 || total > maxTimeout {
		r.fault(n, path, "%s is not a duration above 0 and up to 7d; write 90s, 10m, 1h30m or 7d", describe(n))
	}
	return total
}

// describe names a value in a message.
func describe(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode {
		return "a list or mapping"
	}
	return strconv.Quote(n.Value)
}

func (r *jobsReader) env(n *yaml.Node, path string) map[string]string {
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
