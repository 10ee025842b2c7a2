package lifecycle

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
)

// maxIndex is the largest index of a task: the database keeps it as a four-byte integer, and the end of a range is the index after its last.
const maxIndex = math.MaxInt32 - 1

// Range is a closed range of task indexes.
type Range struct{ From, To int }

// Ranges is a set of task indexes: sorted, apart from each other, never adjacent. Its text form is 0-4,7.
type Ranges []Range

// One is the set of a single index.
func One(index int) Ranges { return Ranges{{index, index}} }

// RangesOf makes a set of indexes in any order; repeated ones count once.
func RangesOf(indexes ...int) Ranges {
	sorted := slices.Clone(indexes)
	slices.Sort(sorted)
	var rs Ranges
	for _, i := range sorted {
		if n := len(rs); n > 0 && i <= rs[n-1].To+1 {
			rs[n-1].To = i
			continue
		}
		rs = append(rs, Range{i, i})
	}
	return rs
}

// Len is the number of indexes.
func (rs Ranges) Len() int {
	n := 0
	for _, r := range rs {
		n += r.To - r.From + 1
	}
	return n
}

// All gives position and index, in order: the position is the CLOUD_RUN_TASK_INDEX of the index's task.
func (rs Ranges) All() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		pos := 0
		for _, r := range rs {
			for i := r.From; i <= r.To; i++ {
				if !yield(pos, i) {
					return
				}
				pos++
			}
		}
	}
}

// List are the indexes, in order.
func (rs Ranges) List() []int {
	list := make([]int, 0, rs.Len())
	for _, index := range rs.All() {
		list = append(list, index)
	}
	return list
}

func (rs Ranges) String() string {
	parts := make([]string, len(rs))
	for i, r := range rs {
		if r.From == r.To {
			parts[i] = strconv.Itoa(r.From)
		} else {
			parts[i] = strconv.Itoa(r.From) + "-" + strconv.Itoa(r.To)
		}
	}
	return strings.Join(parts, ",")
}

// ParseRanges reads what String writes, and refuses everything else.
func ParseRanges(s string) (Ranges, error) {
	if s == "" {
		return nil, nil
	}
	var rs Ranges
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(part, "-")
		a, err := strconv.Atoi(from)
		b := a
		if err == nil && isRange {
			b, err = strconv.Atoi(to)
		}
		if err != nil || a < 0 || b < a || b > maxIndex {
			return nil, fmt.Errorf("%q is not a range of task indexes; write 7 or 0-4: %w", part, ErrInvalid)
		}
		rs = append(rs, Range{a, b})
	}
	if rs.String() != s || !slices.Equal(rs, rs.normal()) {
		return nil, fmt.Errorf("%q is not in order; write ranges sorted and joined, as in 0-4,7: %w", s, ErrInvalid)
	}
	return rs, nil
}

// normal joins neighbours; it equals rs when rs is already sorted and apart.
func (rs Ranges) normal() Ranges {
	var out Ranges
	for _, r := range rs {
		if n := len(out); n > 0 && r.From <= out[n-1].To+1 {
			out[n-1].To = max(out[n-1].To, r.To)
			continue
		}
		out = append(out, r)
	}
	return out
}
