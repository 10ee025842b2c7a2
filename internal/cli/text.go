package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// unknown stands for a time or a name that we do not know.
const unknown = "–"

// clean makes text from outside harmless on a terminal: a line, without control characters and without characters that turn the direction of writing.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case dangerous(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
}

// dangerous characters steer a terminal or hide what is written.
func dangerous(r rune) bool {
	return unicode.IsControl(r) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) || r == 0x2028 || r == 0x2029
}

// cleanLines cleans a text of several lines, the empty ones left out.
func cleanLines(s string) []string {
	var out []string
	for line := range strings.Lines(s) {
		if line = strings.TrimRight(clean(line), " "); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// short is the last part of a resource's full name.
func short(full string) string {
	if full == "" {
		return unknown
	}
	return full[strings.LastIndexByte(full, '/')+1:]
}

// number writes 1234567 as 1,234,567.
func number(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// plural is "1 task" or "5 tasks".
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return number(n) + " " + word + "s"
}

// rough is a duration in its largest unit: 12 s, 41 m, 6 h, 3 d.
func rough(d time.Duration) string {
	switch {
	case d < time.Second:
		return "<1 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d m", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return number(int(d.Hours()/24)) + " d"
}

// exact is a duration as a result tells it: 11.8 s, 4 m 10 s, 2 h 5 m.
func exact(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", max(d, 0).Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d m %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d m", int(d.Hours()), int(d.Minutes())%60)
}

func (c *console) ago(t time.Time) string {
	d := c.Now().Sub(t)
	if d < time.Second {
		return "now"
	}
	return rough(d) + " ago"
}

// took is the time between two moments, up to now where the second has not come.
func (c *console) took(from, to *time.Time) (d time.Duration, known bool) {
	switch {
	case from == nil:
		return 0, false
	case to == nil:
		return max(c.Now().Sub(*from), 0), true
	}
	return max(to.Sub(*from), 0), true
}
