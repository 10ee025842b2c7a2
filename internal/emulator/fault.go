package emulator

import (
	"context"
	"time"
)

// Call is one call of the API as Options.Intercept sees it.
type Call struct {
	Method string        // as in RunJob
	N      int           // 1 for the first call of this method
	Name   string        // the resource it names, or the parent of a list
	Since  time.Duration // since the Server was made, by its clock
}

// Loss is a way to end a call without an answer of the server.
type Loss uint8

const (
	NoLoss Loss = iota
	// Hang lets nothing come until the caller gives up.
	Hang
	// Cut closes the connection, with all calls on it: UNAVAILABLE.
	Cut
	// ResetExhausted resets the stream in a way that gRPC clients turn into RESOURCE_EXHAUSTED. Over REST, which has no streams, it is Cut.
	ResetExhausted
	// ResetDenied resets the stream in a way that gRPC clients turn into PERMISSION_DENIED. Over REST, which has no streams, it is Cut.
	ResetDenied
)

// Fault says how a call is disturbed. The zero value leaves it alone. Errors are best made with google.golang.org/grpc/status.
//
// Of Before, LoseBefore and Quota the first in this order decides, and the call has no effect; After and LoseAfter lose the answer of a call that had its
// effect, whether that was an error or not. All the rest combines.
type Fault struct {
	// Delay passes before all else, also when the caller gives up meanwhile: then the effect comes late.
	Delay time.Duration
	// Slow passes between the effect and the answer, or until the caller gives up.
	Slow time.Duration

	// Before is answered, and the call has no effect.
	Before error
	// LoseBefore ends the call without effect and without an answer.
	LoseBefore Loss
	// Quota refuses the call without effect, exactly as a limit does.
	Quota bool
	// After is answered although the call had its effect: the true answer is lost.
	After error
	// LoseAfter lets the call have its effect, and no answer.
	LoseAfter Loss

	// What follows is about the execution that RunJob makes. Ages are measured by the Server's clock; one that has no effect before the next call
	// (where the clock is not the real one) takes effect then.

	// HideFor keeps it out of all lists for so long.
	HideFor time.Duration
	// NotFoundFor keeps it out of all lists for so long, and everything that names it is NOT_FOUND.
	NotFoundFor time.Duration
	// VanishAfter removes it for good at that age, as if it had been deleted. Its tasks end.
	VanishAfter time.Duration
	// CancelAfter cancels it at that age, as if somebody else had.
	CancelAfter time.Duration

	// What follows changes answers.

	// DropMetadata leaves the metadata out of the operation that is answered.
	DropMetadata bool
	// HideEnv leaves the environment of containers out of lists.
	HideEnv bool
	// ProjectNumber puts the project's number in place of its id into every name. Later calls may name it so, too.
	ProjectNumber bool
	// UnknownEnum gives every condition a state and a reason that no client knows.
	UnknownEnum bool
	// BadText puts text that is not UTF-8 into every condition's message, or into the error's.
	BadText bool
}

// kinds names what a Fault does, in the words of a faults file.
func (f Fault) kinds() []string {
	var kinds []string
	for _, k := range []struct {
		is   bool
		kind string
	}{
		{f.Delay > 0, "late"}, {f.Slow > 0, "slow"}, {f.Before != nil, "error"}, {f.Quota, "quota"}, {f.After != nil, "lose-answer"},
		{f.LoseBefore != NoLoss, f.LoseBefore.kind()}, {f.LoseAfter != NoLoss, f.LoseAfter.kind() + "-after"},
		{f.HideFor > 0, "list-lag"}, {f.NotFoundFor > 0, "not-found"}, {f.VanishAfter > 0, "vanish"}, {f.CancelAfter > 0, "cancel-outside"},
		{f.DropMetadata, "drop-metadata"}, {f.HideEnv, "hide-env"}, {f.ProjectNumber, "project-number"}, {f.UnknownEnum, "unknown-enum"},
		{f.BadText, "bad-text"},
	} {
		if k.is {
			kinds = append(kinds, k.kind)
		}
	}
	return kinds
}

func (l Loss) kind() string {
	switch l {
	case Hang:
		return "hang"
	case Cut:
		return "cut"
	}
	return "reset"
}

// callKey carries a call to the method that answers it, through gRPC's own dispatch.
type callKey struct{}

// passage is one call on its way through the Server.
type passage struct {
	Call
	fault Fault
	made  *execution // by RunJob
	limit bool       // a limit refused it
}

// passageOf is the call that a method answers; one that was called directly in Go is nobody's.
func passageOf(ctx context.Context) *passage {
	if p, ok := ctx.Value(callKey{}).(*passage); ok {
		return p
	}
	return &passage{}
}
