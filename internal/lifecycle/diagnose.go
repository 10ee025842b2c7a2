package lifecycle

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Health is what a database says of itself as a whole.
type Health struct {
	Installation        uuid.UUID
	Mode                Mode
	OldestRelease       int // the oldest release that may use its schema
	SchemaVersion       int
	HalfMigrated        bool // a migration of it failed, or is being made
	LaunchBlockedReason string
	LaunchBlockedAt     *time.Time // nil where no event tells
	Mark, MarkNow       string     // of the database, as it was noted and as it is
	LastTickAt          *time.Time
	LastTickBy          string // who called it, empty where that is not known
	UnfinishedRuns      int
	OldestRunAt         *time.Time // of the unfinished ones
	Now                 time.Time  // the database's clock
}

// NoTickFor is after how long without a tick unfinished runs are said to wait for one.
const NoTickFor = 3 * time.Minute

const checkRestore = `find out whether this database was restored or copied, and which of the two is to go on. Where it is this one, and nothing else launches any more: ` +
	`orchestrator doctor --restored-to TIME, the point to which it was restored or an earlier one; it puts back what ran since, and lets launching go on`

// Diagnose judges a database as a whole. mode and schema are the process's own; 0 is a schema of which nothing is known.
func (h Health) Diagnose(mode Mode, schema int) []Finding {
	var list []Finding
	add := func(f Finding) { list = append(list, f) }
	switch {
	case h.HalfMigrated:
		add(Finding{Kind: FindingSchema, Subject: "database",
			Detail: fmt.Sprintf("migration %d of it failed half-way, or is being made at this moment", h.SchemaVersion),
			Action: `repair what the migration left and say so with "migrate force"; nothing else was looked at`})
		return list
	case schema > 0 && h.OldestRelease > schema:
		add(Finding{Kind: FindingSchema, Subject: "database",
			Detail: fmt.Sprintf("its schema asks for release %d or newer, and this is release %d", h.OldestRelease, schema), Action: "use a newer program"})
	case schema > 0 && h.SchemaVersion < schema:
		add(Finding{Kind: FindingSchema, Subject: "database",
			Detail: fmt.Sprintf("it has schema version %d, and this program needs %d", h.SchemaVersion, schema), Action: `run "orchestrator init" or "migrate up"`})
	}
	if h.Mode != mode {
		add(Finding{Kind: FindingMode, Subject: "database", Detail: fmt.Sprintf("it belongs to mode %s, and this process runs in mode %s", h.Mode, mode),
			Action: "start the process in the database's mode; it changes nothing as it is"})
	}
	if h.Mark != h.MarkNow {
		add(Finding{Kind: FindingDatabaseMark, Subject: "database",
			Detail: fmt.Sprintf("this database was restored or copied: it is %s, not %s", h.MarkNow, h.Mark), Action: "nothing is launched from it; " + checkRestore})
	}
	if h.LaunchBlockedReason != "" {
		add(Finding{Kind: FindingLaunchBlocked, Subject: "installation", Since: h.LaunchBlockedAt, Detail: "nothing is launched: " + h.LaunchBlockedReason, Action: checkRestore})
	}
	if f, ok := h.noTick(); ok {
		add(f)
	}
	return list
}

func (h Health) noTick() (Finding, bool) {
	since := h.LastTickAt
	if h.OldestRunAt != nil && (since == nil || h.OldestRunAt.After(*since)) {
		since = h.OldestRunAt
	}
	if h.UnfinishedRuns == 0 || since == nil || h.Now.Sub(*since) <= NoTickFor {
		return Finding{}, false
	}
	f := Finding{Kind: FindingNoTick, Subject: "tick", Since: h.LastTickAt, Detail: "no tick has come yet",
		Action: `look at what should call tick; "orchestrator tick" does it once, "orchestrator run" again and again`}
	if h.LastTickAt != nil {
		f.Detail = "no tick has come for " + h.Now.Sub(*h.LastTickAt).Round(time.Second).String()
		if h.LastTickBy != "" {
			f.Detail += " (the last was called by " + h.LastTickBy + ")"
		}
	}
	unfinished := "1 run is unfinished"
	if h.UnfinishedRuns != 1 {
		unfinished = fmt.Sprintf("%d runs are unfinished", h.UnfinishedRuns)
	}
	f.Detail += fmt.Sprintf(", and %s: nothing moves without one", unfinished)
	return f, true
}

// place is where a row is: its step, and its execution as well as it is known.
func place(x Execution) string {
	if x.Name != "" {
		return fmt.Sprintf("step %s, execution %s", x.Step, x.Name)
	}
	return fmt.Sprintf("step %s, execution row %s of job %s", x.Step, x.ID, ShortName(x.Job))
}

// DiagnoseLaunch judges a launching row that is not in flight and that no listing showed.
func DiagnoseLaunch(x Execution, run string, settle time.Duration) Finding {
	f := Finding{Kind: FindingLaunchUnknown, Subject: place(x), Run: run, Since: x.SentAt,
		Detail: "the answer to its launch was lost; whether Cloud Run started it is not known yet",
		Action: fmt.Sprintf("ticks look for it: it goes on where a listing shows it, and is sent again where a complete listing that begins %s after the launch does not; after 24 hours its tasks fail", settle)}
	if x.Reason != "" {
		f.Detail += ": " + x.Reason
	}
	return f
}

// DiagnoseSight judges an execution that carries our marker; false where all is well with it.
func DiagnoseSight(s Sight, f Facts, row Execution, run string, blocked bool) (Finding, bool) {
	since := f.CreatedAt
	finding := Finding{Subject: "execution " + f.Name, Run: run, Since: &since}
	if row.Step != "" {
		finding.Subject = fmt.Sprintf("step %s, execution %s", row.Step, f.Name)
	}
	switch s {
	case SightUnknownSend:
		finding.Kind = FindingUnknownSend
		finding.Detail = "this installation sent it, and this database does not know that: it is an older copy of the database that did"
		finding.Action = "launching is blocked as soon as a tick sees it, or doctor --fix does; the execution is left alone"
		if blocked {
			finding.Action = "launching is blocked, and the execution is left alone; " + checkRestore
		}
	case SightNamed:
		finding.Kind = FindingLaunchFound
		finding.Detail = "its launch was not answered, but Cloud Run has it"
		finding.Action = "the next tick that looks for it, or doctor --fix, gives its row the name, and it goes on as if it had been answered"
	case SightOrphan:
		finding.Kind = FindingOrphan
		finding.Detail = "Cloud Run shows it although its row has ended or has another: " + endedOrNot(f.CompletedAt != nil, row.LaunchedAt == nil)
		finding.Action = orphanAction(blocked, "it is recorded, and cancelled unless it has ended, by the tick that sees it or by doctor --fix; its work is not counted")
	default:
		return Finding{}, false
	}
	return finding, true
}

// endedOrNot says how an orphan stands. The work of a row that never had a name went into another one; that of one that had has failed.
func endedOrNot(ended, repeated bool) string {
	switch {
	case ended && repeated:
		return "it has ended, and its work may have been done twice"
	case ended:
		return "it has ended, after its tasks had failed as lost"
	case repeated:
		return "it has not ended, and its work may be done twice"
	}
	return "it has not ended, though its tasks have failed as lost"
}

func orphanAction(blocked bool, otherwise string) string {
	if blocked {
		return "it is left alone while launching is blocked, since it may be the work of another copy of this database"
	}
	return otherwise
}

// DiagnoseOrphan judges an orphan that is known and has not ended.
func DiagnoseOrphan(name, run string, foundAt time.Time, cancelAt *time.Time, blocked bool) Finding {
	f := Finding{Kind: FindingOrphan, Subject: "execution " + name, Run: run, Since: &foundAt,
		Detail: "Cloud Run showed it although its row had ended or has another, and it was not asked to stop yet",
		Action: orphanAction(blocked, "ticks cancel it until it has ended; its work is not counted")}
	if cancelAt != nil {
		f.Detail = "Cloud Run showed it although its row had ended or has another; it was asked to stop and has not ended yet"
	}
	return f
}

// DiagnoseGone judges a live row whose execution Cloud Run does not know; false while it may only be listed late.
func DiagnoseGone(x Execution, run string, settle time.Duration, now time.Time) (Finding, bool) {
	accepted := x.CreatedAt
	if x.LaunchedAt != nil {
		accepted = *x.LaunchedAt
	}
	if now.Before(accepted.Add(settle)) {
		return Finding{}, false
	}
	return Finding{Kind: FindingExecutionGone, Subject: place(x), Run: run, Since: x.NotFoundAt,
		Detail: "Cloud Run does not know it any more, and how it ended was not recorded",
		Action: "the second look that does not find it ends its row as lost; its tasks fail with the reason lost, since they may have run"}, true
}
