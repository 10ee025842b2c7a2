package store

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"cloud-run-orchestrator/internal/lifecycle"
)

// multirange writes task indexes as PostgreSQL's int4multirange, in its canonical form, as in {[0,5),[7,8)}.
func multirange(rs lifecycle.Ranges) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, r := range rs {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "[%d,%d)", r.From, r.To+1)
	}
	b.WriteByte('}')
	return b.String()
}

// parseMultirange reads what multirange writes, and refuses everything else.
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
		if err1 != nil || err2 != nil || a < 0 || b <= a || b > math.MaxInt32 || len(rs) > 0 && a <= rs[len(rs)-1].To+1 {
			return nil, fmt.Errorf("multirange %q cannot be read", s)
		}
		rs = append(rs, lifecycle.Range{From: a, To: b - 1})
	}
	if multirange(rs) != s {
		return nil, fmt.Errorf("multirange %q cannot be read", s)
	}
	return rs, nil
}
