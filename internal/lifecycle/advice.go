package lifecycle

import (
	"fmt"
	"strings"
)

// RejectedAdvice says what Cloud Run refused, in its own words, and what to do about it.
func RejectedAdvice(job string, a Answer) string {
	name, region, project := jobParts(job)
	text := fmt.Sprintf("Cloud Run refused to start %s: %s", name, strings.TrimSuffix(a.Words, "."))
	switch a.Code {
	case "NOT_FOUND":
		text += fmt.Sprintf("; create it: gcloud run jobs create %s --image IMAGE --region %s --project %s --max-retries 0", name, region, project)
	case "PERMISSION_DENIED":
		text += fmt.Sprintf("; grant run.jobs.run and run.jobs.runWithOverrides on this job: gcloud run jobs add-iam-policy-binding %s --region %s --project %s --member serviceAccount:EMAIL --role roles/run.jobsExecutorWithOverrides", name, region, project)
	case "UNAUTHENTICATED":
		text += "; check the credentials that the orchestrator runs with"
	}
	return text
}

// RetriesAdvice says that a job repeats tasks by itself, and how to end that.
func RetriesAdvice(job string, maxRetries int) string {
	name, region, project := jobParts(job)
	return fmt.Sprintf("job %s repeats a failed task up to %d times by itself, which nobody here can prevent; to end that: gcloud run jobs update %s --max-retries 0 --region %s --project %s",
		name, maxRetries, name, region, project)
}

// jobParts cuts projects/P/locations/L/jobs/J.
func jobParts(job string) (name, region, project string) {
	location := Location(job)
	_, rest, _ := strings.Cut(location, "projects/")
	project, _, _ = strings.Cut(rest, "/")
	return ShortName(job), ShortName(location), project
}
