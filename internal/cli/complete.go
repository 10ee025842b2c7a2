package cli

import (
	"context"
	"time"

	"cloud-run-orchestrator/internal/api"

	"github.com/spf13/cobra"
)

const (
	// completeWithin is how long a pressed tab key may take.
	completeWithin = 2 * time.Second
	// completeRunsMax is how many runs a completion offers, the newest.
	completeRunsMax = 50
)

func completeWords(words ...string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// complete asks a server that answers soon; completion starts nothing and never says why there is nothing to offer.
func (c *console) complete(cmd *cobra.Command, offer func(context.Context, *api.Client) []string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
	defer cancel()
	url := c.Getenv(urlVariable)
	if url == "" {
		url = c.DefaultURL
	}
	client, err := c.client(url, nil)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return offer(ctx, client), cobra.ShellCompDirectiveNoFileComp
}

func (c *console) completeWorkflows(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 && cmd.Name() == "trigger" {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.complete(cmd, func(ctx context.Context, client *api.Client) []string {
		var names []string
		for w, err := range client.AllWorkflows(ctx) {
			if err != nil {
				break
			}
			names = append(names, clean(w.Name))
		}
		return names
	})
}

func (c *console) completeRuns(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.complete(cmd, func(ctx context.Context, client *api.Client) []string {
		list, err := client.Runs(ctx, api.RunFilter{Page: api.Page{Size: completeRunsMax}})
		if err != nil {
			return nil
		}
		var names []string
		for _, run := range list.Runs {
			names = append(names, clean(run.Name)+"\t"+clean(run.Status))
		}
		return names
	})
}

func (c *console) completeSteps(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.complete(cmd, func(ctx context.Context, client *api.Client) []string {
		run, err := client.Run(ctx, args[0])
		if err != nil {
			return nil
		}
		var names []string
		for _, s := range run.Steps {
			names = append(names, clean(s.Name))
		}
		return names
	})
}
