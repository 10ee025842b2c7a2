package lifecycle

import "time"

// Sight is what an execution that carries our marker is to the ledger.
type Sight int

const (
	// SightUnknownSend: the ledger does not know this send. The zero value, so that nothing is recorded or cancelled by omission.
	SightUnknownSend Sight = iota
	// SightOwn: it is its row's execution.
	SightOwn
	// SightNamed: it is the launch of a row that waits for its name.
	SightNamed
	// SightOrphan: its row has another one, was sent again, or ended without it.
	SightOrphan
)

// Judge compares an execution's marker and name with the row that the marker names; known is false where there is no such row.
// A send that was never made, or is above the row's, shows that the database is not the one that sent it, or is older.
func Judge(m Marker, name string, row Execution, known bool) Sight {
	switch {
	case !known || m.Send > row.Send || m.Send == row.Send && row.SentAt == nil:
		return SightUnknownSend
	case SameExecution(row.Name, name) && row.Outcome != OutcomeLost:
		return SightOwn
	case row.Status == Launching && row.Send == m.Send && row.Name == "":
		return SightNamed
	}
	return SightOrphan
}

// InFlight says whether a launching row may still get its answer from the call that was made: its first claim has not expired.
func InFlight(x Execution, claim time.Duration, now time.Time) bool {
	return x.Status == Launching && x.SentAt != nil && now.Before(x.SentAt.Add(claim))
}
