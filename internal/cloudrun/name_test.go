package cloudrun

import (
	"context"
	"strings"
	"testing"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/run/apiv2/runpb"

	"cloud-run-orchestrator/internal/lifecycle"
)

func TestExecutionOf_gives_one_execution_one_name(t *testing.T) {
	t.Parallel()
	const rest = "/locations/europe-west1/jobs/report"
	tests := []struct{ name, job, answer, want string }{
		{"the same form", aJob, anExecution, anExecution},
		{"a number for an id", aJob, anExecutionByNumber, anExecution},
		{"an id for a number", "projects/1234567890" + rest, anExecution, anExecutionByNumber},
		{"a number for a number", "projects/1234567890" + rest, anExecutionByNumber, anExecutionByNumber},
		{"an id with a domain", "projects/example.com:acme" + rest, anExecutionByNumber, "projects/example.com:acme" + rest + "/executions/report-x7k2p"},
		{"another project by its id", aJob, strings.Replace(anExecution, "acme", "other", 1), ""},
		{"another project by its number", "projects/1" + rest, anExecutionByNumber, ""},
		{"no project", aJob, strings.Replace(anExecution, "acme", "", 1), ""},
		{"another location", aJob, strings.Replace(anExecution, "west1", "west4", 1), ""},
		{"another job", aJob, strings.Replace(anExecution, "jobs/report", "jobs/total", 1), ""},
		{"a job whose name begins in the same way", aJob, aJob + "s/executions/reports-1", ""},
		{"the job itself", aJob, aJob, ""},
		{"a task", aJob, anExecution + "/tasks/0", ""},
		{"an execution without a name", aJob, aJob + "/executions/", ""},
		{"the short name", aJob, "report-x7k2p", ""},
		{"nothing", aJob, "", ""},
		{"a service's revision", aJob, strings.Replace(anExecution, "executions", "revisions", 1), ""},
		{"NUL", aJob, anExecution + "\x00", ""},
		{"not UTF-8", aJob, anExecution + "\xff", ""},
		{"too long for an index", aJob, anExecution + strings.Repeat("x", 3000), ""},
	}
	for _, tt := range tests {
		if got, ok := executionOf(tt.job, tt.answer); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %q, %t; want %q", tt.name, got, ok, tt.want)
		}
	}
}

// The form may change from call to call: what is written down and compared later must not.
func TestOne_execution_has_one_name_in_every_answer(t *testing.T) {
	t.Parallel()
	answers := []string{anExecution, anExecutionByNumber}
	for _, asked := range []string{aJob, jobOf(anExecutionByNumber)} {
		for _, answered := range answers {
			e := &runpb.Execution{Name: answered, Job: "report"}
			s := &script{
				run: func(context.Context, *runpb.RunJobRequest) (*longrunningpb.Operation, error) {
					return operation(t, e), nil
				},
				get: func(context.Context, *runpb.GetExecutionRequest) (*runpb.Execution, error) { return e, nil },
				list: func(context.Context, *runpb.ListExecutionsRequest) (*runpb.ListExecutionsResponse, error) {
					return &runpb.ListExecutionsResponse{Executions: []*runpb.Execution{e}}, nil
				},
			}
			c := s.client(t)
			want := asked + "/executions/report-x7k2p"
			if a := c.Run(t.Context(), lifecycle.Launch{Job: asked}); a.Kind != named || a.Name != want {
				t.Errorf("run: %+v, want %s", a, want)
			}
			f, err := c.Get(t.Context(), want)
			if err != nil || f.Name != want || f.Job.Job != asked {
				t.Errorf("get: %s of %s, error %v; want %s", f.Name, f.Job.Job, err, want)
			}
			page, _, err := c.List(t.Context(), asked, "")
			if err != nil || len(page) != 1 || page[0].Name != want || page[0].Job.Job != asked {
				t.Errorf("list: %+v, error %v; want %s", page, err, want)
			}
		}
	}
}

func TestAn_answer_about_something_else_is_an_error_and_shows_nothing(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "report-x7k2p", aJob, aJob + "s/executions/reports-1", strings.Replace(anExecution, "west1", "west4", 1), anExecution + "\x00"} {
		e := &runpb.Execution{Name: name}
		s := &script{
			get: func(context.Context, *runpb.GetExecutionRequest) (*runpb.Execution, error) { return e, nil },
			list: func(context.Context, *runpb.ListExecutionsRequest) (*runpb.ListExecutionsResponse, error) {
				return &runpb.ListExecutionsResponse{Executions: []*runpb.Execution{{Name: anExecution}, e}, NextPageToken: "p2"}, nil
			},
		}
		c := s.client(t)
		if f, err := c.Get(t.Context(), anExecution); err == nil || !strings.HasPrefix(err.Error(), "get execution "+anExecution+": the answer is about ") {
			t.Errorf("get %q: %+v, error %v", name, f, err)
		}
		if page, next, err := c.List(t.Context(), aJob, ""); err == nil || len(page) != 0 || next != "" || !strings.HasPrefix(err.Error(), "list executions of "+aJob+": the answer is about ") {
			t.Errorf("list %q: %+v, next %q, error %v", name, page, next, err)
		}
	}
	s := &script{get: func(context.Context, *runpb.GetExecutionRequest) (*runpb.Execution, error) {
		return &runpb.Execution{Name: aJob + "/executions/report-other"}, nil
	}}
	if _, err := s.client(t).Get(t.Context(), anExecution); err == nil {
		t.Error("another execution of the same job was taken for the one that was asked for")
	}
}
