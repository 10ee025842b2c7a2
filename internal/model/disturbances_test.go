package model

import (
	"time"

	"cloud-run-orchestrator/internal/emulator"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// unavailable is what a broken connection looks like.
func unavailable(words string) error { return status.Error(codes.Unavailable, words) }

// quotaRefusal is a refusal as Cloud Run's quotas make it.
func quotaRefusal() error {
	s, err := status.New(codes.ResourceExhausted, "Quota exceeded for quota metric 'Job run requests'").WithDetails(
		&errdetails.ErrorInfo{Reason: "RATE_LIMIT_EXCEEDED", Domain: "googleapis.com"})
	if err != nil {
		panic(err)
	}
	return s.Err()
}

func before(name string, err error) disturbance {
	return disturbance{name: name, fault: emulator.Fault{Before: err}}
}

func after(name string, err error) disturbance {
	return disturbance{name: name, fault: emulator.Fault{After: err}}
}

func hidden(name string, d time.Duration, after error) disturbance {
	return disturbance{name: name, fault: emulator.Fault{HideFor: d, After: after}}
}

var fine = disturbance{name: "fine"}

var (
	lostAnswer    = after("answer lost", unavailable("connection lost"))
	lostRequest   = before("request lost", unavailable("connection refused"))
	hangsForNow   = disturbance{name: "hangs", hold: true}
	quota         = before("quota", quotaRefusal())
	noSuchThing   = before("not found", status.Error(codes.NotFound, "it is not there"))
	broken        = before("unreadable", status.Error(codes.PermissionDenied, "not yours"))
	listedTooLate = hidden("answer lost, listed after 10m", 10*time.Minute, unavailable("connection lost"))
)

// troubles are the ways in which calls of a method go wrong; a new kind is a new line. The first ones are the simplest, which rapid prefers.
func troubles() map[string][]disturbance {
	return map[string][]disturbance{
		"RunJob": {
			fine, lostAnswer, lostRequest, hangsForNow, quota, listedTooLate,
			hidden("answer lost, listed after 2m", 2*time.Minute, unavailable("connection lost")),
			hidden("listed after 2m", 2*time.Minute, nil),
			hidden("listed after 1h", time.Hour, nil),
			{name: "answer without metadata", fault: emulator.Fault{DropMetadata: true}},
			{name: "answer without metadata, listed after 10m", fault: emulator.Fault{DropMetadata: true, HideFor: 10 * time.Minute}},
			{name: "hangs, then its answer is lost", hold: true, fault: emulator.Fault{After: unavailable("connection lost")}},
			{name: "hangs, then listed after 10m", hold: true, fault: emulator.Fault{HideFor: 10 * time.Minute}},
			{name: "slow", fault: emulator.Fault{Delay: 10 * time.Millisecond}},
			before("overloaded", status.Error(codes.ResourceExhausted, "too busy")),
			after("internal, done", status.Error(codes.Internal, "oops")),
			before("internal, not done", status.Error(codes.Internal, "oops")),
			after("aborted, done", status.Error(codes.Aborted, "conflict")),
			before("unknown, not done", status.Error(codes.Unknown, "?")),
			after("unknown, done", status.Error(codes.Unknown, "?")),
			after("cancelled, done", status.Error(codes.Canceled, "cancelled")),
			before("refused for good", status.Error(codes.FailedPrecondition, "the job is not ready")),
		},
		"GetExecution":    {fine, broken, noSuchThing, before("unknown", status.Error(codes.Unknown, "?"))},
		"ListExecutions":  {fine, broken, before("unknown", status.Error(codes.Unknown, "?")), lostRequest},
		"ListTasks":       {fine, broken, before("unknown", status.Error(codes.Unknown, "?"))},
		"CancelExecution": {fine, lostAnswer, lostRequest, hangsForNow, broken},
	}
}
