package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"cloud-run-orchestrator/internal/api"

	"github.com/spf13/cobra"
)

func (c *console) applyCommand() *cobra.Command {
	var files []string
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Create or change workflows from files",
		Long: `Create or change workflows from files, YAML or JSON, one workflow each.

All files are checked before the first is applied. A definition that equals the present one changes nothing.`,
		Example: `  orchestrator apply -f nightly-report.yaml
  orchestrator apply -f extract.yaml -f load.yaml
  generate-workflow | orchestrator apply -f -`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(files) == 0 {
				return usage(cmd, "apply needs -f FILE; - reads the standard input")
			}
			definitions, err := c.readDefinitions(cmd, files)
			if err != nil {
				return err
			}
			return c.with(cmd.Context(), func(s *server) error { return c.apply(cmd.Context(), s, definitions) })
		},
	}
	cmd.Flags().StringArrayVarP(&files, "file", "f", nil, "file with a definition, - for the standard input; may be repeated")
	_ = cmd.MarkFlagFilename("file", "yaml", "yml", "json")
	return cmd
}

// readDefinitions reads and checks all files. Every fault of every file is said, as FILE:LINE:COLUMN, before the error.
func (c *console) readDefinitions(cmd *cobra.Command, files []string) ([]definition, error) {
	var definitions []definition
	from := map[string]string{}
	wrong := 0
	for _, file := range files {
		doc, err := c.readInput(file, api.MaxDefinitionBytes)
		if err != nil {
			return nil, usage(cmd, "%s", err)
		}
		d, err := parseDefinition(file, doc)
		if err != nil {
			for _, line := range cleanLines(err.Error()) {
				fmt.Fprintln(c.Stderr, line)
				wrong++
			}
			continue
		}
		if from[d.name] != "" {
			return nil, usage(cmd, "%s and %s both define %q", from[d.name], file, d.name)
		}
		from[d.name] = file
		definitions = append(definitions, d)
	}
	if wrong > 0 {
		return nil, &usageError{message: fmt.Sprintf("nothing was applied: %s to mend", plural(wrong, "fault"))}
	}
	return definitions, nil
}

// readInput reads a file, or the standard input for -, of at most limit bytes.
func (c *console) readInput(file string, limit int64) ([]byte, error) {
	in, name := c.Stdin, "the standard input"
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in, name = f, file
	}
	doc, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(doc)) > limit {
		return nil, fmt.Errorf("%s is larger than %d KiB", name, limit>>10)
	}
	return doc, nil
}

func (c *console) apply(ctx context.Context, s *server, definitions []definition) error {
	applied := []api.Workflow{}
	for _, d := range definitions {
		before, err := s.Workflow(ctx, d.name)
		if err != nil && exitCode(err) != exitNotFound {
			return err
		}
		w, created, err := s.PutWorkflow(ctx, d.name, d.json, false)
		if err != nil {
			return fmt.Errorf("%s: %w", d.file, err)
		}
		c.printWarnings(d, w.Warnings)
		applied = append(applied, w)
		if !c.asJSON() {
			fmt.Fprintln(c.out, change(w, before.Version, created))
		}
	}
	if c.asJSON() {
		return c.printJSON(map[string]any{"workflows": applied})
	}
	if len(applied) == 1 {
		c.next("orchestrator trigger " + applied[0].Name)
	}
	return nil
}

func change(w api.Workflow, before int, created bool) string {
	name := clean(w.Name)
	switch {
	case created:
		return fmt.Sprintf("created %s (version %d): %s", name, w.Version, contents(w))
	case w.Version != before:
		return fmt.Sprintf("updated %s to version %d: %s", name, w.Version, contents(w))
	}
	return fmt.Sprintf("%s is unchanged (version %d)", name, w.Version)
}
