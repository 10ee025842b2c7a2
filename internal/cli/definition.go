package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"cloud-run-orchestrator/internal/workflow"
)

// definition is a checked definition, ready to be applied.
type definition struct {
	file string
	name string
	json []byte
	// warnings are what is legal but perhaps not meant.
	warnings workflow.Problems
}

// printWarnings prints the warnings with their places in the file, then those that only the server has.
func (c *console) printWarnings(d definition, server []string) {
	for _, p := range d.warnings {
		c.warn(p.String())
	}
	for _, text := range server {
		known := func(p workflow.Problem) bool { return strings.Contains(text, p.Message) }
		if !slices.ContainsFunc(d.warnings, known) {
			c.warn(text)
		}
	}
}

func (c *console) warn(text string) { fmt.Fprintf(c.Stderr, "warning: %s\n", clean(text)) }

// parseDefinition checks a document. Its error has a line for each fault: FILE:LINE:COLUMN, what is wrong, what is allowed.
func parseDefinition(file string, doc []byte) (definition, error) {
	shown := file
	if file == "-" {
		shown = "stdin"
	}
	parsed, err := workflow.Parse(shown, doc)
	if err != nil {
		return definition{}, &usageError{message: err.Error()}
	}
	return definition{file: shown, name: parsed.Name(), json: parsed.JSON(), warnings: parsed.Warnings}, nil
}

// simple is a workflow of one step and equal tasks.
type simple struct {
	name, description, jobName, project, region string
	taskCount                                   int
}

// definition is the short form in which such a workflow is applied.
func (s simple) definition() []byte {
	return workflow.Simple(workflow.SimpleArgs{
		Name:        s.name,
		Description: s.description,
		JobName:     s.jobName,
		Project:     s.project,
		Region:      s.region,
		TaskCount:   s.taskCount,
	})
}

// parseParam reads NAME=VALUE.
func parseParam(s string) (name string, value json.RawMessage, err error) {
	return workflow.ParseParam(s)
}
