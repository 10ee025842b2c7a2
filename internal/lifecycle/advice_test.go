package lifecycle

import "testing"

const loadJob = "projects/my-project/locations/europe-west1/jobs/load"

func TestRejectedAdviceSaysWhatToDo(t *testing.T) {
	t.Parallel()
	tests := []struct{ code, words, want string }{
		{"NOT_FOUND", "Job 'load' not found.",
			"Cloud Run refused to start load: Job 'load' not found; create it: gcloud run jobs create load --image IMAGE --region europe-west1 --project my-project --max-retries 0"},
		{"PERMISSION_DENIED", "Permission 'run.jobs.runWithOverrides' denied",
			"Cloud Run refused to start load: Permission 'run.jobs.runWithOverrides' denied; grant run.jobs.run and run.jobs.runWithOverrides on this job: " +
				"gcloud run jobs add-iam-policy-binding load --region europe-west1 --project my-project --member serviceAccount:EMAIL --role roles/run.jobsExecutorWithOverrides"},
		{"UNAUTHENTICATED", "invalid credentials",
			"Cloud Run refused to start load: invalid credentials; check the credentials that the orchestrator runs with"},
		{"INVALID_ARGUMENT", "Container 'main' is unknown.", "Cloud Run refused to start load: Container 'main' is unknown"},
		{"", "", "Cloud Run refused to start load: "},
	}
	for _, test := range tests {
		if got := RejectedAdvice(loadJob, Answer{Kind: AnswerRejected, Code: test.code, Words: test.words}); got != test.want {
			t.Errorf("%s\ngot  %s\nwant %s", test.code, got, test.want)
		}
	}
}

func TestRetriesAdviceGivesTheCommand(t *testing.T) {
	t.Parallel()
	const want = "job load repeats a failed task up to 3 times by itself, which nobody here can prevent; " +
		"to end that: gcloud run jobs update load --max-retries 0 --region europe-west1 --project my-project"
	if got := RetriesAdvice(loadJob, 3); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
