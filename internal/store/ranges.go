package store

import (
	"fmt"
	"strconv"
	"strings"

	"cloud-run-orchestrator/internal/lifecycle"
)

// multirange writes task indexes as PostgreSQL's int4multirange.
func multirange(rs lifecycle.Ranges) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, r := range rs {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "[%d,%d]", r.From, r.To)
	}
	b.WriteByte('}')
	return b.String()
}

// parseMultirange reads PostgreSQL's canonical form, as in {[0,5),[7,8)}.
func parseMultirange(s string) (lifecycle.Ranges, error) {
	var rs lifecycle.Ranges
	for part := range strings.SplitSeq(strings.Trim(s, "{}"), ")") {
		part = strings.TrimPrefix(strings.TrimPrefix(part, ","), "[")
		if part == "" {
			continue
		}
		from, to, _ := strings.Cut(part, ",")
		a, err1 := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("multirange %q cannot be read", s)
		}
		rs = append(rs, lifecycle.Range{From: a, To: b - 1})
	}
	return rs, nil
}
