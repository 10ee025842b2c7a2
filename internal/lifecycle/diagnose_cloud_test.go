package lifecycle

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const diagnosed = "projects/acme/locations/europe-west1/jobs/report"

func kindsOf(list []Finding) (kinds []FindingKind) {
	for _, f := range list {
		kinds = append(kinds, f.Kind)
	}
	return kinds
}

// says demands that the finding of a kind holds these words.
func says(t *testing.T, name string, list []Finding, kind FindingKind, words ...string) {
	t.Helper()
	for _, f := range list {
		text := f.Subject + "\n" + f.Detail + "\n" + f.Action
		if f.Kind != kind {
			continue
		}
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("%s: %q is not in\n%s", name, w, text)
			}
		}
		return
	}
	t.Errorf("%s: there is no finding %s", name, kind)
}

func TestDiagnoseJob(t *testing.T) {
	t.Parallel()
	nightly := JobUse{Workflow: "nightly", Step: "main"}
	named := func(c string) JobUse { return JobUse{Workflow: "weekly", Step: "load", Container: c} }
	lasting := func(d time.Duration) JobUse { return JobUse{Workflow: "weekly", Step: "load", Timeout: d} }
	for name, test := range map[string]struct {
		change func(*JobState)
		uses   []JobUse
		want   FindingKind
		words  []string
	}{
		"all is well":                 {func(*JobState) {}, []JobUse{nightly, named("main"), lasting(ShortTimeout)}, "", nil},
		"a container by its name":     {func(s *JobState) { s.Containers = []string{"main", "proxy"} }, []JobUse{named("proxy")}, "", nil},
		"a container without a name":  {func(s *JobState) { s.Containers = []string{""} }, []JobUse{nightly, named("main")}, "", nil},
		"nothing said of containers":  {func(s *JobState) { s.Containers = nil }, []JobUse{named("main")}, "", nil},
		"nothing said of the timeout": {func(s *JobState) { s.Timeout = 0 }, []JobUse{nightly}, "", nil},
		"an image that is missing": {func(s *JobState) { s.NotReady = "CONTAINER_MISSING: Image 'report:1' not found." }, []JobUse{nightly}, FindingJobNotReady,
			[]string{"CONTAINER_MISSING: Image 'report:1' not found (its image is \"report:1\")", "gcloud run jobs update report --image IMAGE --region europe-west1 --project acme"}},
		"retries": {func(s *JobState) { s.MaxRetries = 3 }, []JobUse{nightly}, FindingJobRetries,
			[]string{"up to 3 times by itself", "gcloud run jobs update report --max-retries 0 --region europe-west1 --project acme"}},
		"two containers and no name": {func(s *JobState) { s.Containers = []string{"main", "proxy"} }, []JobUse{named("main"), nightly}, FindingJobContainers,
			[]string{"containers are main, proxy, and step main of workflow nightly names none", "job: {name: report, container: main}"}},
		"a name that no container has": {func(*JobState) {}, []JobUse{named("worker"), nightly}, FindingJobContainers,
			[]string{"containers are main, and step load of workflow weekly names worker"}},
		"a short timeout of the job": {func(s *JobState) { s.Timeout = ShortTimeout - 1 }, []JobUse{lasting(time.Hour), nightly}, FindingJobTimeout,
			[]string{"timeout is 2m59.999999999s", "gcloud run jobs update report --task-timeout 10m --region europe-west1 --project acme"}},
		"a short timeout that nobody uses": {func(s *JobState) { s.Timeout = time.Second }, []JobUse{lasting(time.Hour)}, "", nil},
		"a short timeout of the definition": {func(*JobState) {}, []JobUse{nightly, lasting(time.Minute)}, FindingJobTimeout,
			[]string{"step load of workflow weekly sets 1m0s", "write at least 3m0s in the definition"}},
		"many users": {func(s *JobState) { s.Containers = []string{"a", "b"} }, []JobUse{nightly, nightly, nightly, nightly, nightly, nightly, nightly}, FindingJobContainers,
			[]string{"names none and 2 more"}},
	} {
		s := JobState{JobFacts: JobFacts{Job: diagnosed, Containers: []string{"main"}, Image: "report:1", Timeout: 10 * time.Minute}}
		test.change(&s)
		list := DiagnoseJob(s, test.uses)
		if test.want == "" {
			if len(list) > 0 {
				t.Errorf("%s: %+v", name, list)
			}
			continue
		}
		if diff := cmp.Diff([]FindingKind{test.want}, kindsOf(list)); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
			continue
		}
		says(t, name, list, test.want, append(test.words, "job "+diagnosed)...)
	}
}

func TestDiagnoseAccess(t *testing.T) {
	t.Parallel()
	const (
		account  = "orchestrator-tick@acme.iam.gserviceaccount.com"
		refused  = "get job x: PERMISSION_DENIED: Permission 'run.jobs.get' denied on resource 'projects/acme/locations/europe-west1/jobs/report' (or resource may not exist)."
		noRegion = "get job x: PERMISSION_DENIED: Permission denied on 'locations/europe-wst1' (or it may not exist)."
		noAPI    = "get job x: PERMISSION_DENIED: Cloud Run Admin API has not been used in project acme before or it is disabled."
		role     = "gcloud run jobs add-iam-policy-binding report --region europe-west1 --project acme --member serviceAccount:" + account + " --role projects/acme/roles/orchestrator_job_runner"
	)
	for name, test := range map[string]struct {
		access Access
		want   []FindingKind
		words  []string
	}{
		"all is granted": {Access{}, nil, nil},
		"no overrides": {Access{Lacking: []string{"run.jobs.runWithOverrides"}}, []FindingKind{FindingJobPermissions},
			[]string{account + " lacks run.jobs.runWithOverrides (nothing can be started, since every launch sets variables)", role, "roles/run.jobsExecutorWithOverrides and roles/run.viewer"}},
		"several, in the order of their weight": {Access{Lacking: []string{"run.tasks.list", "run.jobs.run"}}, []FindingKind{FindingJobPermissions},
			[]string{"lacks run.jobs.run (nothing can be started), run.tasks.list (nobody learns"}},
		"only the reading of the job": {Access{Unread: refused, Lacking: []string{"run.jobs.get"}}, []FindingKind{FindingJobUnchecked}, []string{"its settings could not be read", "'run.jobs.get' denied", role}},
		"the reading of the job and more": {Access{Unread: refused, Lacking: []string{"run.jobs.get", "run.jobs.run"}}, []FindingKind{FindingJobPermissions},
			[]string{"run.jobs.run (nothing can be started), run.jobs.get (its settings cannot be checked)", role}},
		"nothing at all": {Access{Unread: refused, Lacking: Permissions()}, []FindingKind{FindingJobPermissions},
			[]string{"no permission on it, or there is no such job", "gcloud run jobs list --project acme", role}},
		"nothing but the job's state":               {Access{Lacking: Permissions()}, []FindingKind{FindingJobPermissions}, []string{"lacks run.jobs.run (nothing can be started), "}},
		"a refusal that permissions do not explain": {Access{Unread: refused}, []FindingKind{FindingJobUnchecked}, []string{role}},
		"another region":                            {Access{Unread: noRegion, Lacking: Permissions()}, []FindingKind{FindingJobUnchecked}, []string{"there may be no region europe-west1", "gcloud run regions list --project acme"}},
		"a project without":                         {Access{Unread: noAPI, Untested: noAPI}, []FindingKind{FindingJobUnchecked}, []string{"its settings and the permissions on it", "gcloud services enable run.googleapis.com --project acme"}},
		"no answer":                                 {Access{Unread: "get job x: UNAVAILABLE: later"}, []FindingKind{FindingJobUnchecked}, []string{"UNAVAILABLE: later", "gcloud run jobs describe report --region europe-west1 --project acme"}},
		"no answer, and something lacks":            {Access{Unread: "get job x: UNAVAILABLE: later", Lacking: []string{"run.jobs.run"}}, []FindingKind{FindingJobPermissions, FindingJobUnchecked}, nil},
		"permissions that nobody tells":             {Access{Untested: "test permissions on x: INTERNAL: no"}, []FindingKind{FindingJobUnchecked}, []string{"its permissions could not be read", "INTERNAL: no"}},
	} {
		test.access.Account = account
		list := DiagnoseAccess(diagnosed, test.access)
		if diff := cmp.Diff(test.want, kindsOf(list)); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		} else if len(list) > 0 {
			says(t, name, list, test.want[0], append(test.words, "job "+diagnosed)...)
		}
	}
	says(t, "an account that is not known", DiagnoseAccess(diagnosed, Access{Lacking: []string{"run.jobs.run"}}), FindingJobPermissions,
		"the account that this process calls Cloud Run with lacks", "--member serviceAccount:EMAIL --role projects/acme/roles/orchestratorRunner;")
	for account, want := range map[string]string{
		"jobs-2-tick@acme.iam.gserviceaccount.com":        "--role projects/acme/roles/jobs_2_job_runner; where",
		"orchestrator@acme.iam.gserviceaccount.com":       "--role projects/acme/roles/orchestratorRunner; where",
		"orchestrator-tick@other.iam.gserviceaccount.com": "--role roles/run.jobsExecutorWithOverrides; and once more with --role roles/run.viewer",
	} {
		says(t, account, DiagnoseAccess(diagnosed, Access{Account: account, Lacking: []string{"run.jobs.run"}}), FindingJobPermissions, want)
	}
	says(t, "a project by its number", DiagnoseAccess("projects/123/locations/europe-west1/jobs/report", Access{Lacking: []string{"run.jobs.run"}}), FindingJobPermissions,
		"123 is the project's number; its id: gcloud projects describe 123")
}

func TestDiagnoseStrangersCountsThemByJob(t *testing.T) {
	t.Parallel()
	list := []Strangers{{Job: diagnosed, Running: 2, Newest: diagnosed + "/executions/report-1"}, {Job: diagnosed + "s", Running: 1, AtLeast: true}}
	says(t, "three", []Finding{DiagnoseStrangers(Location(diagnosed), list)}, FindingStrangers,
		"region projects/acme/locations/europe-west1", "at least 3 executions run that no orchestrator started (report 2, reports 1), such as "+diagnosed+"/executions/report-1")
	says(t, "one", []Finding{DiagnoseStrangers(Location(diagnosed), []Strangers{{Job: diagnosed, Running: 1}})}, FindingStrangers, "\n1 execution runs that no")
}

func TestDiagnoseUnreadKnowsARegionThatIsNotThere(t *testing.T) {
	t.Parallel()
	f := DiagnoseUnread(diagnosed, "list executions of x: PERMISSION_DENIED: Permission denied on 'locations/europe-wst1' (or it may not exist).")
	if !strings.Contains(f.Action, "gcloud run regions list --project acme") || strings.Contains(f.Action, "roles/") {
		t.Errorf("action %s", f.Action)
	}
}

func TestDiagnoseHealthNamesTheLastCallerOfTick(t *testing.T) {
	t.Parallel()
	h := healthy()
	h.UnfinishedRuns, h.OldestRunAt, h.LastTickBy = 1, ptr(-2*time.Hour), "scheduler@acme.iam.gserviceaccount.com"
	says(t, "no tick", h.Diagnose(Live, 3), FindingNoTick, "no tick has come for 1h0m0s (the last was called by scheduler@acme.iam.gserviceaccount.com)")
}
