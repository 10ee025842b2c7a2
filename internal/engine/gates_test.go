package engine

import (
	"testing"

	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"
)

const testLocation = "projects/p/locations/l"

func answer(d *doors, kind lifecycle.AnswerKind) {
	d.note(store.ToSend{Execution: lifecycle.Execution{Job: testLocation + "/jobs/j"}}, lifecycle.Answer{Kind: kind})
}

func TestACallThatWasInFlightDoesNotReopenADoorThatAQuotaShut(t *testing.T) {
	t.Parallel()
	d := newDoors(nil)
	answer(d, lifecycle.AnswerQuota)
	answer(d, lifecycle.AnswerNamed)
	if len(d.closed()) != 1 || !d.news[testLocation].refused {
		t.Errorf("closed %v, news %+v", d.closed(), d.news)
	}
}

func TestADoorShutsAfterThreeLostAnswersInARowAndOpensWithAnAnswer(t *testing.T) {
	t.Parallel()
	d := newDoors([]store.Gate{{Location: testLocation, UnknownAnswers: 1, Open: true}})
	answer(d, lifecycle.AnswerUnknown)
	if len(d.closed()) != 0 {
		t.Error("two lost answers shut the door")
	}
	answer(d, lifecycle.AnswerUnknown)
	if len(d.closed()) != 1 || d.news[testLocation].unknown != 2 {
		t.Errorf("closed %v, news %+v", d.closed(), d.news)
	}
	answer(d, lifecycle.AnswerRejected) // a refusal is an answer too
	if len(d.closed()) != 0 || !d.news[testLocation].answered {
		t.Errorf("closed %v, news %+v", d.closed(), d.news)
	}
}
