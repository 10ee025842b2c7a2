package emulator

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
	"google.golang.org/grpc/codes"
)

// LoadFaults reads a script of faults from a YAML file:
//
//	seed: 42                      # what rate means; the same seed disturbs the same calls
//	keep: 50                      # finished executions of a job that are kept
//	faults:
//	  - on: RunJob                # a method, reads (GetExecution, ListExecutions, GetTask, ListTasks), all, or a list of these
//	    rate: 0.05                # of its calls; or
//	    calls: [3, 10-20]         # numbers of calls of that method, from 1, whatever job they name; without either: every call
//	    job: transcode            # only calls that name this job
//	    from: 10s                 # only between these times since the emulator started;
//	    until: 30s
//	    every: 60s                # again after each such period
//	    do: lose-answer           # see kinds
//	    code: UNAVAILABLE         # of error, lose-answer, reset and reset-after
//	    message: text             # of error and lose-answer
//	    for: 2s                   # how long, of late, slow, list-lag and not-found; at what age, of vanish and cancel-outside
//
// Several rules may hit one call. The first that says how the call ends decides that; the rest combines, and of two with the same kind the first counts.
//
// All that is wrong is reported at once, a line each: file:line:column: path: what, and what is allowed.
func LoadFaults(path string) (*Faults, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("faults file: %w", err)
	}
	return ParseFaults(path, text)
}

// ParseFaults reads what LoadFaults does from a text; name stands for the file in what it says.
func ParseFaults(name string, text []byte) (*Faults, error) {
	top, err := readYAML(name, text)
	if err != nil {
		return nil, err
	}
	r := &fileReader{}
	f := &Faults{name: name}
	fields, _ := r.mapping(top, "", "seed", "keep", "faults")
	if n := fields["seed"]; n != nil {
		f.seed = r.number(n, "seed", 0, 1<<53)
	}
	if n := fields["keep"]; n != nil {
		f.Keep = r.number(n, "keep", 1, 1_000_000)
	}
	switch n := fields["faults"]; {
	case n == nil && fields != nil && f.Keep == 0:
		r.fault(top, "faults", "is missing; write faults: and below it a list of rules")
	case n == nil:
	case n.Kind != yaml.SequenceNode:
		r.fault(n, "faults", "must be a list of rules, each beginning with - on:")
	default:
		for i, item := range n.Content {
			f.rules = append(f.rules, r.rule(resolve(item), fmt.Sprintf("faults[%d]", i), fmt.Sprintf("rule %d of %s", i+1, name)))
		}
	}
	return f, r.err(name)
}

// rule reads one rule; its title stands in errors that have no message.
func (r *fileReader) rule(n *yaml.Node, path, title string) rule {
	ru := rule{}
	fields, ok := r.mapping(n, path, "on", "rate", "calls", "job", "from", "until", "every", "do", "code", "message", "for")
	if !ok {
		return ru
	}
	for _, name := range []string{"on", "do"} {
		if fields[name] == nil {
			r.fault(n, path, "needs %s, as in on: RunJob, do: lose-answer", name)
		}
	}
	if n := fields["on"]; n != nil {
		ru.methods = r.methods(n, path+".on")
	}
	if n := fields["rate"]; n != nil {
		rate, err := strconv.ParseFloat(n.Value, 64)
		if err != nil || !(rate > 0 && rate <= 1) {
			r.fault(n, path+".rate", "%s is not a number above 0 and up to 1", describe(n))
		}
		ru.rate = rate
		if fields["calls"] != nil {
			r.fault(n, path, "has both rate and calls; write one of them, or neither for every call")
		}
	}
	if n := fields["calls"]; n != nil {
		ru.calls = r.calls(n, path+".calls")
	}
	if n := fields["job"]; n != nil {
		if ru.job = n.Value; !jobNamePattern.MatchString(ru.job) {
			r.fault(n, path+".job", "a job's name is %s", jobNameRule)
		}
	}
	r.window(&ru, fields, n, path)
	if n := fields["do"]; n != nil {
		r.do(&ru, fields, n, path, title)
	}
	return ru
}

// methods reads a method or a group of methods, or a list of them.
func (r *fileReader) methods(n *yaml.Node, path string) []string {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	if len(items) == 0 {
		r.fault(n, path, "must not be empty")
	}
	var methods []string
	for _, item := range items {
		name := resolve(item).Value
		switch {
		case name == "all":
			methods = append(methods, allMethods()...)
		case name == "reads":
			methods = append(methods, readMethods()...)
		case slices.Contains(allMethods(), name):
			methods = append(methods, name)
		default:
			r.fault(item, path, "there is no method %s; allowed are %s, reads and all", describe(item), strings.Join(allMethods(), ", "))
		}
	}
	return methods
}

// calls reads numbers of calls and ranges of them.
func (r *fileReader) calls(n *yaml.Node, path string) []span {
	spans := []span{}
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		r.fault(n, path, "must be a list of numbers and ranges, as in [3, 10-20]")
		return spans
	}
	for _, item := range n.Content {
		first, second, ranged := strings.Cut(resolve(item).Value, "-")
		low, err := strconv.Atoi(first)
		high, err2 := low, error(nil)
		if ranged {
			high, err2 = strconv.Atoi(second)
		}
		if err != nil || err2 != nil || low < 1 || high < low {
			r.fault(item, path, "%s is not the number of a call from 1 on, nor a range as in 10-20", describe(item))
		}
		spans = append(spans, span{low, high})
	}
	return spans
}

// window reads when a rule is in force.
func (r *fileReader) window(ru *rule, fields map[string]*yaml.Node, n *yaml.Node, path string) {
	for name, into := range map[string]*time.Duration{"from": &ru.from, "until": &ru.until, "every": &ru.every} {
		if fields[name] != nil {
			*into = r.duration(fields[name], path+"."+name)
		}
	}
	if ru.until > 0 && ru.until <= ru.from {
		r.fault(n, path, "until %s is not after from %s", ru.until, ru.from)
	}
	if ru.every > 0 && (ru.until == 0 || ru.until > ru.every) {
		r.fault(n, path, "every %s needs an until that is not later", ru.every)
	}
}

// do reads what a rule does to the calls that it hits.
func (r *fileReader) do(ru *rule, fields map[string]*yaml.Node, n *yaml.Node, path, title string) {
	all := kinds()
	i := slices.IndexFunc(all, func(k kind) bool { return k.name == n.Value })
	if i < 0 {
		var names []string
		for _, k := range all {
			names = append(names, k.name)
		}
		r.fault(n, path+".do", "there is no %s; allowed are %s", describe(n), strings.Join(names, ", "))
		return
	}
	k := all[i]
	if len(k.methods) > 0 && len(ru.methods) > 0 {
		ru.methods = slices.DeleteFunc(ru.methods, func(m string) bool { return !slices.Contains(k.methods, m) })
		if len(ru.methods) == 0 {
			r.fault(n, path+".do", "%s does something to %s only", k.name, strings.Join(k.methods, ", "))
		}
	}
	d := details{message: title}
	if len(k.codes) > 0 {
		d.code = k.codes[0]
	}
	if c := fields["code"]; c != nil {
		d.code = r.code(c, path+".code", k)
	}
	if m := fields["message"]; m != nil {
		if d.message = r.text(m, path+".message"); !k.message {
			r.fault(m, path+".message", "%s sends no message", k.name)
		}
	}
	switch f := fields["for"]; {
	case f != nil && !k.timed:
		r.fault(f, path+".for", "%s takes no time", k.name)
	case f != nil:
		d.time = r.duration(f, path+".for")
	case k.timed:
		r.fault(n, path, "%s needs for, as in for: 2s", k.name)
	}
	ru.fault = k.fault(d)
}

func (r *fileReader) code(n *yaml.Node, path string, k kind) codes.Code {
	var names []string
	for _, c := range k.codes {
		if codeOf(c).name == n.Value {
			return c
		}
		names = append(names, codeOf(c).name)
	}
	if len(names) == 0 {
		r.fault(n, path, "%s has no code", k.name)
	} else {
		r.fault(n, path, "%s cannot be the code of %s; allowed are %s", describe(n), k.name, strings.Join(names, ", "))
	}
	return codes.Unknown
}
