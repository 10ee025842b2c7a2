package cli

import (
	"io"
	"strings"

	"charm.land/lipgloss/v2"
)

const (
	columnGap    = "  "
	minFlexWidth = 12
)

// column describes one column of a table.
type column struct {
	name  string
	right bool                // aligned right, for numbers
	flex  bool                // cut first when the terminal is too narrow
	paint func(string) string // colours a cell; nil leaves it
}

// table prints rows in columns. Rows may be flushed in pieces: the columns then stay where they are, or grow.
type table struct {
	columns []column
	rows    [][]string
	widths  []int
	limit   int // columns of the terminal, 0 is no limit
}

func newTable(limit int, columns ...column) *table {
	t := &table{columns: columns, limit: limit}
	for _, col := range columns {
		t.widths = append(t.widths, lipgloss.Width(col.name))
	}
	t.rows = append(t.rows, nil) // the header
	return t
}

// add takes one cell for each column; they are cleaned here.
func (t *table) add(cells ...string) {
	row := make([]string, len(t.columns))
	for i, cell := range cells {
		row[i] = clean(cell)
		t.widths[i] = max(t.widths[i], lipgloss.Width(row[i]))
	}
	t.rows = append(t.rows, row)
}

// flush prints the rows that were added since the last flush, before the first of them the header.
func (t *table) flush(w io.Writer) error {
	t.fit()
	var b strings.Builder
	for _, row := range t.rows {
		t.line(&b, row)
	}
	t.rows = t.rows[:0]
	_, err := io.WriteString(w, b.String())
	return err
}

// fit takes from the flexible column what the terminal lacks.
func (t *table) fit() {
	total := (len(t.widths) - 1) * len(columnGap)
	for _, w := range t.widths {
		total += w
	}
	if t.limit == 0 || total <= t.limit {
		return
	}
	for i, col := range t.columns {
		if col.flex {
			t.widths[i] = max(t.widths[i]-(total-t.limit), min(t.widths[i], minFlexWidth))
		}
	}
}

// line prints one row; nil is the header.
func (t *table) line(b *strings.Builder, row []string) {
	var out string
	for i, col := range t.columns {
		cell := col.name
		if row != nil {
			cell = cut(row[i], t.widths[i])
		}
		space := strings.Repeat(" ", t.widths[i]-lipgloss.Width(cell))
		if row != nil && col.paint != nil {
			cell = col.paint(cell)
		}
		if i > 0 {
			out += columnGap
		}
		if col.right {
			out += space + cell
		} else {
			out += cell + space
		}
	}
	b.WriteString(strings.TrimRight(out, " "))
	b.WriteByte('\n')
}

// cut shortens a text to a width, and shows that it did.
func cut(s string, width int) string {
	if lipgloss.Width(s) <= width {
		return s
	}
	var b strings.Builder
	used := 0
	for _, r := range s {
		w := lipgloss.Width(string(r))
		if used+w > width-1 {
			break
		}
		b.WriteRune(r)
		used += w
	}
	return b.String() + "…"
}

// paintStatus colours a status where colour may be shown; the word says the same without it.
func (c *console) paintStatus() func(string) string {
	if c.StdoutWidth == 0 || !c.mayColour() {
		return nil
	}
	return func(s string) string {
		status, _, _ := strings.Cut(s, " ")
		colour, ok := map[string]string{"success": "2", "failed": "1", "cancelled": "3", "running": "4"}[status]
		if !ok {
			return s
		}
		return lipgloss.NewStyle().Foreground(lipgloss.Color(colour)).Render(s)
	}
}

func (c *console) mayColour() bool { return c.Getenv("NO_COLOR") == "" && c.Getenv("TERM") != "dumb" }

// painted is a status as it stands in a sentence.
func (c *console) painted(status string) string {
	if paint := c.paintStatus(); paint != nil {
		return paint(clean(status))
	}
	return clean(status)
}
