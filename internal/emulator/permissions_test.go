package emulator

import (
	"strings"
	"testing"

	"cloud.google.com/go/iam/apiv1/iampb"
	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
)

// may asks which of some permissions there are on a job.
func (c clients) may(t *testing.T, job string, want ...string) []string {
	t.Helper()
	answer, err := c.jobs.TestIamPermissions(t.Context(), &iampb.TestIamPermissionsRequest{Resource: somewhere + "/jobs/" + job, Permissions: want})
	return must(t, answer, err).GetPermissions()
}

func TestPermissionsAreThoseThatTheJobDoesNotDeny(t *testing.T) {
	t.Parallel()
	o := func() Options {
		return Options{Jobs: Jobs{"a": {Func: instant}, "b": {Func: instant, Denied: []string{mayOverride, mayCancel}}}}
	}
	eachTransport(t, o, func(t *testing.T, _ *Server, c clients) {
		for job, want := range map[string][]string{"a": {mayRun, mayOverride, mayCancel}, "b": {mayRun}, "none": nil} {
			if diff := cmp.Diff(want, c.may(t, job, mayRun, mayOverride, mayCancel)); diff != "" {
				t.Errorf("job %s (-want +got):\n%s", job, diff)
			}
		}
		_, err := c.jobs.TestIamPermissions(t.Context(), &iampb.TestIamPermissionsRequest{Resource: somewhere + "/jobs/a/executions/a-00000"})
		if err == nil {
			t.Error("something else than a job was taken")
		}
	})
}

func TestACallThatItsJobDeniesIsRefused(t *testing.T) {
	t.Parallel()
	job := func(denied ...string) Job { return Job{Func: instant, Denied: denied} }
	o := func() Options {
		return Options{Jobs: Jobs{"override": job(mayOverride), "run": job(mayRun), "rest": job(mayGetJob, mayGet, mayList, mayCancel, mayDelete, mayGetTask, mayListTasks), "free": job()}}
	}
	eachTransport(t, o, func(t *testing.T, _ *Server, c clients) {
		ctx, name := t.Context(), somewhere+"/jobs/"
		_, err := c.jobs.RunJob(ctx, &runpb.RunJobRequest{Name: name + "override"})
		wantCode(t, err, codes.OK)
		_, err = c.jobs.RunJob(ctx, &runpb.RunJobRequest{Name: name + "override", Overrides: &runpb.RunJobRequest_Overrides{TaskCount: 2}})
		wantCode(t, err, codes.PermissionDenied)
		if words := "Permission 'run.jobs.runWithOverrides' denied on resource '" + name + "override' (or resource may not exist)."; err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("the words are %v", err)
		}
		_, err = c.jobs.RunJob(ctx, &runpb.RunJobRequest{Name: name + "run"})
		wantCode(t, err, codes.PermissionDenied)
		x := c.run(t, "rest").GetName() // with overrides
		_, err = c.jobs.GetJob(ctx, &runpb.GetJobRequest{Name: name + "rest"})
		wantCode(t, err, codes.PermissionDenied)
		_, err = c.executions.GetExecution(ctx, &runpb.GetExecutionRequest{Name: x})
		wantCode(t, err, codes.PermissionDenied)
		_, err = c.executions.ListExecutions(ctx, &runpb.ListExecutionsRequest{Parent: name + "rest"}).Next()
		wantCode(t, err, codes.PermissionDenied)
		wantCode(t, c.cancel(t, x), codes.PermissionDenied)
		_, err = c.executions.DeleteExecution(ctx, &runpb.DeleteExecutionRequest{Name: x})
		wantCode(t, err, codes.PermissionDenied)
		_, err = c.tasks.GetTask(ctx, &runpb.GetTaskRequest{Name: x + "/tasks/" + last(x) + "-task0"})
		wantCode(t, err, codes.PermissionDenied)
		_, err = c.tasks.ListTasks(ctx, &runpb.ListTasksRequest{Parent: x}).Next()
		wantCode(t, err, codes.PermissionDenied)
		c.end(t, c.run(t, "free").GetName())
	})
}

func TestAMockGrantsWhateverIsAskedFor(t *testing.T) {
	t.Parallel()
	m := NewMock(MockOptions{})
	t.Cleanup(m.Close)
	c := inside(t, m)
	if diff := cmp.Diff([]string{mayRun, mayDelete}, c.may(t, "any", mayRun, mayDelete)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, err := c.jobs.TestIamPermissions(t.Context(), &iampb.TestIamPermissionsRequest{Resource: "jobs/a"})
	wantCode(t, err, codes.InvalidArgument)
}
