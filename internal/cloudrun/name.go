package cloudrun

import (
	"fmt"
	"strings"
)

// Cloud Run may write a project by its number where it was asked by its id, and the other way, even mixed from call to call. An execution has one name in
// our ledger all the same: that of the job or execution that was asked for.

// executionOf gives the name of a job's execution in the job's form. ok is false for anything that does not name one of this job's executions.
func executionOf(job, name string) (full string, ok bool) {
	want, got := strings.Split(job, "/"), strings.Split(name, "/")
	if len(want) != 6 || len(got) != 8 || !sameProject(want[1], got[1]) || got[7] == "" || clean(name, maxName) != name {
		return "", false
	}
	want[1], got[1] = "", ""
	if strings.Join(want, "/")+"/executions" != strings.Join(got[:7], "/") {
		return "", false
	}
	return job + "/executions/" + got[7], true
}

// sameJob says whether an answer is about the job that was asked for.
func sameJob(job, name string) bool {
	_, ok := executionOf(job, name+"/executions/any")
	return ok
}

// jobOf is the job of an execution's name.
func jobOf(execution string) string {
	job, _, _ := strings.Cut(execution, "/executions/")
	return job
}

// sameProject says whether two ways to write a project may mean the same: the same words, or an id and a number.
func sameProject(a, b string) bool {
	return a == b || a != "" && b != "" && isNumber(a) != isNumber(b)
}

func isNumber(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// otherName is an answer that is about something else than was asked for. Nothing may be concluded from it, not even that something is absent.
func otherName(name string) error {
	return fmt.Errorf("the answer is about %q", words(name))
}
