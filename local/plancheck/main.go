// Command plancheck looks at a Terraform plan as a whole, and so also at what nobody has written a test for: which variables somebody must give, whether
// anything is public, has a role on the whole project or uses a preview of Cloud Run, and whether a field is deprecated in the provider's schema.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command; it answers 0 where nothing is wrong with the plan, 1 where something is, and 2 where it could not look.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("plancheck", flag.ContinueOnError)
	flags.SetOutput(stderr)
	planFile := flags.String("plan", "", "the plan, as terraform show -json prints it")
	schemaFile := flags.String("schema", "", "the provider's schema, as terraform providers schema -json prints it, or the same by resource type; it may be gzipped")
	if flags.Parse(args) != nil {
		return 2
	}
	faults, err := look(*planFile, *schemaFile, stdout)
	if err != nil {
		fmt.Fprintf(stderr, "error: %v\n", err)
		return 2
	}
	for _, f := range faults {
		fmt.Fprintf(stderr, "error: %s\n", f)
	}
	if len(faults) > 0 {
		return 1
	}
	return 0
}

// look makes every check that it has the files for, and says which.
func look(planFile, schemaFile string, out io.Writer) ([]string, error) {
	text, err := os.ReadFile(planFile)
	if err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	var p plan
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("read the plan %s: %w", planFile, err)
	}
	if len(p.Changes) == 0 {
		return nil, fmt.Errorf("the plan %s has no resources; it must be what terraform show -json prints of a plan", planFile)
	}
	faults := append(required(p), access(p)...)
	faults = append(faults, previews(p)...)
	fmt.Fprintf(out, "looked at %d resources: required variables, public members, roles on the project, previews\n", len(p.Changes))

	if schemaFile == "" {
		fmt.Fprintln(out, "NOT RUN: deprecated fields, because no schema was given")
		return faults, nil
	}
	s, err := readSchema(schemaFile)
	if err != nil {
		return nil, err
	}
	if s.marks() == 0 {
		fmt.Fprintf(out, "NOT RUN: deprecated fields, because the schema %s marks none\n", schemaFile)
		return faults, nil
	}
	fmt.Fprintf(out, "looked for the %d fields that the provider's schema marks as deprecated\n", s.marks())
	return append(faults, s.deprecated(p)...), nil
}
