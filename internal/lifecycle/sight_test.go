package lifecycle

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	const name = "projects/p/locations/l/jobs/j/executions/j-1"
	m := Marker{Installation: uuid.New(), Row: uuid.New(), Send: 2}
	row := func(change func(*Execution)) Execution {
		x := Execution{ID: m.Row, Status: Launched, Send: 2, SentAt: ptr(0), Name: name}
		change(&x)
		return x
	}
	tests := []struct {
		what string
		row  Execution
		want Sight
	}{
		{"the row's own", row(func(*Execution) {}), SightOwn},
		{"the row's own under the project's number", row(func(x *Execution) { x.Name = "projects/123/locations/l/jobs/j/executions/j-1" }), SightOwn},
		{"the row's own after its end", row(func(x *Execution) { x.Status, x.Outcome = Finished, OutcomeFailed }), SightOwn},
		{"the row's own after the row ended lost", row(func(x *Execution) { x.Status, x.Outcome = Finished, OutcomeLost }), SightOrphan},
		{"a launching row waits for it", row(func(x *Execution) { x.Status, x.Name = Launching, "" }), SightNamed},
		{"a launching row's earlier send", row(func(x *Execution) { x.Status, x.Name, x.Send = Launching, "", 3 }), SightOrphan},
		{"the row has another", row(func(x *Execution) { x.Name = name + "2" }), SightOrphan},
		{"the row ended lost without a name", row(func(x *Execution) { x.Status, x.Outcome, x.Name = Finished, OutcomeLost, "" }), SightOrphan},
		{"a send above the row's", row(func(x *Execution) { x.Send = 1 }), SightUnknownSend},
		{"the present send, which was never made", row(func(x *Execution) { x.Status, x.SentAt, x.Name = Planned, nil, "" }), SightUnknownSend},
		{"an earlier send of a planned row", row(func(x *Execution) { x.Status, x.SentAt, x.Name, x.Send = Planned, nil, "", 3 }), SightOrphan},
	}
	for _, test := range tests {
		if got := Judge(m, name, test.row, true); got != test.want {
			t.Errorf("%s: %v, want %v", test.what, got, test.want)
		}
	}
	if got := Judge(m, name, Execution{}, false); got != SightUnknownSend {
		t.Errorf("no row: %v", got)
	}
}

func TestInFlight(t *testing.T) {
	t.Parallel()
	x := Execution{Status: Launching, SentAt: ptr(0)}
	for after, want := range map[time.Duration]bool{0: true, time.Minute - 1: true, time.Minute: false, time.Hour: false} {
		if got := InFlight(x, time.Minute, at(after)); got != want {
			t.Errorf("%v after its send: %v", after, got)
		}
	}
	if x.Status = Launched; InFlight(x, time.Minute, at(0)) {
		t.Error("a launched row is in flight")
	}
}
