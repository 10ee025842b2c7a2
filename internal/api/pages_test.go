package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// threePages answers a list of tasks 0..5 in three pages, and counts the requests.
func threePages(requests *[]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		*requests = append(*requests, r.URL.RawQuery)
		first, next := map[string]int{"": 0, "b": 2, "c": 4}[r.URL.Query().Get("page_token")], map[string]string{"": "b", "b": "c"}[r.URL.Query().Get("page_token")]
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"tasks":[{"task_index":%d},{"task_index":%d}],"next_page_token":%q}`, first, first+1, next)
	}
}

func TestAllGoesThroughEveryPageUnderTheSameFilter(t *testing.T) {
	t.Parallel()
	var requests []string
	c := serve(t, threePages(&requests))
	var got []int
	for task, err := range c.AllTasks(t.Context(), "w.1", TaskFilter{Status: "failed", Page: Page{Size: 2}}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, task.TaskIndex)
	}
	if diff := cmp.Diff([]int{0, 1, 2, 3, 4, 5}, got); diff != "" {
		t.Error(diff)
	}
	want := []string{"page_size=2&status=failed", "page_size=2&page_token=b&status=failed", "page_size=2&page_token=c&status=failed"}
	if diff := cmp.Diff(want, requests); diff != "" {
		t.Error(diff)
	}
}

func TestAllAsksForNoPageThatNobodyWants(t *testing.T) {
	t.Parallel()
	var requests []string
	c := serve(t, threePages(&requests))
	n := 0
	for range c.AllTasks(t.Context(), "w.1", TaskFilter{}) {
		if n++; n == 2 {
			break
		}
	}
	if len(requests) != 1 {
		t.Errorf("%d requests", len(requests))
	}
}

func TestAllEndsWithTheErrorOfItsPage(t *testing.T) {
	t.Parallel()
	var requests []string
	pages := threePages(&requests)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("page_token") == "b" {
			http.Error(w, "gone", http.StatusBadGateway)
			return
		}
		pages(w, r)
	})
	var last error
	n := 0
	for _, err := range c.AllTasks(t.Context(), "w.1", TaskFilter{}) {
		n++
		last = err
	}
	if n != 3 || last == nil || !strings.Contains(last.Error(), "502") {
		t.Errorf("%d pairs, the last with %v", n, last)
	}
}

func TestAllRefusesAListThatNeverEnds(t *testing.T) {
	t.Parallel()
	c := newTestClient(t, Options{Transport: answerJSON(200, `{"runs":[{"id":"x"}],"next_page_token":"same"}`)})
	var last error
	n := 0
	for _, err := range c.AllRuns(t.Context(), RunFilter{}) {
		last = err
		if n++; n > 10 {
			t.Fatal("it goes on for ever")
		}
	}
	if last == nil || !strings.Contains(last.Error(), "does not end") {
		t.Errorf("got %v", last)
	}
}

func TestEveryListHasAnIteratorOverIt(t *testing.T) {
	t.Parallel()
	c := newTestClient(t, Options{Transport: answerJSON(200, `{"workflows":[{}],"versions":[{}],"executions":[{}],"events":[{}],"runs":[{}]}`)})
	ctx := t.Context()
	n := 0
	count := func(err error) {
		n++
		if err != nil {
			t.Error(err)
		}
	}
	for _, err := range c.AllWorkflows(ctx) {
		count(err)
	}
	for _, err := range c.AllWorkflowVersions(ctx, "w") {
		count(err)
	}
	for _, err := range c.AllExecutions(ctx, "w.1") {
		count(err)
	}
	for _, err := range c.AllEvents(ctx, "w.1") {
		count(err)
	}
	for _, err := range c.AllRuns(ctx, RunFilter{}) {
		count(err)
	}
	if n != 5 {
		t.Errorf("%d items", n)
	}
}
