package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"cloud-run-orchestrator/internal/api"

	"charm.land/lipgloss/v2"
)

const (
	barWidth = 32
	// plainEvery is the least time between two lines of progress where there is no terminal to draw on.
	plainEvery = 5 * time.Second
	// stuckAfter is how long nothing may change before the run is asked what it waits for.
	stuckAfter = 10 * time.Second
)

// progress shows how far a run is: a bar that moves on a terminal, a line now and then elsewhere.
type progress struct {
	w       io.Writer
	width   int // 0 is no terminal
	now     func() time.Time
	printed time.Time  // of the last plain line
	last    string     // the last plain line
	shown   bool       // a run was shown before
	counted api.Counts // of the run as it was last shown
	changed time.Time  // when the counts last changed; zero once it was said what the run waits for
	drawn   bool       // a bar stands on the line
}

func (c *console) newProgress() *progress {
	width := c.StderrWidth
	if c.Getenv("TERM") == "dumb" {
		width = 0
	}
	return &progress{w: c.Stderr, width: width, now: c.Now}
}

// show shows the run as it is now.
func (p *progress) show(run api.Run) {
	if run.FinishedAt != nil {
		return
	}
	p.explain(run)
	if p.width > 0 {
		p.draw(run)
		return
	}
	line := p.counts(run)
	if line == p.last || p.now().Sub(p.printed) < plainEvery {
		return
	}
	p.last, p.printed = line, p.now()
	fmt.Fprintln(p.w, line)
}

// explain says what a run waits for that has not moved for a while, once until it moves again. The sentences change with every look, so they are not compared.
func (p *progress) explain(run api.Run) {
	if !p.shown || run.Counts != p.counted {
		p.shown, p.counted, p.changed = true, run.Counts, p.now()
	}
	if len(run.Waiting) == 0 || p.changed.IsZero() || p.now().Sub(p.changed) < stuckAfter {
		return
	}
	p.changed = time.Time{}
	for _, waiting := range run.Waiting {
		p.say("waiting: " + waiting)
	}
}

func (p *progress) draw(run api.Run) {
	said := p.counts(run)
	if eta := p.eta(run); eta != "" {
		said += "   " + eta
	}
	width := min(barWidth, p.width-len("    ")-lipgloss.Width(said)-1)
	line := "  " + said
	if width >= 8 {
		line = "  " + bar(run, width) + "  " + said
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", cut(line, p.width-1))
	p.drawn = true
}

func bar(run api.Run, width int) string {
	full := 0
	if run.TaskCount > 0 {
		full = min(width*run.Counts.Final()/run.TaskCount, width)
	}
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

func (p *progress) counts(run api.Run) string {
	said := []string{fmt.Sprintf("%s/%s", number(run.Counts.Final()), number(run.TaskCount))}
	for _, part := range []struct {
		n    int
		word string
	}{
		{run.Counts.Running, "running"},
		{run.Counts.Dispatched, "dispatched"},
		{run.TaskCount - run.Counts.Final() - run.Counts.Running - run.Counts.Dispatched, "waiting"},
		{run.Counts.Failed, "failed"},
	} {
		if part.n > 0 {
			said = append(said, number(part.n)+" "+part.word)
		}
	}
	if run.Stopping {
		said = append(said, "stopping")
	}
	return strings.Join(said, "   ")
}

// eta extrapolates from the tasks that have ended; it is empty before there are any.
func (p *progress) eta(run api.Run) string {
	done := run.Counts.Final()
	if done == 0 || run.StartedAt == nil || run.Stopping || done >= run.TaskCount {
		return ""
	}
	passed := p.now().Sub(*run.StartedAt)
	left := time.Duration(float64(passed) / float64(done) * float64(run.TaskCount-done))
	if passed <= 0 {
		return ""
	}
	return "eta " + rough(max(left, time.Second))
}

// say prints a line that stays.
func (p *progress) say(line string) {
	p.end()
	fmt.Fprintln(p.w, clean(line))
}

// end takes the bar away.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}
