package emulator

import (
	"slices"
	"testing"

	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/iterator"
	"google.golang.org/grpc/codes"
)

func TestListsArePagedNewestFirst(t *testing.T) {
	t.Parallel()
	const count = 7
	eachTransport(t, func() Options { return Options{Jobs: Jobs{"a": {Func: instant}, "b": {Func: instant}}} }, func(t *testing.T, s *Server, c clients) {
		var made []string
		for range count {
			made = append(made, c.run(t, "a", tasks(3)).GetName())
			c.run(t, "b")
		}
		slices.Reverse(made)
		for _, size := range []int32{0, 1, 3, 7, 1000} {
			if diff := cmp.Diff(made, c.list(t, somewhere+"/jobs/a", size)); diff != "" {
				t.Errorf("page size %d (-want +got):\n%s", size, diff)
			}
		}
		if n := len(c.list(t, somewhere+"/jobs/-", 4)); n != 2*count {
			t.Errorf("all jobs have %d executions, want %d", n, 2*count)
		}
		if n := len(c.list(t, "projects/other/locations/europe-west1/jobs/a", 4)); n != 0 {
			t.Errorf("another project has %d executions, want none", n)
		}
		for parent, want := range map[string]int{somewhere + "/jobs/a/executions/-": 3 * count, somewhere + "/jobs/-/executions/-": 4 * count} {
			seen := map[string]bool{}
			it := c.tasks.ListTasks(t.Context(), &runpb.ListTasksRequest{Parent: parent, PageSize: 2})
			for task, err := range it.All() {
				seen[must(t, task, err).GetName()] = true
			}
			if len(seen) != want {
				t.Errorf("%s has %d tasks, want %d", parent, len(seen), want)
			}
		}
	})
}

func (c clients) list(t *testing.T, parent string, size int32) []string {
	t.Helper()
	var names []string
	it := c.executions.ListExecutions(t.Context(), &runpb.ListExecutionsRequest{Parent: parent, PageSize: size})
	pages := iterator.NewPager(it, max(int(size), 1), "")
	for {
		var page []*runpb.Execution
		next, err := pages.NextPage(&page)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range page {
			names = append(names, x.GetName())
		}
		if next == "" {
			return names
		}
	}
}

func TestAPageNeverHoldsMoreThanAHundred(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{Jobs: Jobs{"a": {Func: instant}}})
	c := inside(t, s)
	x := c.run(t, "a", tasks(250))
	var sizes []int
	token := ""
	for {
		page, err := s.ListTasks(t.Context(), &runpb.ListTasksRequest{Parent: x.GetName(), PageSize: 5000, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(page.GetTasks()))
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if diff := cmp.Diff([]int{100, 100, 50}, sizes); diff != "" {
		t.Errorf("page sizes (-want +got):\n%s", diff)
	}
	_, err := s.ListTasks(t.Context(), &runpb.ListTasksRequest{Parent: x.GetName(), PageToken: "made up"})
	wantCode(t, err, codes.InvalidArgument)
	_, err = s.ListExecutions(t.Context(), &runpb.ListExecutionsRequest{Parent: somewhere + "/jobs/a", PageToken: pageToken("another list", position{a: 1})})
	wantCode(t, err, codes.InvalidArgument)
	_, err = s.ListExecutions(t.Context(), &runpb.ListExecutionsRequest{Parent: somewhere + "/jobs/a", PageSize: -1})
	wantCode(t, err, codes.InvalidArgument)
}
