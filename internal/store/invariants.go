package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Violation is a rule of the data that does not hold.
type Violation struct {
	Name   string // the rule, as a sentence
	Detail string // what breaks it
}

// rule is something that must be true of the data after every transaction. Its query returns one text for each thing that breaks it.
// Each rule reads what it needs in a few scans, whatever the size. Hardly one follows from the others, so that a fault is told once.
type rule struct{ name, sql string }

var invariants = slices.Concat(schemaRules, taskRules, ledgerRules, statusRules)

// shown is how many things that break a rule are told; the rest is counted.
const shown = 10

// Invariants lists the rules of the data that are broken: none, in a sound database. All rules see one snapshot, since ticks go on meanwhile.
// It reads everything, so it is for tests and for doctor; ctx bounds it.
func (s *Store) Invariants(ctx context.Context) (list []Violation, err error) {
	err = s.inSnapshot(ctx, func(t tx) error {
		list, err = broken(ctx, t)
		return err
	})
	return list, wrap(err, "check the rules of the data")
}

// Rules is the number of rules that Invariants checks.
func Rules() int { return len(invariants) }

func broken(ctx context.Context, t tx) (list []Violation, err error) {
	for _, r := range invariants {
		// Materialized, so that the limit does not tempt the planner into a plan for the first rows: there are none, mostly.
		sql := fmt.Sprintf("WITH broken(what) AS MATERIALIZED (%s)\nSELECT what, count(*) OVER () FROM broken ORDER BY what LIMIT %d", r.sql, shown)
		rows, err := t.Query(ctx, sql)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
		var what []string
		var one string
		var all int
		_, err = pgx.ForEachRow(rows, []any{&one, &all}, func() error {
			what = append(what, one)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
		if all > len(what) {
			what = append(what, fmt.Sprintf("and %d more", all-len(what)))
		}
		if all > 0 {
			list = append(list, Violation{r.name, strings.Join(what, ", ")})
		}
	}
	return list, nil
}

const longStatementsSQL = `SET LOCAL statement_timeout = '10min'`

// inSnapshot runs f in a transaction that changes nothing and sees one state of the data. Its statements may take long.
func (s *Store) inSnapshot(ctx context.Context, f func(tx) error) error {
	return s.inTxOf(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(t tx) error {
		if _, err := t.Exec(ctx, longStatementsSQL); err != nil {
			return err
		}
		return f(t)
	})
}
