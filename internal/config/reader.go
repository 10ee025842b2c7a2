package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Setting is one setting as `orchestrator config` shows it.
type Setting struct {
	Name   string // the variable
	Value  string // what is in effect, secrets hidden; empty where there is none
	Source string // FromEnvironment or FromDefault
}

// Where a setting's value comes from.
const (
	FromEnvironment = "environment"
	FromDefault     = "default"
)

// reader reads variables one after the other; it collects what it saw and what was wrong.
type reader struct {
	getenv   func(string) string
	settings []Setting
	errs     []error
}

func (r *reader) errorf(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf(format, args...))
}

// refuse reports a value that is not allowed.
func (r *reader) refuse(name, value, allowed string) {
	r.errorf("%s is %q; it must be %s", name, value, allowed)
}

func (r *reader) text(name, byDefault string) string {
	value, source := r.getenv(name), FromEnvironment
	if value == "" {
		value, source = byDefault, FromDefault
	}
	r.settings = append(r.settings, Setting{Name: name, Value: value, Source: source})
	return value
}

// effective replaces the value shown for a setting by the one that was derived from it.
func (r *reader) effective(name, value string) {
	i := slices.IndexFunc(r.settings, func(s Setting) bool { return s.Name == name })
	r.settings[i].Value = value
}

func (r *reader) oneOf(name, byDefault string, allowed ...string) string {
	value := r.text(name, byDefault)
	if value != byDefault && !slices.Contains(allowed, value) {
		last := len(allowed) - 1
		r.refuse(name, value, strings.Join(allowed[:last], ", ")+" or "+allowed[last])
		return byDefault
	}
	return value
}

func (r *reader) integer(name string, byDefault, low, high int) int {
	value := r.text(name, strconv.Itoa(byDefault))
	n, err := strconv.Atoi(value)
	if err != nil || n < low || n > high {
		r.refuse(name, value, fmt.Sprintf("a whole number from %d to %d", low, high))
		return byDefault
	}
	return n
}

// duration gives 0 for a wrong value, so that no comparison with it adds a second complaint.
func (r *reader) duration(name string, byDefault time.Duration) time.Duration {
	value := r.text(name, brief(byDefault))
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 || d > 24*time.Hour {
		r.refuse(name, value, "a time above 0 and at most 24h, as in 30s or 3m")
		return 0
	}
	return d
}

// brief writes whole minutes and hours without their zeros: 3m, not 3m0s.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (r *reader) boolean(name string) bool {
	value := r.text(name, "false")
	b, err := strconv.ParseBool(value)
	if err != nil {
		r.refuse(name, value, "true or false")
	}
	return b
}

func (r *reader) list(name string) []string {
	value := r.text(name, "")
	if value == "" {
		return nil
	}
	items := strings.Split(value, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
		if items[i] == "" || strings.ContainsAny(items[i], " /") {
			r.refuse(name, value, "host names with commas between them, as in orchestrator,build.example.com")
			return nil
		}
	}
	return items
}

// address reads a host:port. Port 0 asks the system for a free one.
func (r *reader) address(name, byDefault string) string {
	value := r.text(name, byDefault)
	if value == "" {
		return ""
	}
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		r.refuse(name, value, "a host:port, as in localhost:8080")
		return byDefault
	}
	return value
}

func (r *reader) logLevel() slog.Level {
	var level slog.Level
	value := r.oneOf("LOG_LEVEL", "info", "debug", "info", "warn", "error")
	if err := level.UnmarshalText([]byte(value)); err != nil {
		r.errorf("LOG_LEVEL: %w", err)
	}
	return level
}

func (r *reader) url() (value string, set bool) {
	const name, byDefault = "ORCHESTRATOR_URL", "http://localhost:8080"
	value = r.text(name, byDefault)
	u, err := url.Parse(strings.ReplaceAll(value, "{function}", "function"))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		r.refuse(name, value, "an http or https address, as in http://localhost:8080; {function} in it stands for the function's name")
		return byDefault, false
	}
	return value, r.getenv(name) != ""
}
