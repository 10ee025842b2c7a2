package store

import (
	"strings"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// everyState has a thing of every kind in every state: what the breaks below break.
func everyState(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	ctx := t.Context()
	f.launched(3) // run 1: a task failed
	for i, x := range f.claimLooks(3) {
		_, err := f.RecordMoves(ctx, []lifecycle.Move{endOf(x, i > 0, f.now())}, nil)
		f.must(err)
	}
	chain := f.runOf( // run 2: one step failed, one skipped for it, one ready, one pending
		NewStep{Name: "bad", Job: testJob, TaskCount: 1}, NewStep{Name: "skipped", Job: testJob, TaskCount: 1, Needs: []int{0}},
		NewStep{Name: "ready", Job: testJob, TaskCount: 1}, NewStep{Name: "pending", Job: testJob, TaskCount: 1, Needs: []int{2}})
	_, err := f.Unblock(ctx, f.now(), 10)
	f.must(err)
	_, err = f.Expand(ctx, Expandable{RunID: chain, TaskCount: 1}, 1, nil)
	f.must(err)
	f.pack()
	f.name(f.claimPlanned(1, time.Minute)...)
	_, err = f.RecordMoves(ctx, []lifecycle.Move{endOf(f.claimLooks(1)[0], false, f.now())}, nil)
	f.must(err)
	_, err = f.FinishSteps(ctx, f.now(), 10)
	f.must(err)
	_, err = f.Unblock(ctx, f.now(), 10)
	f.must(err)
	_, err = f.StartRuns(ctx, f.now(), 10)
	f.must(err)
	_, err = f.FinishRuns(ctx, f.now(), 10)
	f.must(err)
	stopped := f.run(2) // run 3: cancelled before it was sent
	_, err = f.StopRun(ctx, stopped, lifecycle.Cancelled, "enough", "test")
	f.must(err)
	_, err = f.CancelPending(ctx, f.now(), 10)
	f.must(err)
	_, err = f.FinishSteps(ctx, f.now(), 10)
	f.must(err)
	_, err = f.FinishRuns(ctx, f.now(), 10)
	f.must(err)
	f.run(7) // run 4: task 0 lost and back, 1 launching, 2 launched, 3 running, the others planned
	f.pack()
	sent := f.claimPlanned(4, 0)
	f.lose(sent[0])
	f.name(sent[2:]...)
	for _, x := range f.claimLooks(2) {
		if x.ID != sent[3].ID {
			continue
		}
		later := f.now()
		_, err = f.RecordMoves(ctx, []lifecycle.Move{{Row: x, Status: lifecycle.Running, NextLookAt: &later,
			Tasks: []lifecycle.Verdict{{Indexes: x.Indexes[0], Status: lifecycle.Running}}}}, nil)
		f.must(err)
	}
	f.must(f.RecordOrphan(ctx, sent[0].ID, nameOf(sent[0].ID), false))
	f.runOf(NewStep{Name: "main", Job: testJob, TaskCount: 1}) // run 5: pending
	return f
}

func (f *fixture) claimLooks(n int) []lifecycle.Execution {
	f.t.Helper()
	list, err := f.ClaimDueLooks(f.t.Context(), Claim{Token: uuid.Must(uuid.NewV7()), Length: time.Minute, Limit: n, Due: f.now()})
	f.must(err)
	return list
}

// lose ends a row whose answer was lost, and sends its tasks back.
func (f *fixture) lose(row ToSend) {
	f.t.Helper()
	unknown, err := f.ClaimUnknown(f.t.Context(), Claim{Token: uuid.Must(uuid.NewV7()), Length: time.Minute, Limit: 100, Due: f.now()})
	f.must(err)
	for _, x := range unknown {
		if x.ID == row.ID {
			_, err := f.RecordMoves(f.t.Context(), []lifecycle.Move{lifecycle.Lost(x, lifecycle.RecoverLost, nil, f.now())}, nil)
			f.must(err)
		}
	}
}

const (
	anExecution = `(SELECT id FROM executions WHERE status = '%' ORDER BY id LIMIT 1)`
	anyRun      = `(SELECT id FROM runs WHERE number = %)`
)

func one(status string) string { return strings.Replace(anExecution, "%", status, 1) }
func run(n string) string      { return strings.Replace(anyRun, "%", n, 1) }

// unguarded takes the constraints of a table away and leaves them as a copy from elsewhere might have them: there and called valid, yet broken.
// Triggers are off meanwhile, as where a table is loaded from a dump.
func unguarded(t *testing.T, tx pgx.Tx, statements ...string) {
	t.Helper()
	rows, err := tx.Query(t.Context(), `SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
		       format('ALTER TABLE %s ADD CONSTRAINT %I %s NOT VALID', conrelid::regclass, conname, pg_get_constraintdef(oid))
		FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	var drop, add, away, back string
	if _, err := pgx.ForEachRow(rows, []any{&drop, &add}, func() error {
		away, back = away+drop+";", back+add+";"
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	exec(t, tx, away)
	exec(t, tx, `SET LOCAL session_replication_role = replica`)
	for _, sql := range statements {
		exec(t, tx, sql)
	}
	exec(t, tx, `SET LOCAL session_replication_role = origin`)
	exec(t, tx, back)
	exec(t, tx, `UPDATE pg_constraint SET convalidated = true WHERE NOT convalidated`)
}

func exec(t *testing.T, tx pgx.Tx, sql string) {
	t.Helper()
	if tag, err := tx.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	} else if tag.Update() && tag.RowsAffected() == 0 {
		t.Fatalf("%s: it changes nothing", sql)
	}
}

func TestEachRuleIsBrokenByItsOwnFaultAlone(t *testing.T) {
	f := everyState(t)
	conn, err := f.pool.Acquire(t.Context())
	f.must(err)
	defer conn.Release()
	check := func(t *testing.T, tt pgx.Tx) (names []string) {
		t.Helper()
		list, err := broken(t.Context(), tx{tt})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range list {
			t.Logf("%s: %s", v.Name, v.Detail)
			names = append(names, v.Name)
		}
		return names
	}
	seen := map[string]bool{}
	for _, b := range append(dataBreaks, schemaBreaks...) {
		seen[b.rule] = true
		t.Run(b.rule, func(t *testing.T) {
			tt, err := conn.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tt.Rollback(t.Context()) }()
			if b.schema {
				exec(t, tt, b.sql[0])
			} else {
				unguarded(t, tt, b.sql...)
			}
			want := []string{b.rule}
			if b.also != "" {
				want = append(want, b.also)
			}
			if diff := cmp.Diff(want, check(t, tt)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
	for _, r := range invariants {
		if !seen[r.name] {
			t.Errorf("nothing breaks the rule that %s", r.name)
		}
	}
}

func TestInvariantsSeeOneStateOfTheData(t *testing.T) {
	f := newFixture(t)
	f.must(f.inSnapshot(t.Context(), func(s tx) error {
		var before, after int
		f.must(s.QueryRow(t.Context(), `SELECT count(*) FROM runs`).Scan(&before))
		f.run(1)
		f.must(s.QueryRow(t.Context(), `SELECT count(*) FROM runs`).Scan(&after))
		if before != after {
			t.Errorf("%d runs became %d", before, after)
		}
		var timeout, readOnly string
		f.must(s.QueryRow(t.Context(), `SELECT current_setting('statement_timeout'), current_setting('transaction_read_only')`).Scan(&timeout, &readOnly))
		if timeout != "10min" || readOnly != "on" {
			t.Errorf("a statement may take %s, read only is %s", timeout, readOnly)
		}
		return nil
	}))
}
