package lifecycle

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// JobUse is a step of the newest version of a workflow that starts a job.
type JobUse struct {
	Workflow  string
	Step      string
	Container string        // empty where the definition names none
	Timeout   time.Duration // 0: the job's own
}

func (u JobUse) String() string { return fmt.Sprintf("step %s of workflow %s", u.Step, u.Workflow) }

// ShortTimeout is below what a task's timeout should be: the start of its container counts in it, and may take minutes.
const ShortTimeout = 3 * time.Minute

// DiagnoseJob judges a job that can be read by what its users need. Its parallelism is nothing to judge: every execution of ours has one task.
func DiagnoseJob(s JobState, uses []JobUse) []Finding {
	var list []Finding
	name, region, project := jobParts(s.Job)
	place := fmt.Sprintf("--region %s --project %s", region, project)
	if s.NotReady != "" {
		list = append(list, Finding{Kind: FindingJobNotReady, Subject: "job " + s.Job, Since: s.NotReadySince,
			Detail: fmt.Sprintf("Cloud Run says that it is not ready: %s (its image is %q)", strings.TrimSuffix(s.NotReady, "."), s.Image),
			Action: fmt.Sprintf("put right what it names, then update the job: gcloud run jobs update %s --image IMAGE %s", name, place)})
	}
	if wrong := wrongContainers(s.Containers, uses); len(wrong) > 0 {
		list = append(list, Finding{Kind: FindingJobContainers, Subject: "job " + s.Job,
			Detail: fmt.Sprintf("Cloud Run will refuse launches: the job's containers are %s, and %s", strings.Join(s.Containers, ", "), some(wrong)),
			Action: fmt.Sprintf("name one of them in the definition, as in job: {name: %s, container: %s}, and apply it", name, s.Containers[0])})
	}
	if s.MaxRetries > 0 {
		list = append(list, Finding{Kind: FindingJobRetries, Subject: "job " + s.Job,
			Detail: fmt.Sprintf("Cloud Run repeats a failed task of it up to %d times by itself: that is outside the counting of attempts, and nobody here can prevent it", s.MaxRetries),
			Action: fmt.Sprintf("gcloud run jobs update %s --max-retries 0 %s", name, place)})
	}
	return append(list, shortTimeouts(s, uses)...)
}

// wrongContainers are the users whose launches name no container of the job's, or none where there are several. An only container without a name is not judged.
func wrongContainers(containers []string, uses []JobUse) (wrong []string) {
	if len(containers) == 0 || len(containers) == 1 && containers[0] == "" {
		return nil
	}
	for _, u := range uses {
		switch {
		case u.Container == "" && len(containers) > 1:
			wrong = append(wrong, u.String()+" names none")
		case u.Container != "" && !slices.Contains(containers, u.Container):
			wrong = append(wrong, u.String()+" names "+u.Container)
		}
	}
	return wrong
}

func shortTimeouts(s JobState, uses []JobUse) (list []Finding) {
	const why = "the start of its container counts in it, so a task may be ended before it has done its work"
	var theirs []string
	own := false
	for _, u := range uses {
		own = own || u.Timeout == 0
		if u.Timeout > 0 && u.Timeout < ShortTimeout {
			theirs = append(theirs, fmt.Sprintf("%s sets %s", u, u.Timeout))
		}
	}
	if own && s.Timeout > 0 && s.Timeout < ShortTimeout {
		name, region, project := jobParts(s.Job)
		list = append(list, Finding{Kind: FindingJobTimeout, Subject: "job " + s.Job, Detail: fmt.Sprintf("a task's timeout is %s; %s", s.Timeout, why),
			Action: fmt.Sprintf("give it at least %s: gcloud run jobs update %s --task-timeout 10m --region %s --project %s", ShortTimeout, name, region, project)})
	}
	if len(theirs) > 0 {
		list = append(list, Finding{Kind: FindingJobTimeout, Subject: "job " + s.Job, Detail: fmt.Sprintf("as a task's timeout %s; %s", some(theirs), why),
			Action: fmt.Sprintf("write at least %s in the definition, or leave it out for the job's own", ShortTimeout)})
	}
	return list
}

// some is a list in words, cut where it becomes long.
func some(list []string) string {
	const most = 5
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}

// Permissions are what the orchestrator needs on a job, the gravest first.
func Permissions() []string {
	list := make([]string, len(withoutPermission))
	for i, p := range withoutPermission {
		list[i] = p.name
	}
	return list
}

// permissionGet is what reading a job's settings takes. Only doctor does that.
const permissionGet = "run.jobs.get"

// withoutPermission says what does not work without each permission.
var withoutPermission = []struct{ name, broken string }{
	{"run.jobs.run", "nothing can be started"},
	{"run.jobs.runWithOverrides", "nothing can be started, since every launch sets variables"},
	{"run.executions.get", "nobody learns how executions stand and end"},
	{"run.executions.list", "launches whose answers were lost are not found again"},
	{"run.executions.cancel", "nothing can be cancelled"},
	{"run.tasks.list", "nobody learns which tasks of an execution failed, and why"},
	{permissionGet, "its settings cannot be checked"},
}

// Access is what is known of the permissions on a job. Empty texts are answers that came.
type Access struct {
	Account  string   // of the process, empty where it is not known
	Unread   string   // what Cloud Run said when the job could not be read
	Untested string   // what it said when it was asked for permissions
	Lacking  []string // of Permissions
}

// DiagnoseAccess judges whether the process may do with a job what it has to. One cause is told once.
func DiagnoseAccess(job string, a Access) []Finding {
	unread := a.unchecked(job, "settings", a.Unread)
	denied := strings.Contains(a.Unread, "PERMISSION_DENIED")
	lacksGet := slices.Contains(a.Lacking, permissionGet)
	switch {
	case a.Unread != "" && a.Untested != "":
		return []Finding{a.unchecked(job, "settings and the permissions on it", a.Unread)}
	case a.Untested != "":
		return []Finding{a.unchecked(job, "permissions", a.Untested)}
	case denied && (placeAdvice(job, a.Unread) != "" || lacksGet && len(a.Lacking) == 1):
		return []Finding{unread}
	case denied && lacksGet:
		return []Finding{a.lacks(job)}
	}
	var list []Finding
	if len(a.Lacking) > 0 {
		list = append(list, a.lacks(job))
	}
	if a.Unread != "" {
		list = append(list, unread)
	}
	return list
}

func (a Access) unchecked(job, what, words string) Finding {
	f := Finding{Kind: FindingJobUnchecked, Subject: "job " + job, Detail: fmt.Sprintf("its %s could not be read, and nothing is said of them: %s", what, strings.TrimSuffix(words, ".")),
		Action: "ask again later, or look yourself: " + describeJob(job)}
	if advice := placeAdvice(job, words); advice != "" {
		f.Action = advice
	} else if strings.Contains(words, "PERMISSION_DENIED") {
		f.Action = grantRunner(job, a.Account)
	}
	return f
}

func (a Access) lacks(job string) Finding {
	who := a.Account
	if who == "" {
		who = "the account that this process calls Cloud Run with"
	}
	if a.Unread != "" && len(a.Lacking) == len(withoutPermission) {
		return Finding{Kind: FindingJobPermissions, Subject: "job " + job,
			Detail: fmt.Sprintf("%s has no permission on it, or there is no such job: without %s Cloud Run does not tell which", who, permissionGet),
			Action: fmt.Sprintf("look whether it is there: %s; if it is, %s", findJob(job), grantRunner(job, a.Account))}
	}
	var what []string
	for _, p := range withoutPermission {
		if slices.Contains(a.Lacking, p.name) {
			what = append(what, fmt.Sprintf("%s (%s)", p.name, p.broken))
		}
	}
	return Finding{Kind: FindingJobPermissions, Subject: "job " + job, Detail: who + " lacks " + strings.Join(what, ", "), Action: grantRunner(job, a.Account)}
}

// placeAdvice is what to do when Cloud Run refuses a whole region or project; empty where it does not.
func placeAdvice(job, words string) string {
	_, region, project := jobParts(job)
	switch {
	case strings.Contains(words, "'locations/"): // as in: Permission denied on 'locations/us-centrl1' (or it may not exist)
		return fmt.Sprintf("there may be no region %s, or the project may not use it; these are there: gcloud run regions list --project %s", region, project)
	case strings.Contains(words, "has not been used in project"), strings.Contains(words, "SERVICE_DISABLED"):
		return fmt.Sprintf("switch Cloud Run on in that project: gcloud services enable run.googleapis.com --project %s", project)
	}
	return ""
}

// grantRunner gives the account what the orchestrator needs on a job.
func grantRunner(job, account string) string {
	name, region, project := jobParts(job)
	role, besides := runnerRole(project, account)
	if account == "" {
		account = "EMAIL"
	}
	return fmt.Sprintf("grant the orchestrator's role on this job: gcloud run jobs add-iam-policy-binding %s --region %s --project %s --member serviceAccount:%s --role %s; %s%s",
		name, region, project, account, role, besides, byNumber(project))
}

// runnerRole is a role that has what the orchestrator needs, and what to say besides. The accounts that Terraform makes are NAME-tick, with a role of that
// name; made by hand it is orchestratorRunner. A project's own role cannot be granted in another project.
func runnerRole(project, account string) (role, besides string) {
	const runner, reader = "roles/run.jobsExecutorWithOverrides", "roles/run.viewer"
	name, domain, _ := strings.Cut(account, "@")
	if home, ok := strings.CutSuffix(domain, ".iam.gserviceaccount.com"); ok && home != project && byNumber(project) == "" {
		return runner, "and once more with --role " + reader
	}
	id := "orchestratorRunner"
	if base, ok := strings.CutSuffix(name, "-tick"); ok {
		id = strings.ReplaceAll(base, "-", "_") + "_job_runner"
	}
	return fmt.Sprintf("projects/%s/roles/%s", project, id), fmt.Sprintf("where that role was not made, %s and %s together have its permissions", runner, reader)
}

// findJob looks for a job whatever its region.
func findJob(job string) string {
	_, _, project := jobParts(job)
	return fmt.Sprintf("gcloud run jobs list --project %s%s", project, byNumber(project))
}

func describeJob(job string) string {
	name, region, project := jobParts(job)
	return fmt.Sprintf("gcloud run jobs describe %s --region %s --project %s%s", name, region, project, byNumber(project))
}

// byNumber is a hint for commands that do not take a project's number for its id.
func byNumber(project string) string {
	if project == "" || strings.Trim(project, "0123456789") != "" {
		return ""
	}
	return fmt.Sprintf(" (%s is the project's number; its id: gcloud projects describe %s --format='value(projectId)')", project, project)
}

// Strangers are executions of a job that run now and carry no marker.
type Strangers struct {
	Job     string
	Running int
	AtLeast bool // the listing did not reach all
	Newest  string
}

// DiagnoseStrangers tells of the running executions in a region that somebody else has started.
func DiagnoseStrangers(location string, list []Strangers) Finding {
	n, least := 0, ""
	var jobs []string
	for _, s := range list {
		n += s.Running
		if s.AtLeast {
			least = "at least "
		}
		jobs = append(jobs, fmt.Sprintf("%s %d", ShortName(s.Job), s.Running))
	}
	what := "1 execution runs that no orchestrator started"
	if n != 1 {
		what = fmt.Sprintf("%d executions run that no orchestrator started", n)
	}
	return Finding{Kind: FindingStrangers, Subject: "region " + location, Detail: fmt.Sprintf("%s%s (%s), such as %s", least, what, some(jobs), list[0].Newest),
		Action: "they are left alone; they take their part of the region's running executions and starts a minute, which ours share"}
}
