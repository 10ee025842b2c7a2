package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const variables = `"configuration": {"root_module": {"variables": {"image": {}, "project": {}, "region": {}, "name": {"default": "orchestrator"}, "max": {"default": null}}}}`

// planned is a plan with one resource.
func planned(kind, after string) string {
	return `{"resource_changes": [{"address": "` + kind + `.this", "mode": "managed", "type": "` + kind + `", "change": {"after": ` + after + `}}], ` + variables + `}`
}

const marked = `{"resources": {"google_thing": {"block": {
  "attributes": {"name": {}, "old": {"deprecated": true}},
  "block_types": {"settings": {"block": {"attributes": {"size": {}, "legacy": {"deprecated": true}}}}}
}}}}`

// fromTerraform is the same schema as Terraform itself prints it.
func fromTerraform() string {
	inner := strings.TrimSuffix(strings.TrimPrefix(marked, `{"resources": `), `}`)
	return `{"provider_schemas": {"registry.terraform.io/hashicorp/google": {"resource_schemas": ` + inner + `}}}`
}

func TestWhatIsWrongWithAPlanIsSaid(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, plan, schema, wants string }{
		{"a fourth variable without a default", strings.Replace(planned("google_thing", `{}`), `{"default": "orchestrator"}`, `{}`, 1), "",
			"the variables without a default are image, name, project, region; they must be image, project, region"},
		{"one of the three has a default", strings.Replace(planned("google_thing", `{}`), `"region": {}`, `"region": {"default": "europe-west1"}`, 1), "",
			"the variables without a default are image, project; they must be image, project, region"},
		{"everybody is a member", planned("google_cloud_run_v2_service_iam_member", `{"member": "allUsers", "role": "roles/run.servicesInvoker"}`), "",
			"google_cloud_run_v2_service_iam_member.this is for everybody"},
		{"everybody is among members", planned("google_cloud_run_v2_service_iam_binding", `{"members": ["user:a@example.com", "allAuthenticatedUsers"]}`), "",
			"google_cloud_run_v2_service_iam_binding.this is for everybody"},
		{"a service asks nobody who they are", planned("google_cloud_run_v2_service", `{"invoker_iam_disabled": true}`), "",
			"google_cloud_run_v2_service.this asks its callers for no identity"},
		{"jobs may be run in the whole project", planned("google_project_iam_member", `{"role": "roles/run.developer"}`), "",
			`google_project_iam_member.this binds "roles/run.developer" on the whole project`},
		{"a policy of the project is replaced", planned("google_project_iam_policy", `{"policy_data": "{}"}`), "",
			`google_project_iam_policy.this binds "" on the whole project`},
		{"a preview", planned("google_cloud_run_v2_job", `{"launch_stage": "BETA"}`), "",
			"google_cloud_run_v2_job.this has launch_stage BETA; it must be left out, or GA"},
		{"a deprecated field", planned("google_thing", `{"name": "a", "old": "b"}`), marked, "google_thing.this uses old, which the provider has deprecated"},
		{"a deprecated field that is false", planned("google_thing", `{"old": false}`), marked, "google_thing.this uses old, which the provider has deprecated"},
		{"a deprecated field in a block", planned("google_thing", `{"settings": [{"size": 1}, {"legacy": 1}]}`), marked, "google_thing.this uses settings.legacy, which"},
		{"a deprecated field by Terraform's own schema", planned("google_thing", `{"settings": {"legacy": 1}}`), fromTerraform(), "google_thing.this uses settings.legacy, which"},
		{"a type that the schema has not", planned("google_other", `{}`), marked, "google_other.this: the schema has no google_other"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			code, _, said := check(t, test.plan, []byte(test.schema))
			if code != 1 || !strings.Contains(said, test.wants) || strings.Count(said, "error: ") != 1 {
				t.Errorf("exit code %d and %q; want 1 and only %q", code, said, test.wants)
			}
		})
	}
}

func TestAPlanWithoutFaultsPasses(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(marked))
	_ = z.Close()
	plan := planned("google_thing", `{"name": "a", "old": null, "launch_stage": "GA", "settings": [{"size": 1, "legacy": ""}]}`)
	code, out, said := check(t, plan, zipped.Bytes())
	if code != 0 || said != "" || !strings.Contains(out, "looked for the 2 fields") {
		t.Errorf("exit code %d, %q, %q", code, out, said)
	}
}

func TestAProjectMayBindTheDatabasesRoles(t *testing.T) {
	t.Parallel()
	if code, _, said := check(t, planned("google_project_iam_member", `{"role": "roles/cloudsql.client"}`), nil); code != 0 {
		t.Errorf("exit code %d: %s", code, said)
	}
}

func TestWhatWasNotLookedAtIsSaid(t *testing.T) {
	t.Parallel()
	plan := planned("google_thing", `{}`)
	if code, out, _ := check(t, plan, nil); code != 0 || !strings.Contains(out, "NOT RUN: deprecated fields, because no schema was given") {
		t.Errorf("exit code %d, %q", code, out)
	}
	unmarked := strings.ReplaceAll(marked, `"deprecated": true`, "")
	if code, out, _ := check(t, plan, []byte(unmarked)); code != 0 || !strings.Contains(out, "NOT RUN: deprecated fields, because the schema") {
		t.Errorf("exit code %d, %q", code, out)
	}
}

func TestAFileThatIsNoneIsNoSuccess(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, plan, schema, wants string }{
		{"no JSON", "Terraform will perform", "", "read the plan"},
		{"an empty plan", "{}", "", "has no resources; it must be what terraform show -json prints of a plan"},
		{"a schema of nothing", planned("google_thing", `{}`), "{}", "has no resources; it must be what terraform providers schema -json prints"},
		{"half a gzip", planned("google_thing", `{}`), "\x1f\x8bhalf", "read the schema"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if code, _, said := check(t, test.plan, []byte(test.schema)); code != 2 || !strings.Contains(said, test.wants) {
				t.Errorf("exit code %d and %q; want 2 and %q", code, said, test.wants)
			}
		})
	}
	var said bytes.Buffer
	if code := run([]string{"-plan", filepath.Join(t.TempDir(), "none")}, &said, &said); code != 2 {
		t.Errorf("exit code %d without a plan: %s", code, &said)
	}
}

// check runs the command on files with these contents; no schema is no flag.
func check(t *testing.T, plan string, schema []byte) (code int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	args := []string{"-plan", write(t, dir, "plan.json", []byte(plan))}
	if len(schema) > 0 {
		args = append(args, "-schema", write(t, dir, "schema.json", schema))
	}
	var out, said bytes.Buffer
	code = run(args, &out, &said)
	return code, out.String(), said.String()
}

func write(t *testing.T, dir, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
