package store

import (
	"context"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const recordJobSQL = `
INSERT INTO jobs AS j (job, containers, image, max_retries, parallelism, timeout_seconds, seen_at)
VALUES ($1, $2, $3, $4, $5, $6, clock())
ON CONFLICT (job) DO UPDATE
    SET containers = excluded.containers, image = excluded.image, max_retries = excluded.max_retries,
        parallelism = excluded.parallelism, timeout_seconds = excluded.timeout_seconds, seen_at = excluded.seen_at
    WHERE (j.containers, j.image, j.max_retries, j.parallelism, j.timeout_seconds)
          IS DISTINCT FROM (excluded.containers, excluded.image, excluded.max_retries, excluded.parallelism, excluded.timeout_seconds)`

// RecordJob keeps what an execution told about its job. It writes only what is new.
func (s *Store) RecordJob(ctx context.Context, f lifecycle.JobFacts) error {
	containers := make([]string, 0, len(f.Containers))
	for _, c := range f.Containers {
		containers = append(containers, Clean(c, 100))
	}
	_, err := s.pool.Exec(ctx, recordJobSQL, f.Job, containers, Clean(f.Image, 1000), f.MaxRetries, f.Parallelism, int(f.Timeout/time.Second))
	return wrap(err, "record job %s", f.Job)
}

const warnRetriesSQL = `
INSERT INTO events (run_id, at, kind, actor, subject, detail)
    SELECT s.run_id, clock(), 'job_retries', 'tick', 'step ' || s.name, $3
    FROM steps s
    WHERE s.run_id = $1 AND s.step_no = $2
      AND NOT EXISTS (SELECT FROM events e WHERE e.run_id = $1 AND e.kind = 'job_retries' AND e.subject = 'step ' || s.name)`

// WarnRetries writes one event per step whose job repeats tasks by itself.
func (s *Store) WarnRetries(ctx context.Context, run uuid.UUID, step int, detail string) error {
	_, err := s.pool.Exec(ctx, warnRetriesSQL, run, step, detail)
	return wrap(err, "note the retries of step %d of run %s", step, run)
}

const jobRetriesSQL = `SELECT job, max_retries FROM jobs WHERE job = ANY ($1) AND max_retries > 0 ORDER BY job`

// JobRetries are the jobs among the given ones that repeat tasks by themselves.
func (s *Store) JobRetries(ctx context.Context, jobs []string) (map[string]int, error) {
	rows, err := s.pool.Query(ctx, jobRetriesSQL, jobs)
	if err != nil {
		return nil, wrap(err, "read jobs")
	}
	found := map[string]int{}
	var job string
	var retries int
	_, err = pgx.ForEachRow(rows, []any{&job, &retries}, func() error {
		found[job] = retries
		return nil
	})
	return found, wrap(err, "read jobs")
}

// Gate is what is known about launching in one location after answers were lost.
type Gate struct {
	Location       string
	UnknownAnswers int // in a row
	NotBefore      *time.Time
	Open           bool // one row may be sent now
}

const gatesSQL = `
SELECT substr(name, 5), unknown_answers, not_before, coalesce(not_before <= clock(), true)
FROM quotas
WHERE name LIKE 'run:%' AND (unknown_answers > 0 OR not_before > clock())
ORDER BY name`

// Gates are the locations in which the last launches were not answered, or that refused for a quota a moment ago.
func (s *Store) Gates(ctx context.Context) ([]Gate, error) {
	rows, err := s.pool.Query(ctx, gatesSQL)
	if err != nil {
		return nil, wrap(err, "read launch gates")
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Gate])
	return list, wrap(err, "read launch gates")
}

const passGateSQL = `
UPDATE quotas SET not_before = clock() + $2::interval
WHERE name = 'run:' || $1 AND unknown_answers > 0 AND (not_before IS NULL OR not_before <= clock())
  AND EXISTS (SELECT FROM executions x WHERE x.status = 'planned' AND x.location = $1 AND x.not_before <= clock())`

// PassGate takes the one chance to send a row to a location whose answers are lost, where there is one to send; the next chance comes after the given time.
func (s *Store) PassGate(ctx context.Context, location string, next time.Duration) (ok bool, err error) {
	tag, err := s.pool.Exec(ctx, passGateSQL, location, next)
	return err == nil && tag.RowsAffected() == 1, wrap(err, "pass the launch gate of %s", location)
}

const recordAnswersSQL = `
INSERT INTO quotas AS q (name, refilled_at, unknown_answers, not_before, launched_at)
SELECT 'run:' || $1, now, $2, CASE WHEN $4::interval > interval '0' THEN now + $4::interval END, CASE WHEN $5 THEN now END FROM clock() AS now
ON CONFLICT (name) DO UPDATE
    SET unknown_answers = CASE WHEN $3 THEN excluded.unknown_answers ELSE q.unknown_answers + excluded.unknown_answers END,
        not_before = CASE WHEN $4::interval > interval '0' THEN excluded.not_before WHEN $3 THEN NULL ELSE q.not_before END,
        launched_at = coalesce(excluded.launched_at, q.launched_at)`

// Answers are what a tick learned about a location since it wrote it down last.
type Answers struct {
	Unknown  int           // launches without an answer, since the last answer
	Answered bool          // there was one, so what was counted before counts no more
	Closed   time.Duration // above 0: nothing is launched there for so long
	Launched bool          // one of the answers was a name
}

// RecordAnswers keeps what was learned about launching in a location.
func (s *Store) RecordAnswers(ctx context.Context, location string, a Answers) error {
	_, err := s.pool.Exec(ctx, recordAnswersSQL, location, a.Unknown, a.Answered, a.Closed, a.Launched)
	return wrap(err, "record answers of %s", location)
}
