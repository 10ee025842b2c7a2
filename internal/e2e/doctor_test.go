package e2e_test

import (
	"testing"

	"cloud-run-orchestrator/internal/lifecycle"
)

func TestDoctorEndsWithZeroWhereAllIsWellAndWithOneWhereItIsNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Emulator)
	w.cli("doctor").ok().shows("nothing is wrong").tells("working in this process")
	w.serve()
	w.workflow("nightly", "instant", 3)
	w.cli("trigger", "nightly").ok()
	w.ticker()
	w.awaitRun("nightly.1", "ends", final)
	w.cli("doctor").ok().shows("nothing is wrong", "jobs/instant")
	w.cli("doctor", "--fix").ok().shows("nothing is wrong")
	w.cli("doctor", "-o", "json").ok().shows(`"findings": []`, `"not_looked": []`)

	w.exec(`UPDATE steps SET retries = 7`)
	w.cli("doctor").ends(1).shows("1 error", "it should be that the counters of steps equal their tasks")
	w.cli("doctor", "--fix").ends(1).shows("1 error")
	w.cli("doctor", "-o", "json").ends(1).shows(`"kind": "rule"`)
	w.exec(`UPDATE steps SET retries = 0`)
	w.cli("doctor").ok()
}
