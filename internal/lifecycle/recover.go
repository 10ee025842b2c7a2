package lifecycle

import "time"

// LaunchUndecided is how long a launch whose answer was lost may be looked for in vain before its tasks fail.
const LaunchUndecided = 24 * time.Hour

// ListingMargin is how long before a send an execution of a listing must have ended to prove that nothing was missed.
const ListingMargin = time.Minute

// Listing is how far one look through a job's newest executions reached.
type Listing struct {
	BeganAt    time.Time // the database's clock, read before the first page was asked for
	SentUntil  time.Time // rows may have been sent until then, whatever they say themselves; zero where they know
	Oldest     time.Time // creation of the oldest execution that it shows; zero when it shows none
	FirstEnd   time.Time // the earliest end of an execution that it shows; zero when none of them has ended
	ReachedEnd bool      // the last page was read
	Count      int       // executions listed
	UnreadAt   time.Time // creation of the youngest that hid its environment and could not be read; zero when there is none
	Unread     bool      // there is one of which not even the age is known
	Gone       bool      // Cloud Run does not know the job
}

// CompleteFor says whether the absence of a marker that was sent at the given time proves that it was not accepted:
// the listing began after the settle window, every marker in it could be read, and it reached far enough back: to an execution that had ended before the
// send. Cloud Run forgets the oldest that have ended, so what still runs may be shown long after others of its age, and younger ones, are forgotten.
// historyKept is the number of executions up to which Cloud Run surely shows them all.
func (l Listing) CompleteFor(sentAt time.Time, settle time.Duration, historyKept int) bool {
	if l.Gone || l.Unread || l.BeganAt.Before(sentAt.Add(settle)) || !l.UnreadAt.Before(sentAt.Add(-ListingMargin)) {
		return false
	}
	if l.ReachesBack(sentAt) {
		return true
	}
	return l.ReachedEnd && l.Count < historyKept
}

// PassOver notes that an execution of that age, zero where it is not known, hid its environment and was not read.
func (l *Listing) PassOver(createdAt time.Time) {
	if createdAt.IsZero() {
		l.Unread = true
	} else if createdAt.After(l.UnreadAt) {
		l.UnreadAt = createdAt
	}
}

// ReachesBack says whether the listing shows an execution that had surely ended before the given time, and with it everything that was created since.
func (l Listing) ReachesBack(sentAt time.Time) bool {
	return !l.FirstEnd.IsZero() && l.FirstEnd.Before(sentAt.Add(-ListingMargin))
}

// Covers says whether the listing shows all there is to see of that time, however soon after it.
func (l Listing) Covers(sentAt time.Time) bool {
	return l.Gone || l.ReachedEnd || l.ReachesBack(sentAt)
}

// RecoveryKind is what a listing says about a launch whose answer was lost.
type RecoveryKind int

const (
	// RecoverWait: nothing is known yet.
	RecoverWait RecoveryKind = iota
	// RecoverFound: it was accepted.
	RecoverFound
	// RecoverLost: it was not accepted; its tasks go back.
	RecoverLost
	// RecoverGiveUp: nobody could tell for too long; its tasks fail, they may have run.
	RecoverGiveUp
	// RecoverJobGone: its job is gone, and what it knew with it; its tasks fail, they may have run.
	RecoverJobGone
)

// Recovery is a decision about one launching row.
type Recovery struct {
	Kind   RecoveryKind
	Name   string    // with RecoverFound
	NextAt time.Time // with RecoverWait: when to look again
}

// Recover decides a launching row whose claim has expired. seen are the executions that carry the row's marker with its present send.
// That a job is not found counts on the second look after the settle window, and never says that nothing was started. Once it was not found, a list that is
// short may be that of a new job of the same name. In a restored database a row may have been sent after what it knows: nothing is settled before that shows.
func Recover(x Execution, seen []Facts, l Listing, settle time.Duration, historyKept int, now time.Time) Recovery {
	switch {
	case len(seen) > 0:
		return Recovery{Kind: RecoverFound, Name: seen[0].Name}
	case l.BeganAt.Before(l.SentUntil.Add(settle)):
	case x.NotFoundAt != nil && !l.ReachesBack(*x.SentAt) && (l.Gone || l.CompleteFor(*x.SentAt, settle, historyKept)):
		return Recovery{Kind: RecoverJobGone}
	case l.CompleteFor(*x.SentAt, settle, historyKept):
		return Recovery{Kind: RecoverLost}
	case x.UndecidedSince != nil && now.Sub(*x.UndecidedSince) > LaunchUndecided:
		return Recovery{Kind: RecoverGiveUp}
	}
	next := now.Add(min(max(settle/10, time.Second), 30*time.Second))
	if settled := x.SentAt.Add(settle); settled.After(now) && next.After(settled) {
		next = settled
	}
	return Recovery{Kind: RecoverWait, NextAt: next}
}

// Lost turns a recovery into the row's end. Nothing was accepted, so the tasks go back without using up an attempt; where that is not certain they fail.
func Lost(x Execution, kind RecoveryKind, tasks map[int]Attempt, now time.Time) Move {
	m := Move{
		Row: x, Status: Finished, Outcome: OutcomeLost, FinishedAt: &now,
		Reason: "the answer to its launch was lost and Cloud Run does not show it; it was not started",
	}
	watch := now.Add(time.Minute)
	m.NextLookAt = &watch
	if kind != RecoverLost {
		m.Reason = "the answer to its launch was lost and nobody could tell for 24 hours; it may have run"
		if kind == RecoverJobGone {
			m.Reason = "the answer to its launch was lost and its job is gone; it may have run"
		}
		m.Tasks = each(x, Verdict{Status: Failed, Reason: ReasonLaunchUnknown, FinishedAt: &now})
		return m
	}
	for _, index := range x.Indexes.All() {
		v := Returned(tasks[index], ReasonLaunchUnknown, now)
		v.Indexes = Range{index, index}
		m.Tasks = append(m.Tasks, v)
	}
	return m
}

// WatchFor is how long the job of a lost row is listed further, in case Cloud Run shows it late.
const WatchFor = 24 * time.Hour

// NextWatch is when a row that ended lost is looked for again: every minute for a quarter of an hour, then hourly, for a day. ok is false after that.
func NextWatch(lostAt, now time.Time) (next time.Time, ok bool) {
	switch age := now.Sub(lostAt); {
	case age < 15*time.Minute:
		return now.Add(time.Minute), true
	case age < WatchFor:
		return now.Add(time.Hour), true
	}
	return time.Time{}, false
}

// Rejected ends a row that Cloud Run refused for good: nothing was started, and repeating it would be refused again.
func Rejected(x Execution, words string, now time.Time) Move {
	return Move{
		Row: x, Status: Finished, Outcome: OutcomeRejected, Reason: words, FinishedAt: &now,
		Tasks: each(x, Verdict{Status: Failed, Reason: ReasonRejected, FinishedAt: &now}),
	}
}

// QuotaDelay is how long a row waits after its n-th refusal by a quota: ten seconds, growing with each, at most two minutes.
func QuotaDelay(n int) time.Duration {
	return min(10*time.Second*time.Duration(max(n, 1)), 2*time.Minute)
}
