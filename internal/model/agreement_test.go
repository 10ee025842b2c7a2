package model

import (
	"fmt"
	"slices"
	"strings"

	"cloud-run-orchestrator/internal/lifecycle"
)

// taskAgrees: what a final task says is what happened.
func (j *judgement) taskAgrees(t taskRow) {
	if t.FinishedAt == nil || j.before.tasks[t.key()].FinishedAt != nil {
		return
	}
	row := j.now.rows[t.Row]
	x := j.truth.byName[row.Name]
	end := ""
	if x != nil {
		end = x.end
	}
	step := j.now.steps[fmt.Sprintf("%s/%d", t.Run, t.StepNo)]
	ok := false
	switch t.Status + " " + t.Reason {
	case "success ":
		ok = end == "success"
	case "failed exit_code":
		ok = t.ExitCode != nil && end == fmt.Sprintf("exit %d", *t.ExitCode)
	case "failed signal":
		ok = t.Signal != nil && end == fmt.Sprintf("signal %d", *t.Signal)
	case "failed platform":
		ok = end == "nothing" && t.Returns == lifecycle.MaxReturns
	case "failed cancelled_outside":
		ok = end == "cancelled" && x.outside
	case "failed lost":
		ok = row.Outcome == "lost" && row.Name != ""
	case "failed rejected":
		ok = row.Outcome == "rejected"
	case "failed launch_unknown":
		ok = row.Outcome == "lost" && (t.Returns == lifecycle.MaxReturns || strings.Contains(row.Reason, "it may have run"))
	case "cancelled cancelled":
		ok = step.StopAs != "" && (end == "" && (t.Row == "" || row.Status == "finished") || end == "cancelled" || end == "nothing")
	}
	if !ok {
		j.wrong("task %s/%d says %s (%s), exit code %s, signal %s, after %d returns; its row says %s (%s), and its execution ended %q",
			t.Step, t.Index, t.Status, t.Reason, number(t.ExitCode), number(t.Signal), t.Returns, row.Outcome, row.Reason, end)
	}
}

func number(n *int) string {
	if n == nil {
		return "–"
	}
	return fmt.Sprint(*n)
}

// wholesAgree: steps and runs say what follows from their parts.
func (j *judgement) wholesAgree() {
	for id, s := range j.now.steps {
		if s.FinishedAt == nil {
			continue
		}
		count := map[string]int{}
		for i := range s.TaskCount {
			if t, ok := j.now.tasks[fmt.Sprintf("%s/%d", id, i)]; ok {
				count[t.Status]++
			} else {
				count["none"]++
			}
		}
		want := "success"
		switch {
		case s.Status == "skipped":
			want = "skipped"
			if !slices.ContainsFunc(s.Needs, func(no int) bool {
				n := j.now.steps[fmt.Sprintf("%s/%d", s.Run, no)]
				return n.FinishedAt != nil && n.Status != "success"
			}) {
				j.wrong("step %s is skipped, and nothing that it needs has failed", s.Name)
			}
		case s.StopAs != "" && count["cancelled"]+count["none"] > 0:
			want = s.StopAs
		case count["failed"] > s.Tolerated:
			want = "failed"
		}
		if s.Status != want || s.Status == "success" && count["success"]+count["failed"] != s.TaskCount {
			j.wrong("step %s says %s, want %s: tasks %v, %d tolerated, stop %q", s.Name, s.Status, want, count, s.Tolerated, s.StopAs)
		}
	}
	for id, r := range j.now.runs {
		if r.FinishedAt == nil {
			continue
		}
		want := "success"
		for _, s := range j.now.steps {
			switch {
			case s.Run != id:
			case s.FinishedAt == nil:
				j.wrong("run %s is final, and its step %s is not", r.name(), s.Name)
			case s.Status == "cancelled":
				want = "cancelled"
			case s.Status == "failed" && want == "success":
				want = "failed"
			}
		}
		if r.Status != want || want == "cancelled" && r.StopAs == "" {
			j.wrong("run %s says %s, want %s", r.name(), r.Status, want)
		}
	}
}

// limitsHold: never more executions live than are allowed.
func (j *judgement) limitsHold() {
	ofWorkflow, ofStep := map[string]int{}, map[string]int{}
	for _, x := range j.now.rows {
		if x.Status == "launching" || x.Status == "launched" || x.Status == "running" {
			ofWorkflow[x.Workflow]++
			ofStep[fmt.Sprintf("%s/%d", x.Run, x.StepNo)]++
		}
	}
	for _, r := range j.now.runs {
		if r.Limit > 0 && ofWorkflow[r.Workflow] > r.Limit {
			j.wrong("%d executions of %s live, %d are allowed", ofWorkflow[r.Workflow], r.Workflow, r.Limit)
		}
	}
	for id, s := range j.now.steps {
		if s.Limit > 0 && ofStep[id] > s.Limit {
			j.wrong("%d executions of step %s live, %d are allowed", ofStep[id], s.Name, s.Limit)
		}
	}
}

// cancelsAreMeant: only what a stop reaches, and what has no row of its own, is asked to stop.
func (j *judgement) cancelsAreMeant(asked []string) {
	for _, name := range asked {
		x := j.truth.byName[name]
		if x == nil {
			j.wrong("%s was cancelled and was never ours", name)
			continue
		}
		_, orphan := j.now.orphans[name]
		if row := j.now.rows[x.row]; !orphan && row.StopScope != "all" {
			j.wrong("%s was cancelled, and its row %s is neither stopping nor has it ended without it", x.short(), row.ID)
		}
	}
}

// orphansHaveNoRow: only what its row was given up without is taken for an orphan.
func (j *judgement) orphansHaveNoRow() {
	for name := range j.now.orphans {
		x := j.truth.byName[name]
		if x == nil {
			j.wrong("%s is an orphan, and was never ours", name)
		} else if row := j.now.rows[x.row]; row.Outcome != "lost" {
			j.wrong("%s is taken for an orphan, and its row %s is %s %s", x.short(), row.ID, row.Status, row.Outcome)
		}
	}
}
