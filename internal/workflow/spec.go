// Package workflow is the language in which a user describes a workflow: parse, validate, unfold. It does no I/O.
package workflow

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Spec is one version of a workflow, complete: the short form is unfolded, defaults are applied, jobs are resolved.
// It is what the database keeps, so field names are part of the data and may only be added to.
// A Spec survives JSON exactly, also where the JSON was kept in a form that forgets blanks, key order and exponents.
type Spec struct {
	Name          string                     `json:"name"`
	Description   string                     `json:"description"`
	Labels        map[string]string          `json:"labels,omitempty"`
	Params        map[string]json.RawMessage `json:"params,omitempty"`         // name → default value
	MaxExecutions int                        `json:"max_executions,omitempty"` // live executions of the workflow; 0 is no limit
	Steps         []Step                     `json:"steps"`                    // in the order of the document, at least one
}

// Step is one node of the graph: a job and the tasks to cut the work into.
type Step struct {
	Name          string            `json:"name"`
	Needs         []string          `json:"needs,omitempty"` // steps that must succeed first
	Job           Job               `json:"job"`
	Tasks         Tasks             `json:"tasks"`
	Args          *[]string         `json:"args,omitempty"` // nil keeps the job's own, empty clears them
	Env           map[string]string `json:"env,omitempty"`
	Timeout       Duration          `json:"timeout,omitempty"`        // of one attempt of one task; 0 is the job's own
	MaxExecutions int               `json:"max_executions,omitempty"` // live executions of the step; 0 is no limit
	Tolerate      Tolerate          `json:"tolerate,omitzero"`
}

// Job names a Cloud Run job.
type Job struct {
	Project   string `json:"project"`
	Region    string `json:"region"`
	Name      string `json:"name"`
	Container string `json:"container,omitempty"` // needed only where the job has more than one
}

// FullName is the job's name in the Cloud Run Admin API v2: projects/P/locations/L/jobs/J.
func (j Job) FullName() string {
	return "projects/" + j.Project + "/locations/" + j.Region + "/jobs/" + j.Name
}

// Tasks is the generator: exactly one of its fields is set.
type Tasks struct {
	Count int               `json:"count,omitempty"` // 1..1,000,000
	Items []json.RawMessage `json:"items,omitempty"` // any JSON values, one a task; compact, keys sorted
}

// Len is the number of tasks that the generator gives.
func (t Tasks) Len() int {
	if t.Items != nil {
		return len(t.Items)
	}
	return t.Count
}

// UnmarshalJSON reads what Marshal wrote, and brings items and params back into their one form.
func (s *Spec) UnmarshalJSON(data []byte) error {
	type plain Spec
	var read plain
	if err := json.Unmarshal(data, &read); err != nil {
		return fmt.Errorf("workflow definition: %w", err)
	}
	for name, value := range read.Params {
		normal, err := normalJSON(value)
		if err != nil {
			return fmt.Errorf("workflow definition: param %s: %w", name, err)
		}
		read.Params[name] = normal
	}
	for _, step := range read.Steps {
		for i, item := range step.Tasks.Items {
			normal, err := normalJSON(item)
			if err != nil {
				return fmt.Errorf("workflow definition: step %s, item %d: %w", step.Name, i, err)
			}
			step.Tasks.Items[i] = normal
		}
	}
	*s = Spec(read)
	return nil
}

// TaskCount is the number of tasks of all steps.
func (s Spec) TaskCount() int {
	n := 0
	for _, step := range s.Steps {
		n += step.Tasks.Len()
	}
	return n
}

// Step is the step of that name; ok is false where there is none.
func (s Spec) Step(name string) (step Step, ok bool) {
	i := s.stepNo(name)
	if i < 0 {
		return Step{}, false
	}
	return s.Steps[i], true
}

// Needs are the numbers of the steps that a step needs, in ascending order. Steps are numbered from 0 in the order of Steps.
func (s Spec) Needs(stepNo int) []int {
	numbers := make([]int, 0, len(s.Steps[stepNo].Needs))
	for _, name := range s.Steps[stepNo].Needs {
		if i := s.stepNo(name); i >= 0 {
			numbers = append(numbers, i)
		}
	}
	slices.Sort(numbers)
	return numbers
}

func (s Spec) stepNo(name string) int {
	return slices.IndexFunc(s.Steps, func(step Step) bool { return step.Name == name })
}

// Item is what the task of that index gets as its params: one JSON value, nil where its index says it all.
func (s Step) Item(index int) json.RawMessage {
	if index < 0 || index >= len(s.Tasks.Items) {
		return nil
	}
	return s.Tasks.Items[index]
}
