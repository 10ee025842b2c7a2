package lifecycle

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const kept = 900

// complete is a listing that began after the settle window of a send at base, and reached its end.
func complete() Listing {
	return Listing{BeganAt: at(settleWindow), FirstEnd: at(0), ReachedEnd: true, Count: kept - 1}
}

func TestListingCompleteFor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*Listing)
		want   bool
	}{
		{"it began after the settle window and reached the end", func(*Listing) {}, true},
		{"it began too early", func(l *Listing) { l.BeganAt = at(settleWindow - 1) }, false},
		{"something in it could not be read", func(l *Listing) { l.Unread = true }, false},
		{"one of that time could not be read", func(l *Listing) { l.PassOver(at(-time.Minute)) }, false},
		{"one that is older could not be read", func(l *Listing) { l.PassOver(at(-time.Minute - 1)) }, true},
		{"one of unknown age could not be read", func(l *Listing) { l.PassOver(time.Time{}) }, false},
		{"the job is not found", func(l *Listing) { *l = Listing{BeganAt: l.BeganAt, Gone: true} }, false},
		{"it stopped before the end", func(l *Listing) { l.ReachedEnd = false }, false},
		{"it is so long that older ones may have been dropped", func(l *Listing) { l.Count = kept }, false},
		{"it is empty: the job never ran", func(l *Listing) { l.FirstEnd, l.Count = time.Time{}, 0 }, true},
		{"it is empty, and more was to come", func(l *Listing) { l.FirstEnd, l.Count, l.ReachedEnd = time.Time{}, 0, false }, false},
		{"it reached one that had ended more than a minute before the send", func(l *Listing) { l.FirstEnd, l.ReachedEnd, l.Count = at(-time.Minute-1), false, kept }, true},
		{"it reached far back, and nothing there has ended", func(l *Listing) { l.FirstEnd, l.Count = time.Time{}, kept }, false},
		{"a minute is not more than a minute", func(l *Listing) { l.FirstEnd, l.ReachedEnd = at(-time.Minute), false }, false},
		{"reaching back does not help one that began too early", func(l *Listing) { l.FirstEnd, l.BeganAt = at(-time.Hour), at(time.Minute) }, false},
		{"nor one in which something could not be read", func(l *Listing) { l.FirstEnd, l.Unread = at(-time.Hour), true }, false},
		{"the zero listing proves nothing", func(l *Listing) { *l = Listing{} }, false},
	}
	for _, test := range tests {
		l := complete()
		test.change(&l)
		if got := l.CompleteFor(base(), settleWindow, kept); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// sent is a row whose answer was lost; it was sent at base.
func sent() Execution {
	x := packed()
	x.Status, x.Name, x.LaunchedAt, x.SentAt = Launching, "", nil, ptr(0)
	return x
}

func TestRecover(t *testing.T) {
	t.Parallel()
	early := Listing{BeganAt: at(time.Minute), ReachedEnd: true}
	unread := complete()
	unread.Unread = true
	gone := Listing{BeganAt: at(settleWindow), Gone: true}
	far := complete()
	far.FirstEnd = at(-time.Hour)
	restored := complete()
	restored.SentUntil = at(1)
	settled := complete()
	settled.SentUntil = at(0)
	undecided := sent()
	undecided.UndecidedSince = ptr(0)
	missed := sent()
	missed.NotFoundAt = ptr(settleWindow)
	there := []Facts{{Name: "load-x7k2p"}, {Name: "load-9d0aa"}}
	tests := []struct {
		name    string
		row     Execution
		seen    []Facts
		listing Listing
		settle  time.Duration
		now     time.Duration
		want    Recovery
	}{
		{"it is there: it was accepted", undecided, there, complete(), settleWindow, 4 * time.Minute, Recovery{Kind: RecoverFound, Name: "load-x7k2p"}},
		{"to be there needs no complete listing", undecided, there, unread, settleWindow, time.Minute, Recovery{Kind: RecoverFound, Name: "load-x7k2p"}},
		{"to be there counts after days too", undecided, there, complete(), settleWindow, 48 * time.Hour, Recovery{Kind: RecoverFound, Name: "load-x7k2p"}},
		{"a complete listing without it: it was not accepted", undecided, nil, complete(), settleWindow, 4 * time.Minute, Recovery{Kind: RecoverLost}},
		{"a complete listing decides after days too", undecided, nil, complete(), settleWindow, 48 * time.Hour, Recovery{Kind: RecoverLost}},
		{"within the settle window its absence says nothing", undecided, nil, early, settleWindow, time.Minute, Recovery{NextAt: at(78 * time.Second)}},
		{"the look after that comes with the end of the window", undecided, nil, early, settleWindow, 175 * time.Second, Recovery{NextAt: at(3 * time.Minute)}},
		{"a listing that could not be read decides nothing", undecided, nil, unread, settleWindow, 4 * time.Minute, Recovery{NextAt: at(258 * time.Second)}},
		{"a restored row may have been sent later than it knows", undecided, nil, restored, settleWindow, 4 * time.Minute, Recovery{NextAt: at(258 * time.Second)}},
		{"and is not given up for the days that passed before", undecided, nil, restored, settleWindow, 48 * time.Hour, Recovery{NextAt: at(48*time.Hour + 18*time.Second)}},
		{"a settle window after that it is decided", undecided, nil, settled, settleWindow, 4 * time.Minute, Recovery{Kind: RecoverLost}},
		{"for a day it is looked for", undecided, nil, unread, settleWindow, 24 * time.Hour, Recovery{NextAt: at(24*time.Hour + 18*time.Second)}},
		{"then it is given up, and may have run", undecided, nil, unread, settleWindow, 24*time.Hour + 1, Recovery{Kind: RecoverGiveUp}},
		{"a short window is looked through every second", undecided, nil, unread, 2 * time.Second, time.Minute, Recovery{NextAt: at(61 * time.Second)}},
		{"a long one every half minute", undecided, nil, unread, time.Hour, 2 * time.Hour, Recovery{NextAt: at(2*time.Hour + 30*time.Second)}},
		{"a first look after days decides nothing by failing", sent(), nil, unread, settleWindow, 48 * time.Hour, Recovery{NextAt: at(48*time.Hour + 18*time.Second)}},
		{"a job that is not found once decides nothing", sent(), nil, gone, settleWindow, 4 * time.Minute, Recovery{NextAt: at(258 * time.Second)}},
		{"nor the first time after days", sent(), nil, gone, settleWindow, 48 * time.Hour, Recovery{NextAt: at(48*time.Hour + 18*time.Second)}},
		{"a job that is not found again is gone, and the launch may have run", missed, nil, gone, settleWindow, 4 * time.Minute, Recovery{Kind: RecoverJobGone}},
		{"one that was not found and is there again may be a new one", missed, nil, complete(), settleWindow, 4 * time.Minute, Recovery{Kind: RecoverJobGone}},
		{"unless it shows what had ended before", missed, nil, far, settleWindow, 4 * time.Minute, Recovery{Kind: RecoverLost}},
		{"or the launch itself", missed, there, complete(), settleWindow, 4 * time.Minute, Recovery{Kind: RecoverFound, Name: "load-x7k2p"}},
	}
	for _, test := range tests {
		t.Run(strings.ReplaceAll(test.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			got := Recover(test.row, test.seen, test.listing, test.settle, kept, at(test.now))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestLost(t *testing.T) {
	t.Parallel()
	tasks := map[int]Attempt{0: {Attempt: 1}, 1: {Attempt: 1, Returns: 1}, 2: {Attempt: 2, Returns: 9}, 5: {Attempt: 1, Returns: 10}, 6: {Attempt: 1}}
	tests := []struct {
		name string
		kind RecoveryKind
		want string
	}{
		{"not accepted: its tasks go back, the eleventh time they fail", RecoverLost,
			"finished lost because \"the answer to its launch was lost and Cloud Run does not show it; it was not started\" finished +4m0s next +5m0s\n" +
				"0 pending launch_unknown due +4m1s\n1 pending launch_unknown due +4m2s\n2 pending launch_unknown due +9m0s\n" +
				"5 failed launch_unknown finished +4m0s\n6 pending launch_unknown due +4m1s"},
		{"nobody could tell: its tasks fail", RecoverGiveUp,
			"finished lost because \"the answer to its launch was lost and nobody could tell for 24 hours; it may have run\" finished +4m0s next +5m0s\n" +
				"0-2 failed launch_unknown finished +4m0s\n5-6 failed launch_unknown finished +4m0s"},
		{"its job is gone: its tasks fail", RecoverJobGone,
			"finished lost because \"the answer to its launch was lost and its job is gone; it may have run\" finished +4m0s next +5m0s\n" +
				"0-2 failed launch_unknown finished +4m0s\n5-6 failed launch_unknown finished +4m0s"},
	}
	for _, test := range tests {
		got := Lost(sent(), test.kind, tasks, at(4*time.Minute))
		if diff := cmp.Diff(test.want, show(got)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", test.name, diff)
		}
		checkMove(t, sent(), got)
	}
}

func TestNextWatch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		age  time.Duration
		want time.Duration // 0: not again
	}{
		{0, time.Minute},
		{time.Minute, time.Minute},
		{15*time.Minute - 1, time.Minute},
		{15 * time.Minute, time.Hour},
		{23 * time.Hour, time.Hour},
		{24*time.Hour - 1, time.Hour},
		{24 * time.Hour, 0},
		{240 * time.Hour, 0},
	}
	for _, test := range tests {
		next, ok := NextWatch(base(), at(test.age))
		if ok != (test.want > 0) || ok && !next.Equal(at(test.age+test.want)) || !ok && !next.IsZero() {
			t.Errorf("%v after the loss: %v, %v, want %v later", test.age, next, ok, test.want)
		}
	}
}

func TestRejected(t *testing.T) {
	t.Parallel()
	got := Rejected(sent(), "Cloud Run refused to start load: permission denied", at(time.Second))
	want := "finished rejected because \"Cloud Run refused to start load: permission denied\" finished +1s\n0-2 failed rejected finished +1s\n5-6 failed rejected finished +1s"
	if diff := cmp.Diff(want, show(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	checkMove(t, sent(), got)
}
