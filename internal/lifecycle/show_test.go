package lifecycle

import (
	"fmt"
	"strings"
	"time"
)

// base is the moment to which all times of these tests are relative.
func base() time.Time { return time.Date(2026, 1, 31, 2, 0, 0, 0, time.UTC) }

// at is so long after base.
func at(d time.Duration) time.Time { return base().Add(d) }

// ptr is so long after base, for fields that may be unset.
func ptr(d time.Duration) *time.Time {
	t := at(d)
	return &t
}

func number(n int) *int { return &n }

const settleWindow = 3 * time.Minute

// show writes a move in words: the execution on the first line, then its tasks. Whatever is unset is left out, times are relative to base.
func show(m Move) string {
	var b strings.Builder
	b.WriteString(string(m.Status))
	word := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, " %s%s", name, value)
		}
	}
	word("", string(m.Outcome))
	word("because ", quoted(m.Reason))
	word("image ", m.Image)
	word("log ", m.LogURI)
	if p := m.Progress; p != (Progress{}) {
		word("counts ", fmt.Sprintf("%d/%d/%d/%d/%d", p.Running, p.Succeeded, p.Failed, p.Cancelled, p.Retried))
	}
	word("started ", offset(m.StartedAt))
	word("finished ", offset(m.FinishedAt))
	word("next ", offset(m.NextLookAt))
	word("missed ", offset(m.NotFoundAt))
	for _, v := range m.Tasks {
		b.WriteString("\n" + showVerdict(v))
	}
	return b.String()
}

func showVerdict(v Verdict) string {
	text := Ranges{v.Indexes}.String() + " " + string(v.Status)
	if v.Reason != "" {
		text += " " + v.Reason
	}
	if v.ExitCode != nil {
		text += fmt.Sprintf(" exit %d", *v.ExitCode)
	}
	if v.Signal != nil {
		text += fmt.Sprintf(" signal %d", *v.Signal)
	}
	if v.NextAttempt {
		text += " next attempt"
	}
	for _, t := range []struct {
		name string
		at   *time.Time
	}{{"due", v.DueAt}, {"started", v.StartedAt}, {"finished", v.FinishedAt}} {
		if t.at != nil {
			text += " " + t.name + " " + offset(t.at)
		}
	}
	return text
}

func quoted(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf("%q", s)
}

func offset(t *time.Time) string {
	if t == nil {
		return ""
	}
	d := t.Sub(base())
	if d < 0 {
		return d.String()
	}
	return "+" + d.String()
}
