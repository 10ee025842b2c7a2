package emulator

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cloud.google.com/go/iam/apiv1/iampb"
	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Permissions on one job. Everybody has them all here, but for those that a job denies. (To list jobs is no permission on one of them.)
const (
	mayGetJob    = "run.jobs.get"
	mayRun       = "run.jobs.run"
	mayOverride  = "run.jobs.runWithOverrides"
	mayGet       = "run.executions.get"
	mayList      = "run.executions.list"
	mayCancel    = "run.executions.cancel"
	mayDelete    = "run.executions.delete"
	mayGetTask   = "run.tasks.get"
	mayListTasks = "run.tasks.list"
)

func permissions() []string {
	return []string{mayGetJob, mayRun, mayOverride, mayGet, mayList, mayCancel, mayDelete, mayGetTask, mayListTasks}
}

// needed are the permissions on a job that a call needs. That a run with overrides needs both is a guess; that it needs the second is known.
func needed(method string, req any) []string {
	switch method {
	case "GetJob":
		return []string{mayGetJob}
	case "RunJob":
		if r, ok := req.(*runpb.RunJobRequest); ok && r.GetOverrides() != nil {
			return []string{mayRun, mayOverride}
		}
		return []string{mayRun}
	case "GetExecution":
		return []string{mayGet}
	case "ListExecutions":
		return []string{mayList}
	case "CancelExecution":
		return []string{mayCancel}
	case "DeleteExecution":
		return []string{mayDelete}
	case "GetTask":
		return []string{mayGetTask}
	case "ListTasks":
		return []string{mayListTasks}
	}
	return nil
}

// permit refuses a call that its job denies. The words are those that users of Cloud Run report; nobody has compared them for every method.
func (s *Server) permit(method string, req any) error {
	name := resource(req)
	j := s.jobs[jobOf(name)]
	if j == nil {
		return nil
	}
	for _, permission := range needed(method, req) {
		if slices.Contains(j.Denied, permission) {
			return status.Errorf(codes.PermissionDenied, "Permission '%s' denied on resource '%s' (or resource may not exist).", permission, name)
		}
	}
	return nil
}

// TestIamPermissions says which of some permissions on a job the caller has, and needs none itself. On a job that is not there nobody has any: that is
// how Google describes the call in general.
func (s *Server) TestIamPermissions(_ context.Context, r *iampb.TestIamPermissionsRequest) (*iampb.TestIamPermissionsResponse, error) {
	p, err := parts(jobForm, r.GetResource())
	if err != nil {
		return nil, err
	}
	out := &iampb.TestIamPermissionsResponse{}
	if j := s.jobs[p[2]]; j != nil {
		out.Permissions = slices.DeleteFunc(slices.Clone(r.GetPermissions()), func(permission string) bool { return slices.Contains(j.Denied, permission) })
	}
	return out, nil
}

// TestIamPermissions grants whatever is asked for.
func (m *Mock) TestIamPermissions(_ context.Context, r *iampb.TestIamPermissionsRequest) (*iampb.TestIamPermissionsResponse, error) {
	if _, err := parts(jobForm, r.GetResource()); err != nil {
		return nil, err
	}
	return &iampb.TestIamPermissionsResponse{Permissions: r.GetPermissions()}, nil
}

// checkDenied is a sentence about the first permission that a job cannot deny, empty where there is none.
func checkDenied(denied []string) string {
	for _, permission := range denied {
		if !slices.Contains(permissions(), permission) {
			return fmt.Sprintf("there is no permission %q on a job; allowed are %s", permission, strings.Join(permissions(), ", "))
		}
	}
	return ""
}
