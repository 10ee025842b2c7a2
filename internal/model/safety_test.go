package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
)

// SAFETY: what must be true after every action, whatever went wrong. check compares the database with the truth and with the snapshot before.
func (w *world) check() {
	w.t.Helper()
	w.look()
	now := w.read()
	broken, err := w.store.Invariants(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	j := &judgement{before: w.ledger, now: now, truth: &w.truth, thawed: w.thawed}
	w.thawed = false
	for _, b := range broken {
		j.wrong("the invariant %q is broken: %s", b.Name, b.Detail)
	}
	if now.blocked != "" {
		j.wrong("launching is blocked, although nothing was restored: %s", now.blocked)
	}
	j.finalStays()
	j.movesAreLegal()
	j.acceptedOnce()
	j.rowsAgree()
	for _, key := range slices.Sorted(maps.Keys(now.tasks)) {
		j.taskAgrees(now.tasks[key])
	}
	j.wholesAgree()
	j.limitsHold()
	j.orphansHaveNoRow()
	j.cancelsAreMeant(w.cancelled())
	if len(j.faults) > 0 {
		w.t.Fatalf("SAFETY:\n  %s", strings.Join(j.faults, "\n  "))
	}
	w.count(now)
	w.ledger = now
}

// count keeps how often what happened, so that one can see what stories are about.
func (w *world) count(now snapshot) {
	for id, x := range now.rows {
		was := w.ledger.rows[id]
		if x.Status != was.Status {
			w.happened["row "+strings.TrimSpace(x.Status+" "+x.Outcome)]++
		}
		if x.Outcome == "lost" && was.Outcome == "" {
			w.happened["lost: "+x.Reason]++
		}
		if x.Send > was.Send && was.ID != "" {
			w.happened["row refused for a quota"]++
		}
	}
	for id, t := range now.tasks {
		if t.FinishedAt != nil && w.ledger.tasks[id].FinishedAt == nil {
			w.happened[strings.TrimSpace("task "+t.Status+" "+t.Reason)]++
		}
	}
	for id, r := range now.runs {
		if r.FinishedAt != nil && w.ledger.runs[id].FinishedAt == nil {
			w.happened["run "+r.Status]++
		}
	}
	w.happened["orphan"] += len(now.orphans) - len(w.ledger.orphans)
}

// cancelled takes the executions that the orchestrator has asked to stop since.
func (w *world) cancelled() []string {
	w.script.mu.Lock()
	defer w.script.mu.Unlock()
	list := w.script.asked
	w.script.asked = nil
	return list
}

type judgement struct {
	before, now snapshot
	truth       *truth
	thawed      bool // what was decided long ago was written in this action
	faults      []string
}

func (j *judgement) wrong(format string, args ...any) {
	j.faults = append(j.faults, fmt.Sprintf(format, args...))
}

// finalStays: what was final is as it was.
func (j *judgement) finalStays() {
	for id, was := range j.before.runs {
		if is, ok := j.now.runs[id]; !ok || was.FinishedAt != nil && !sameEnd(was.Status, is.Status, was.Reason, is.Reason, was.FinishedAt, is.FinishedAt) {
			j.wrong("run %s was final as %s (%s) and is %s (%s)", was.name(), was.Status, was.Reason, is.Status, is.Reason)
		}
	}
	for id, was := range j.before.steps {
		if is, ok := j.now.steps[id]; !ok || was.FinishedAt != nil && !sameEnd(was.Status, is.Status, was.Reason, is.Reason, was.FinishedAt, is.FinishedAt) {
			j.wrong("step %s was final as %s and is %s", id, was.Status, is.Status)
		}
	}
	for id, was := range j.before.tasks {
		if is, ok := j.now.tasks[id]; !ok || was.FinishedAt != nil &&
			(!sameEnd(was.Status, is.Status, was.Reason, is.Reason, was.FinishedAt, is.FinishedAt) || was.Row != is.Row || was.Attempt != is.Attempt || was.Returns != is.Returns) {
			j.wrong("task %s was final as %+v and is %+v", id, was, is)
		}
	}
	for id, was := range j.before.rows {
		if is, ok := j.now.rows[id]; !ok || was.FinishedAt != nil &&
			(!sameEnd(was.Status, is.Status, was.Reason, is.Reason, was.FinishedAt, is.FinishedAt) || was.Outcome != is.Outcome || was.Name != "" && was.Name != is.Name) {
			j.wrong("row %s was final as %s (%s) and is %s (%s)", id, was.Outcome, was.Reason, is.Outcome, is.Reason)
		}
	}
	for name, ended := range j.before.orphans {
		if is, ok := j.now.orphans[name]; !ok || ended && !is {
			j.wrong("orphan %s was forgotten", lifecycle.ShortName(name))
		}
	}
}

func sameEnd(status, status2, reason, reason2 string, at, at2 *time.Time) bool {
	return status == status2 && reason == reason2 && at2 != nil && at.Equal(*at2)
}

// movesAreLegal: statuses change along the transition table, numbers that count only grow.
func (j *judgement) movesAreLegal() {
	for id, was := range j.before.runs {
		j.reach(lifecycle.KindRun, id, was.Status, j.now.runs[id].Status)
	}
	for id, was := range j.before.steps {
		is := j.now.steps[id]
		j.reach(lifecycle.KindStep, id, was.Status, is.Status)
		if is.Expanded < was.Expanded {
			j.wrong("step %s had %d tasks and has %d", id, was.Expanded, is.Expanded)
		}
	}
	for id, was := range j.before.tasks {
		is := j.now.tasks[id]
		j.reach(lifecycle.KindTask, id, was.Status, is.Status)
		if is.Attempt < was.Attempt || is.Returns < was.Returns {
			j.wrong("task %s was at attempt %d, returns %d, and is at %d, %d", id, was.Attempt, was.Returns, is.Attempt, is.Returns)
		}
	}
	for id, was := range j.before.rows {
		is := j.now.rows[id]
		j.reach(lifecycle.KindExecution, id, was.Status, is.Status)
		if is.Send < was.Send {
			j.wrong("row %s was at send %d and is at %d", id, was.Send, is.Send)
		}
	}
	if j.now.events < j.before.events {
		j.wrong("%d events became %d", j.before.events, j.now.events)
	}
}

func (j *judgement) reach(kind lifecycle.Kind, id, from, to string) {
	seen := map[lifecycle.Status]bool{lifecycle.Status(from): true}
	for grew := true; grew; {
		grew = false
		for _, t := range lifecycle.Transitions {
			if t.Kind == kind && seen[t.From] && !seen[t.To] {
				seen[t.To], grew = true, true
			}
		}
	}
	if !seen[lifecycle.Status(to)] {
		j.wrong("%s %s went from %s to %s", kind, id, from, to)
	}
}

// acceptedOnce: never sent twice. One send of one row is one execution, and a task gets a second one only when the first was rightly given up.
func (j *judgement) acceptedOnce() {
	for row, list := range j.truth.byRow {
		if len(list) > 1 {
			j.wrong("SENT TWICE: row %s was accepted as %s and as %s", row, list[0].short(), list[1].short())
		}
	}
	for task, list := range j.truth.byTask {
		open := 0
		for _, x := range list {
			if !j.givenUp(x) {
				open++
			}
		}
		if open > 1 {
			var names []string
			for _, x := range list {
				names = append(names, fmt.Sprintf("%s (%s, row %s)", x.short(), x.end, j.now.rows[x.row].Outcome))
			}
			j.wrong("SENT TWICE: task %s/%d is carried by %s", task.step, task.index, strings.Join(names, " and "))
		}
	}
}

// givenUp says whether an execution's row has ended so that its task may go into another one.
func (j *judgement) givenUp(x *execution) bool {
	row := j.now.rows[x.row]
	switch {
	case row.Outcome == "lost":
		return strings.Contains(row.Reason, "it was not started")
	case row.Outcome == "failed":
		return x.end == "nothing"
	}
	return false
}

// rowsAgree: what the ledger says of a row is what Cloud Run has accepted.
func (j *judgement) rowsAgree() {
	for _, x := range j.truth.all {
		row, ok := j.now.rows[x.row]
		switch {
		case !ok:
			j.wrong("%s was accepted for row %s, which is not there", x.short(), x.row)
		case row.Send != x.send:
			j.wrong("%s was accepted under send %d of row %s, which is at %d", x.short(), x.send, row.ID, row.Send)
		case row.Status == "planned" || row.Outcome == "rejected" || row.Outcome == "cancelled" && row.Name == "":
			j.wrong("%s was accepted for row %s, which says %s%s as if it never was", x.short(), row.ID, row.Status, row.Outcome)
		case !x.late && row.SentAt != nil && x.at.Sub(*row.SentAt) >= claimLength-callDeadline:
			j.wrong("%s was sent %s after row %s was claimed, when the claim could end before the call", x.short(), x.at.Sub(*row.SentAt), row.ID)
		case row.Name != "" && row.Name != x.name:
			j.wrong("row %s was accepted as %s and is named %s", row.ID, x.short(), lifecycle.ShortName(row.Name))
		}
	}
	for id, row := range j.now.rows {
		x := j.truth.byName[row.Name]
		switch {
		case row.Name == "" && row.Outcome != "" && row.Outcome != "lost" && row.Outcome != "cancelled" && row.Outcome != "rejected":
			j.wrong("row %s ended as %s without a name", id, row.Outcome)
		case row.Name != "" && (x == nil || x.row != id):
			j.wrong("row %s is named %s, which was not accepted for it", id, row.Name)
		case row.Outcome == "success" && x.end != "success",
			row.Outcome == "failed" && (x.end == "" || x.end == "success" || x.end == "cancelled"),
			row.Outcome == "cancelled" && x != nil && x.end != "cancelled":
			j.wrong("row %s says %s, and %s ended %q", id, row.Outcome, x.short(), x.end)
		case row.Outcome == "rejected" && j.truth.noes[lifecycle.ShortName(row.Job)] == 0:
			j.wrong("row %s was rejected, and Cloud Run never said no to %s", id, row.Job)
		case row.Outcome == "lost" && j.before.rows[id].Outcome == "":
			j.lost(row, x)
		}
	}
}

// lost: a row is given up only after everything that could prove the contrary.
func (j *judgement) lost(row ledgerRow, x *execution) {
	switch {
	case strings.Contains(row.Reason, "it was not started"):
		if was := j.before.rows[row.ID]; was.Name != "" {
			j.wrong("row %s was given up as never started, and was %s as %s", row.ID, was.Status, lifecycle.ShortName(was.Name))
		}
		settled := row.SentAt.Add(settleWindow)
		if row.FinishedAt.Before(settled) && !j.thawed {
			j.wrong("row %s was given up %s after its send, within the settle window", row.ID, row.FinishedAt.Sub(*row.SentAt))
		}
		if at, ok := j.truth.lists[lifecycle.ShortName(row.Job)]; !ok || at.Before(settled) {
			j.wrong("row %s was given up, and %s was not listed after the settle window", row.ID, row.Job)
		}
		for _, x := range j.truth.byRow[row.ID] {
			if x.listed && (x.since.Before(*row.FinishedAt) || x.since.Equal(*row.FinishedAt) && !j.thawed) {
				j.wrong("row %s was given up as never started, and Cloud Run lists %s", row.ID, x.short())
			}
			if x.evicted {
				j.wrong("row %s was given up as never started, and %s had ended (%s) and was evicted", row.ID, x.short(), x.end)
			}
		}
	case strings.Contains(row.Reason, "nobody could tell for 24 hours"):
		if row.FinishedAt.Sub(*row.SentAt) <= lifecycle.LaunchUndecided {
			j.wrong("row %s was given up as undecided after %s", row.ID, row.FinishedAt.Sub(*row.SentAt))
		}
	case strings.Contains(row.Reason, "its job is gone"):
		settled := row.SentAt.Add(settleWindow)
		looks := 0
		for _, at := range j.truth.misses[lifecycle.ShortName(row.Job)] {
			if !at.Before(settled) {
				looks++
			}
		}
		if looks == 0 {
			j.wrong("row %s is lost (%s), and its job was not missed after the settle window", row.ID, row.Reason)
		}
	case strings.Contains(row.Reason, "Cloud Run no longer knows it"):
		if x == nil || !x.gone && !j.truth.missed(x) {
			j.wrong("row %s is lost (%s), and Cloud Run still knows %s", row.ID, row.Reason, lifecycle.ShortName(row.Name))
		}
	case strings.Contains(row.Reason, "the cancel was not confirmed"):
		if row.CancelSentAt == nil || row.FinishedAt.Sub(*row.CancelSentAt) <= lifecycle.CancelUnconfirmed {
			j.wrong("row %s is lost: %s, and the cancel was sent at %v", row.ID, row.Reason, row.CancelSentAt)
		}
	default:
		j.wrong("row %s is lost for no reason that there may be: %s", row.ID, row.Reason)
	}
}
