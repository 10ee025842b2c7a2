package workflow

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Tolerate says how many tasks of a step may end failed: a number, or a percentage rounded down. JSON and YAML write 3 or "1%".
// At most one of its fields is set.
type Tolerate struct {
	Tasks   int     // 0..1,000,000
	Percent float64 // 0..100, at most four digits after the point
}

// percentUnits make a percentage a whole number: four digits after the point.
const percentUnits = 10_000

// Of is the number of failed tasks that a step of n tasks bears.
func (t Tolerate) Of(n int) int {
	if t.Percent > 0 {
		return n * int(math.Round(t.Percent*percentUnits)) / (100 * percentUnits)
	}
	return t.Tasks
}

// String is 3 or 1%.
func (t Tolerate) String() string {
	if t.Percent > 0 {
		return strconv.FormatFloat(t.Percent, 'f', -1, 64) + "%"
	}
	return strconv.Itoa(t.Tasks)
}

// ParseTolerate reads 3 or 1%. A percentage of 0 is the number 0.
func ParseTolerate(s string) (Tolerate, error) {
	number, isPercent := strings.CutSuffix(s, "%")
	whole, fraction, hasPoint := strings.Cut(number, ".")
	shown := strings.Trim(quoted(s), `"`)
	switch {
	case !isDigits(whole) || hasPoint && (!isPercent || !isDigits(fraction)):
		return Tolerate{}, fmt.Errorf(`%s is neither a number of tasks nor a percentage; write 3 or "1%%"`, shown)
	case len(fraction) > 4:
		return Tolerate{}, fmt.Errorf("%s has more than four digits after the point", shown)
	}
	if isPercent {
		percent, err := strconv.ParseFloat(number, 64)
		if err != nil || percent > 100 {
			return Tolerate{}, fmt.Errorf("%s is out of range; write 0%% to 100%%", shown)
		}
		return Tolerate{Percent: percent}, nil
	}
	tasks, err := strconv.Atoi(number)
	if err != nil || tasks > MaxTasks {
		return Tolerate{}, fmt.Errorf("%s is out of range; write 0 to %s", shown, grouped(MaxTasks))
	}
	return Tolerate{Tasks: tasks}, nil
}

// MarshalJSON writes 3 or "1%".
func (t Tolerate) MarshalJSON() ([]byte, error) {
	if t.Percent > 0 {
		return json.Marshal(t.String())
	}
	return json.Marshal(t.Tasks)
}

// UnmarshalJSON reads 3 or "1%".
func (t *Tolerate) UnmarshalJSON(data []byte) error {
	text := string(data)
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
	}
	read, err := ParseTolerate(text)
	if err != nil {
		return fmt.Errorf("tolerate: %w", err)
	}
	*t = read
	return nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
