package lifecycle

import (
	"fmt"
	"strings"
	"time"
)

// DiagnoseUnread judges a job whose executions could not be read.
func DiagnoseUnread(job, words string) Finding {
	name, region, project := jobParts(job)
	f := Finding{Kind: FindingJobUnreadable, Subject: "job " + job, Detail: "its executions could not be read: " + strings.TrimSuffix(words, "."),
		Action: "nothing is concluded from what was not seen: rows stay as they are until it can be read"}
	if advice := placeAdvice(job, words); advice != "" {
		f.Action += "; " + advice
	} else if strings.Contains(words, "PERMISSION_DENIED") {
		f.Action += fmt.Sprintf("; grant the reading: gcloud run jobs add-iam-policy-binding %s --region %s --project %s --member serviceAccount:EMAIL --role roles/run.viewer", name, region, project)
	}
	return f
}

// DiagnoseNoJob judges a job that Cloud Run does not know. workflows are those whose newest version uses it, rows the number of live executions of it.
func DiagnoseNoJob(job string, workflows []string, rows int) Finding {
	name, region, project := jobParts(job)
	f := Finding{Kind: FindingJobGone, Subject: "job " + job, Detail: "Cloud Run does not know it",
		Action: fmt.Sprintf("create it: gcloud run jobs create %s --image IMAGE --region %s --project %s --max-retries 0; or look under which name and in which region it is: %s", name, region, project, findJob(job))}
	if len(workflows) > 0 {
		f.Detail += ", and " + strings.Join(workflows, ", ") + " would start it"
	}
	if rows > 0 {
		f.Detail += fmt.Sprintf("; what becomes of its unfinished executions (%d) cannot be seen", rows)
	}
	return f
}

// DiagnoseDoubtful judges tasks that failed because nobody could tell whether their launches had happened.
func DiagnoseDoubtful(run, step string, tasks int, since *time.Time) Finding {
	n, they := "1 task", "it"
	if tasks != 1 {
		n, they = fmt.Sprintf("%d tasks", tasks), "they"
	}
	return Finding{Kind: FindingTasksUnknown, Subject: "step " + step, Run: run, Since: since,
		Detail: fmt.Sprintf("%s failed with %s: %s may have run", n, ReasonLaunchUnknown, they),
		Action: fmt.Sprintf("look whether the work was done before it is done again: orchestrator tasks %s --step %s --status failed", run, step)}
}

// DiagnoseOthers judges executions of a job that carry the markers of other installations.
func DiagnoseOthers(job string, newest string, n int, since time.Time) Finding {
	what := "1 execution carries the marker of another installation: "
	if n != 1 {
		what = fmt.Sprintf("%d executions carry the markers of other installations, the newest is ", n)
	}
	return Finding{Kind: FindingOtherInstallation, Subject: "job " + job, Since: &since, Detail: what + newest,
		Action: "they are never touched; two installations that share a job share its quota and its list of executions"}
}

// DiagnoseRule judges a rule of the data that does not hold.
func DiagnoseRule(rule, broken string) Finding {
	return Finding{Kind: FindingRule, Subject: "database", Detail: "it should be that " + rule + "; it is not so for " + broken,
		Action: "this is a fault of the program, or of what changed the database besides it; report it, and keep a copy of the database as it is"}
}
