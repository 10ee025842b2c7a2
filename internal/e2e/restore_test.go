package e2e_test

import (
	"strings"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/testdb"
)

func TestABackupTakenInTheMiddleOfARunRepeatsNothing(t *testing.T) {
	t.Parallel()
	const tasks = 300
	w := newWorld(t, lifecycle.Emulator)
	functions := w.serve()
	ticker := w.ticker()
	w.workflow("big", "instant", tasks)
	w.cli("trigger", "big").ok()
	w.awaitRun("big.1", "is in the middle", func(r api.Run) bool { return r.Counts.Success > tasks/10 })
	backup, at := w.db.Dump(t), time.Now().UTC().Format(time.RFC3339)
	run := w.awaitRun("big.1", "has ended", final)
	w.startedOnce(run, tasks)
	ticker.kill()
	functions.kill()

	w.db = testdb.Restored(t, backup)
	w.env = w.with("DATABASE_URL=" + w.db.DSN)
	w.serve()
	w.cli("tick").ok()
	w.cli("doctor").ends(1).shows("restored or copied", "--restored-to TIME")
	w.cli("doctor", "--restored-to", at).ok().shows("put back that the database had forgotten", "launching goes on from this database")
	if r := w.run("big.1"); r.FinishedAt == nil {
		w.ticker()
	}
	if run = w.awaitRun("big.1", "has ended again", final); run.Status != "success" {
		t.Errorf("the run is %s: %s", run.Status, run.Reason)
	}
	w.startedOnce(run, tasks)
	w.cli("doctor").ok()
}

func TestARestoreThatWasNotMeantIsRefusedInOneSentence(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Mock)
	w.serve()
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--restored-to", "yesterday"}, 2, `--restored-to is "yesterday"; it must be a time as in 2026-11-26T03:00:00Z`},
		{[]string{"--restored-to", "2026-11-26"}, 2, `it must be a time as in 2026-11-26T03:00:00Z`},
		{[]string{"--give-up"}, 2, "--give-up belongs to --restored-to"},
		{[]string{"--fix", "--restored-to", "2020-01-01T00:00:00Z"}, 2, "use one of them"},
		{[]string{"--cloud", "--restored-to", "2020-01-01T00:00:00Z"}, 2, "use one of them"},
		{[]string{"--restored-to", "2999-01-01T00:00:00Z"}, 2, "which is still to come"},
	} {
		o := w.cli(append([]string{"doctor"}, c.args...)...).ends(c.code).tells(c.want)
		if strings.Contains(o.stderr, "goroutine") {
			t.Error(o.stderr)
		}
	}
	w.cli("doctor").ok() // and launching is not blocked
}
