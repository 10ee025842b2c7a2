package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// plan is what is used of a plan's JSON.
type plan struct {
	Changes       []change `json:"resource_changes"`
	Configuration struct {
		Root struct {
			Variables map[string]map[string]json.RawMessage `json:"variables"`
		} `json:"root_module"`
	} `json:"configuration"`
}

type change struct {
	Address string `json:"address"`
	Mode    string `json:"mode"`
	Type    string `json:"type"`
	Change  struct {
		After map[string]any `json:"after"`
	} `json:"change"`
}

// required refuses a variable without a default beside these three: whoever tries this out should not have to learn more.
func required(p plan) []string {
	wanted := []string{"image", "project", "region"}
	var got []string
	for _, name := range slices.Sorted(maps.Keys(p.Configuration.Root.Variables)) {
		if _, has := p.Configuration.Root.Variables[name]["default"]; !has {
			got = append(got, name)
		}
	}
	if slices.Equal(got, wanted) {
		return nil
	}
	return []string{fmt.Sprintf("the variables without a default are %s; they must be %s", strings.Join(got, ", "), strings.Join(wanted, ", "))}
}

// onProject are the roles that cannot be bound to anything smaller than the project.
func onProject() []string { return []string{"roles/cloudsql.client", "roles/cloudsql.instanceUser"} }

// access refuses members that are everybody, and roles on the whole project.
func access(p plan) []string {
	var faults []string
	for _, c := range p.Changes {
		for _, key := range []string{"member", "members"} {
			if text := fmt.Sprint(c.Change.After[key]); strings.Contains(text, "allUsers") || strings.Contains(text, "allAuthenticatedUsers") {
				faults = append(faults, c.Address+" is for everybody; every call must be made by a known account")
			}
		}
		role, _ := c.Change.After["role"].(string)
		isOnProject := slices.Contains([]string{"google_project_iam_member", "google_project_iam_binding", "google_project_iam_policy"}, c.Type)
		if isOnProject && !slices.Contains(onProject(), role) {
			faults = append(faults, fmt.Sprintf("%s binds %q on the whole project; bind it on what it is for", c.Address, role))
		}
		if disabled, _ := c.Change.After["invoker_iam_disabled"].(bool); disabled {
			faults = append(faults, c.Address+" asks its callers for no identity")
		}
	}
	return faults
}

// previews refuses launch stages before general availability: a preview comes without support, and may change under a running installation.
func previews(p plan) []string {
	var faults []string
	for _, c := range p.Changes {
		if stage, _ := c.Change.After["launch_stage"].(string); stage != "" && stage != "GA" {
			faults = append(faults, fmt.Sprintf("%s has launch_stage %s; it must be left out, or GA", c.Address, stage))
		}
	}
	return faults
}
