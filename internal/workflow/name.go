package workflow

import (
	"fmt"
	"strings"
)

// What names are made of, for messages.
const (
	labelRule   = "lower-case letters, digits and hyphens, beginning with a letter and not ending with a hyphen, at most 63 characters"
	nameRule    = labelRule + "; and not " + reserved + ", which is an address of the functions"
	wordRule    = "lower-case letters, digits and underscores, beginning with a letter, at most 63 characters"
	projectRule = "ids such as my-gcp-project"
	regionRule  = "names such as us-central1"
)

// reserved is no workflow's name, since GET /workflows/health tells whether the function is there.
const reserved = "health"

// ValidName is nil for a name that a workflow may have, else an error that says what is allowed.
func ValidName(name string) error {
	if isName(name) {
		return nil
	}
	return fmt.Errorf("%s cannot be a workflow's name; allowed are %s", quoted(name), nameRule)
}

func isName(s string) bool { return isLabel(s) && s != reserved }

// isLabel: [a-z]([-a-z0-9]*[a-z0-9])?, at most 63. Workflows, jobs and containers are named so.
func isLabel(s string) bool {
	return isWordWith(s, '-') && s[len(s)-1] != '-'
}

// isWord: [a-z][a-z0-9_]*, at most 63. Steps and params are named so.
func isWord(s string) bool {
	return isWordWith(s, '_')
}

func isWordWith(s string, extra rune) bool {
	return len(s) >= 1 && len(s) <= 63 && isLower(rune(s[0])) && strings.IndexFunc(s, func(c rune) bool {
		return !isLower(c) && !isDigit(c) && c != extra
	}) < 0
}

// isEnvName: [A-Za-z_][A-Za-z0-9_]*.
func isEnvName(s string) bool {
	return s != "" && !isDigit(rune(s[0])) && strings.IndexFunc(s, func(c rune) bool {
		return !isLower(c) && !(c >= 'A' && c <= 'Z') && !isDigit(c) && c != '_'
	}) < 0
}

// isProject takes what may be the id or number of a project, also of one that belongs to a domain (example.com:my-project).
func isProject(s string) bool {
	domain, id, found := strings.Cut(s, ":")
	if !found {
		domain, id = "", s
	}
	allowed := func(c rune) bool { return isLower(c) || isDigit(c) || c == '-' }
	return len(s) <= 63 && id != "" && strings.Trim(id, "-") == id &&
		strings.IndexFunc(id, func(c rune) bool { return !allowed(c) }) < 0 &&
		strings.IndexFunc(domain, func(c rune) bool { return !allowed(c) && c != '.' }) < 0 && (domain != "" || !found)
}

// isRegion takes what may be a region: us-central1, not us-central1-a.
func isRegion(s string) bool {
	area, rest, found := strings.Cut(s, "-")
	place := strings.TrimRight(rest, "0123456789")
	notLower := func(c rune) bool { return !isLower(c) }
	return found && len(s) <= 63 && area != "" && place != "" && place != rest &&
		strings.IndexFunc(area, notLower) < 0 && strings.IndexFunc(place, notLower) < 0
}

func isLower(c rune) bool { return c >= 'a' && c <= 'z' }
func isDigit(c rune) bool { return c >= '0' && c <= '9' }

// Nearest is the name among those that exist which was probably meant; ok is false when none is close. Case does not count.
func Nearest(name string, among []string) (nearest string, ok bool) {
	best := 0
	for _, candidate := range among {
		most := min((min(len(name), len(candidate))+1)/3, 3)
		if abs(len(name)-len(candidate)) > most {
			continue
		}
		d := distance(strings.ToLower(name), strings.ToLower(candidate))
		if d <= most && (!ok || d < best) {
			nearest, best, ok = candidate, d, true
		}
	}
	return nearest, ok
}

// distance is the number of letters to insert, drop, replace or swap with their neighbour to make b of a.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// didYouMean ends a message: a list of what there is, and what was probably meant.
func didYouMean(name string, among []string) string {
	if nearest, ok := Nearest(name, among); ok {
		return fmt.Sprintf("; did you mean %q?", nearest)
	}
	return ""
}
