package lifecycle

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRanges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		indexes []int
		want    Ranges
		text    string
	}{
		{"nothing", nil, nil, ""},
		{"one", []int{7}, Ranges{{7, 7}}, "7"},
		{"neighbours are one range", []int{0, 1, 2, 3, 4}, Ranges{{0, 4}}, "0-4"},
		{"a gap parts them", []int{0, 1, 2, 3, 4, 7}, Ranges{{0, 4}, {7, 7}}, "0-4,7"},
		{"any order", []int{7, 2, 0, 1}, Ranges{{0, 2}, {7, 7}}, "0-2,7"},
		{"repeated ones count once", []int{3, 3, 4, 3}, Ranges{{3, 4}}, "3-4"},
		{"the last task of the largest step", []int{999_999}, Ranges{{999_999, 999_999}}, "999999"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			given := slices.Clone(test.indexes)
			got := RangesOf(test.indexes...)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if !slices.Equal(given, test.indexes) {
				t.Errorf("the caller's slice was changed to %v", test.indexes)
			}
			if got.String() != test.text {
				t.Errorf("text %q, want %q", got, test.text)
			}
			read, err := ParseRanges(test.text)
			if diff := cmp.Diff(test.want, read); err != nil || diff != "" {
				t.Errorf("read back: %v (-want +got)\n%s", err, diff)
			}
		})
	}
}

func TestRangesOfOneIndex(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(RangesOf(5), One(5)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRangesAllGivesPositionAndIndex(t *testing.T) {
	t.Parallel()
	rs := Ranges{{2, 4}, {7, 7}, {10, 11}}
	var got [][2]int
	for pos, index := range rs.All() {
		got = append(got, [2]int{pos, index})
	}
	want := [][2]int{{0, 2}, {1, 3}, {2, 4}, {3, 7}, {4, 10}, {5, 11}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if rs.Len() != len(want) {
		t.Errorf("Len %d, want %d", rs.Len(), len(want))
	}
	for pos := range rs.All() {
		if pos == 1 {
			break
		}
		if pos > 1 {
			t.Fatal("it goes on after the loop has ended")
		}
	}
}

func TestParseRangesRefusesWhatStringNeverWrites(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		" ", ",", "0,", ",0", "a", "-", "-1", "1-", "1--2", "3-1", "0-4,", "0-4;7", "0 - 4", "+1", "01", "0x1", "1-1",
		"7,0-4", "0-4,5", "0-4,4", "0,0", "0-4,2-6", "1.5", "١", "2147483647", "0-2147483647", "9223372036854775807", "99999999999999999999",
	} {
		if rs, err := ParseRanges(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v, %v", text, rs, err)
		}
	}
}

func FuzzParseRanges(f *testing.F) {
	for _, seed := range []string{"", "0", "0-4,7", "0-4,5", "7,0", "1-1", "-1", "2147483646", "2147483647", "0-2147483646,5", "9223372036854775807"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rs, err := ParseRanges(text)
		if err != nil {
			if !errors.Is(err, ErrInvalid) || rs != nil {
				t.Fatalf("%q: %v, %v", text, rs, err)
			}
			return
		}
		if rs.String() != text {
			t.Fatalf("%q is written back as %q", text, rs)
		}
		last := math.MinInt
		for i, r := range rs {
			if r.From < 0 || r.To < r.From || i > 0 && r.From-1 <= last {
				t.Fatalf("%q: range %d of %v is out of order", text, i, rs)
			}
			last = r.To
		}
		if n := rs.Len(); n >= 0 && n <= 10_000 {
			var all []int
			for _, index := range rs.All() {
				all = append(all, index)
			}
			if diff := cmp.Diff(rs, RangesOf(all...)); diff != "" {
				t.Fatalf("%q does not survive its indexes (-want +got)\n%s", text, diff)
			}
		}
	})
}
