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

func TestDoctorSeesTheMissingPermissionThatALaunchWouldMeet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Emulator)
	w.serve()
	w.workflow("nightly", "instant", 1)
	w.cli("doctor", "--cloud").ok().shows("1 job with what their workflows need", "nothing is wrong", "last tick     –")
	w.ticker()
	w.workflow("secured", "hardened", 1)
	w.cli("doctor").ok()
	w.cli("doctor", "--cloud").ends(1).shows("1 error", "run.jobs.runWithOverrides", "gcloud run jobs add-iam-policy-binding hardened", "called by local:")
	w.cli("doctor", "--cloud", "--fix").ends(1).shows("1 error")
	w.cli("doctor", "--cloud", "-o", "json").ends(1).shows(`"kind": "job_permissions"`, `"compared_jobs": 2`)
	w.cli("trigger", "secured", "--wait").ends(10)
	w.cli("status", "secured.1").ok().shows("Permission 'run.jobs.runWithOverrides' denied")
}

func TestDoctorSaysThatTheMocksJobsMeanNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Mock)
	w.workflow("nightly", "no-such-job", 1)
	w.cli("doctor", "--cloud").ok().shows("not looked at: the jobs: in mode mock Cloud Run is simulated", "nothing is wrong with what was looked at")
}
