package workflow

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration that JSON and YAML write as 90s, 10m, 1h30m or 7d: whole seconds, from 0 to 3650d.
type Duration time.Duration

const (
	day         = 24 * time.Hour
	maxDuration = 3650 * day
)

// ParseDuration reads 90s, 10m, 1h30m or 7d: whole days, hours, minutes and seconds, each at most once and in this order.
func ParseDuration(s string) (Duration, error) {
	units := []struct {
		letter byte
		length time.Duration
	}{{'d', day}, {'h', time.Hour}, {'m', time.Minute}, {'s', time.Second}}
	var total time.Duration
	rest := s
	for rest != "" {
		end := strings.IndexFunc(rest, func(c rune) bool { return c < '0' || c > '9' })
		n, err := strconv.Atoi(rest[:max(end, 0)])
		if err != nil || end > 9 {
			return 0, notADuration(s)
		}
		for len(units) > 0 && units[0].letter != rest[end] {
			units = units[1:]
		}
		if len(units) == 0 {
			return 0, notADuration(s)
		}
		if n > int((maxDuration-total)/units[0].length) {
			return 0, fmt.Errorf("%s is too long; at most 3650d are allowed", quoted(s))
		}
		total += time.Duration(n) * units[0].length
		units, rest = units[1:], rest[end+1:]
	}
	if s == "" {
		return 0, notADuration(s)
	}
	return Duration(total), nil
}

func notADuration(s string) error {
	return fmt.Errorf("%s is not a duration; write 90s, 10m, 1h30m or 7d", quoted(s))
}

// String is the one spelling of a duration: whole days as 7d, below two minutes as 90s, else as 1h30m.
// A part of a second, which ParseDuration never gives, is shown as time.Duration shows it.
func (d Duration) String() string {
	t := time.Duration(d)
	switch {
	case t < 0 || t%time.Second != 0:
		return t.String()
	case t != 0 && t%day == 0:
		return strconv.Itoa(int(t/day)) + "d"
	case t < 2*time.Minute && t%time.Minute != 0 || t == 0:
		return strconv.Itoa(int(t/time.Second)) + "s"
	}
	var b strings.Builder
	for _, part := range []struct {
		n    time.Duration
		unit string
	}{{t / time.Hour, "h"}, {t % time.Hour / time.Minute, "m"}, {t % time.Minute / time.Second, "s"}} {
		if part.n > 0 {
			b.WriteString(strconv.Itoa(int(part.n)) + part.unit)
		}
	}
	return b.String()
}

// MarshalText refuses what ParseDuration could not read again.
func (d Duration) MarshalText() ([]byte, error) {
	t := time.Duration(d)
	if t < 0 || t > maxDuration || t%time.Second != 0 {
		return nil, fmt.Errorf("duration %s: only whole seconds from 0 to 3650d can be written", t)
	}
	return []byte(d.String()), nil
}

// UnmarshalText is ParseDuration.
func (d *Duration) UnmarshalText(text []byte) error {
	read, err := ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = read
	return nil
}
