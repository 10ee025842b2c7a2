package store

import (
	"context"
	"time"
)

// Pulse is how the installation stands as a whole.
type Pulse struct {
	UnfinishedRuns  int
	StuckRuns       int
	UnknownLaunches int // launching rows that are not in flight any more: nobody knows yet whether Cloud Run took them
	LaunchBlocked   bool
}

// The unfinished steps are few, and most of them are done with after one look at their location's row.
const pulseSQL = `
WITH here AS MATERIALIZED (
    SELECT clock() AS now, clock() - $1::interval AS long_ago, launch_blocked_reason <> '' AS blocked, paused_at IS NOT NULL AS paused
    FROM installation
), live AS MATERIALIZED (
    SELECT run_id, status, sent_at, least(CASE WHEN status = 'launching' THEN sent_at ELSE next_look_at END, undecided_since, cancel_sent_at) AS since
    FROM executions
    WHERE status IN ('launching', 'launched', 'running')
), stuck AS (
    SELECT live.run_id
    FROM live, here
    WHERE live.since <= here.long_ago
    UNION
    SELECT s.run_id
    FROM here, steps s
    JOIN runs r ON r.id = s.run_id
    WHERE s.finished_at IS NULL AND s.stop_requested_at IS NULL AND r.paused_at IS NULL AND NOT here.paused
      AND (s.status = 'ready' AND s.ready_at <= here.long_ago
           OR s.dispatched > 0 AND NOT here.blocked
              AND NOT EXISTS (SELECT FROM quotas q WHERE q.name = 'run:' || split_part(s.job, '/jobs/', 1) AND q.launched_at > here.long_ago)
              AND EXISTS (SELECT FROM executions x WHERE x.run_id = s.run_id AND x.step_no = s.step_no AND x.status = 'planned' AND x.created_at <= here.long_ago)
              AND (s.max_executions IS NULL OR s.max_executions > (
                  SELECT count(*) FROM executions x
                  WHERE x.workflow_id = r.workflow_id AND x.run_id = s.run_id AND x.step_no = s.step_no AND x.status IN ('launching', 'launched', 'running')))
              AND (r.max_executions IS NULL OR r.max_executions > (
                  SELECT count(*) FROM executions x WHERE x.workflow_id = r.workflow_id AND x.status IN ('launching', 'launched', 'running'))))
)
SELECT (SELECT count(*) FROM runs WHERE finished_at IS NULL),
       (SELECT count(*) FROM stuck),
       (SELECT count(*) FROM live WHERE status = 'launching' AND sent_at <= here.now - $2::interval),
       here.blocked
FROM here`

// Pulse counts what is unfinished, and what should have moved and has not. It reads indexes of what is unfinished, and nothing of what has ended.
//
// A run is stuck when something of it has not moved for the time stuckAfter although nothing holds it:
//   - an execution was sent so long ago, and it is not known whether Cloud Run took it;
//   - a live execution's next look is overdue by so long, or its looks have settled nothing for so long;
//   - an execution was asked to stop so long ago, and lives;
//   - a step is ready for so long, and has no tasks yet;
//   - an execution is planned for so long, and nothing was launched in its location since (a queue moves, even where it is long). A limit of
//     executions that is reached holds it, and so does a launch block, which is told by itself.
//
// The last two do not count in a stopping step, a paused run or a paused installation.
//
// claim is how long a launch is in flight.
func (s *Store) Pulse(ctx context.Context, stuckAfter, claim time.Duration) (p Pulse, err error) {
	err = s.pool.QueryRow(ctx, pulseSQL, stuckAfter, claim).Scan(&p.UnfinishedRuns, &p.StuckRuns, &p.UnknownLaunches, &p.LaunchBlocked)
	return p, wrap(err, "count what is unfinished")
}
