package store

type breaking struct {
	rule   string
	sql    []string
	also   string // another rule that cannot hold then
	schema bool   // the statement changes the schema, so it runs as it is
}

var schemaBreaks = []breaking{
	{"the schema refuses every change of a final status", []string{`ALTER TABLE executions DISABLE TRIGGER executions_final`}, "", true},
	{"the schema refuses every change of a final status", []string{`DROP TRIGGER tasks_final ON tasks`}, "", true},
	{"the schema refuses every change of a final status", []string{`ALTER TABLE runs ENABLE REPLICA TRIGGER runs_final`}, "", true},
	{"the schema counts tasks and executions", []string{`ALTER TABLE tasks DISABLE TRIGGER tasks_counted_delete`}, "", true},
	{"the schema refuses statuses that are none, and those that their row contradicts", []string{`ALTER TABLE steps DROP CONSTRAINT steps_check2`}, "", true},
	{"the schema refuses statuses that are none, and those that their row contradicts",
		[]string{`ALTER TABLE tasks DROP CONSTRAINT tasks_check, ADD CONSTRAINT tasks_check CHECK (true) NOT VALID`}, "", true},
	{"the schema refuses a second row of an execution, a task or a run's number", []string{`ALTER TABLE executions DROP CONSTRAINT executions_cloud_run_execution_name_key`}, "", true},
}

var dataBreaks = []breaking{
	{rule: "every task belongs to a step", sql: []string{
		`INSERT INTO tasks (run_id, step_no, task_index, status, due_at) VALUES (gen_random_uuid(), 0, 0, 'pending', now())`}},
	{rule: "the tasks of a step are numbered from 0 without a gap", sql: []string{
		`UPDATE tasks SET task_index = 9 WHERE run_id = ` + run("3") + ` AND task_index = 1`,
		`UPDATE step_blocks SET block = 200 WHERE run_id = ` + run("3") + ` AND block = 1`,
		`UPDATE step_blocks SET block = 9 WHERE block = 200`}},
	{rule: "the counters of steps equal their tasks", sql: []string{`UPDATE steps SET retries = 1 WHERE run_id = ` + run("4")}},
	{rule: "the counters of steps equal their tasks", sql: []string{`UPDATE steps SET skipped = 1 WHERE run_id = ` + run("4")}},
	{rule: "every block equals the tasks in it", sql: []string{`UPDATE step_blocks SET block = 300 WHERE run_id = ` + run("4") + ` AND block = 3`}},
	{rule: "every block equals the tasks in it", sql: []string{`DELETE FROM step_blocks WHERE run_id = ` + run("3")}},
	{rule: "the reasons of steps equal those of their failed tasks", sql: []string{`UPDATE step_reasons SET reason = 'other'`}},
	{rule: "failed and cancelled tasks say why", sql: []string{`UPDATE tasks SET reason = '' WHERE status = 'cancelled'`}},
	{rule: "pending tasks are due at some time, and no others", sql: []string{`UPDATE tasks SET due_at = now() WHERE status = 'running'`}},
	{rule: "a task has ended when its status is final, and only then", sql: []string{`UPDATE tasks SET finished_at = NULL WHERE status = 'success'`}},
	{rule: "no final step has an unfinished task", sql: []string{
		`UPDATE tasks SET status = 'pending', reason = '', finished_at = NULL, due_at = now() WHERE run_id = ` + run("3") + ` AND task_index = 0`,
		`UPDATE steps SET pending = 1, cancelled = 1 WHERE run_id = ` + run("3"),
		`UPDATE step_blocks SET pending = 1, cancelled = 0 WHERE block = 0 AND run_id = ` + run("3")}},
	{rule: "every dispatched or running task is in an unfinished execution that carries it", sql: []string{
		`UPDATE tasks SET status = 'dispatched', due_at = NULL WHERE status = 'pending'`,
		`UPDATE steps SET dispatched = dispatched + 1, pending = 0 WHERE pending > 0`,
		`UPDATE step_blocks SET dispatched = 1, pending = 0 WHERE pending > 0`}},
	{rule: "a task's end agrees with its execution's", sql: []string{
		`UPDATE executions SET outcome = 'rejected' WHERE outcome = 'success' AND id = (SELECT min(id::text)::uuid FROM executions WHERE outcome = 'success')`}},
	{rule: "a task's end agrees with its execution's", sql: []string{`UPDATE executions SET outcome = 'success' WHERE outcome = 'failed'`}},

	{rule: "every execution belongs to a step, with its job, its workflow and tasks that the step has", sql: []string{
		`UPDATE executions SET job = 'projects/p/locations/l/jobs/other' WHERE id = ` + one("planned")}},
	{rule: "every execution belongs to a step, with its job, its workflow and tasks that the step has", sql: []string{
		`UPDATE executions SET location = 'projects/p/locations/other' WHERE id = ` + one("planned")}},
	{rule: "an execution's task count is the number of its tasks", sql: []string{`UPDATE executions SET indexes = '{[0,2)}' WHERE id = ` + one("finished")}},
	{rule: "the executions of steps are counted", sql: []string{`UPDATE steps SET executions = executions + 1 WHERE run_id = ` + run("4")}},
	{rule: "no task is in two unfinished executions", also: "every task of an unfinished execution is dispatched or running and points to it", sql: []string{
		`UPDATE executions SET indexes = indexes + '{[2,3)}', task_count = 2 WHERE indexes @> 1 AND run_id = ` + run("4")}},
	{rule: "every task of an unfinished execution is dispatched or running and points to it", sql: []string{
		`UPDATE executions SET status = 'planned', outcome = NULL, finished_at = NULL, cloud_run_execution_name = NULL, sent_at = NULL, next_look_at = NULL
			WHERE outcome = 'success'`}},
	{rule: "no execution of Cloud Run has two rows", sql: []string{
		`UPDATE executions SET cloud_run_execution_name = (SELECT replace(cloud_run_execution_name, 'projects/p/', 'projects/123/') FROM executions WHERE status = 'running')
			WHERE status = 'launched'`}},
	{rule: "an orphan is noted once, and is no row's execution but that of a row that had ended without it", sql: []string{
		`INSERT INTO orphans (cloud_run_execution_name, execution_id, found_at, next_look_at)
			SELECT replace(cloud_run_execution_name, 'projects/p/', 'projects/123/'), execution_id, found_at, next_look_at FROM orphans`}},
	{rule: "an orphan is noted once, and is no row's execution but that of a row that had ended without it", sql: []string{
		`INSERT INTO orphans (cloud_run_execution_name, execution_id, found_at, next_look_at)
			SELECT cloud_run_execution_name, id, now(), now() FROM executions WHERE status = 'running'`}},
	{rule: "an orphan is looked at until it has ended", sql: []string{`UPDATE orphans SET next_look_at = NULL`}},
	{rule: "every launched or running execution has a name and a time of its next look", sql: []string{
		`UPDATE executions SET cloud_run_execution_name = NULL WHERE status = 'running'`}},
	{rule: "every launched or running execution has a name and a time of its next look", sql: []string{`UPDATE executions SET next_look_at = NULL WHERE status = 'launched'`}},
	{rule: "every claim expires, and every launching execution has one and the time of its send", sql: []string{
		`UPDATE executions SET claim_expires_at = NULL WHERE status = 'launching'`}},
	{rule: "every claim expires, and every launching execution has one and the time of its send", sql: []string{`UPDATE executions SET sent_at = NULL WHERE status = 'launching'`}},
	{rule: "what waits to be sent has no claim, no send and no name, and what has ended no claim", sql: []string{
		`UPDATE executions SET sent_at = not_before WHERE status = 'planned'`}},
	{rule: "what waits to be sent has no claim, no send and no name, and what has ended no claim", sql: []string{
		`UPDATE executions SET claim = id, claim_expires_at = clock() WHERE status = 'finished'`}},
	{rule: "an execution has an end and an outcome when it is finished, and only then", sql: []string{`UPDATE executions SET finished_at = now() WHERE status = 'running'`}},
	{rule: "an execution has an end and an outcome when it is finished, and only then", sql: []string{`UPDATE executions SET outcome = NULL WHERE outcome = 'success'`}},
	{rule: "only executions that ended lost are looked for after their end", sql: []string{`UPDATE executions SET next_look_at = now() WHERE outcome = 'success'`}},
	{rule: "no step has more live executions than it may", sql: []string{`UPDATE steps SET max_executions = 2 WHERE run_id = ` + run("4")}},
	{rule: "an execution is asked to stop only where its step is", sql: []string{
		`UPDATE executions SET stop_requested_at = now(), stop_as = 'failed', stop_scope = 'all' WHERE status = 'running'`}},
	{rule: "the times that the database stamped on an execution are in order", sql: []string{
		`UPDATE executions SET launched_at = sent_at - interval '1 second' WHERE status = 'running'`}},
	{rule: "the times of an orphan are in order", sql: []string{`UPDATE orphans SET cancel_sent_at = found_at - interval '1 second'`}},

	{rule: "a run has ended when its status is final, and only then", sql: []string{`UPDATE runs SET finished_at = NULL WHERE number = 1`}},
	{rule: "a step has ended when its status is final, and only then", sql: []string{`UPDATE steps SET finished_at = NULL WHERE name = 'bad'`}},
	{rule: "no final run has an unfinished step", sql: []string{`UPDATE runs SET finished_at = now(), status = 'success' WHERE number = 4`}},
	{rule: "a run is running only once a step was ready", sql: []string{`UPDATE runs SET status = 'running' WHERE number = 5`}},
	{rule: "a pending step has no tasks yet, a ready one waits for its first, a running one had its start", sql: []string{`UPDATE steps SET started_at = now() WHERE name = 'ready'`}},
	{rule: "a pending step has no tasks yet, a ready one waits for its first, a running one had its start", sql: []string{`UPDATE steps SET started_at = now() WHERE name = 'pending'`}},
	{rule: "what a step needs is a step of its run", sql: []string{`UPDATE steps SET needs = '{3}' WHERE name = 'pending'`}},
	{rule: "a step becomes ready only when all that it needs has succeeded", sql: []string{`UPDATE steps SET needs = '{0}' WHERE name = 'ready'`}},
	{rule: "a step is skipped only where something that it needs did not succeed, and has no tasks and no stop then", sql: []string{
		`UPDATE steps SET needs = '{2}' WHERE name = 'skipped'`}},
	{rule: "a step's stop ended it where the step never started, was not wholly expanded or has cancelled tasks, and only there", sql: []string{
		`UPDATE steps SET stopped = true, stop_as = 'failed', stop_scope = 'unsent', stop_requested_at = now() WHERE name = 'bad'`}},
	{rule: "a step ends as its stop and its tasks say", sql: []string{`UPDATE steps SET status = 'success' WHERE run_id = ` + run("1"), `UPDATE runs SET status = 'success' WHERE number = 1`}},
	{rule: "a step ends as its stop and its tasks say", sql: []string{`UPDATE steps SET tolerated = 5 WHERE name = 'bad'`}},
	{rule: "a run ends as its stop and its steps say", sql: []string{`UPDATE runs SET status = 'success' WHERE number = 1`}},
	{rule: "a run ends as its stop and its steps say", sql: []string{`UPDATE runs SET status = 'failed' WHERE number = 3`}},
	{rule: "a stop says as what it ends and how far it reaches", sql: []string{`UPDATE executions SET stop_as = 'failed' WHERE status = 'planned'`}},
	{rule: "the unfinished steps of a stopping run are stopping", sql: []string{
		`UPDATE runs SET stop_requested_at = clock(), stop_as = 'failed', stop_scope = 'all' WHERE number = 4`}},
	{rule: "no run has a number that its workflow has not given yet", sql: []string{`UPDATE runs SET number = 1000 WHERE number = 5`}},
	{rule: "every unfinished run has the mode of its database", sql: []string{`UPDATE runs SET mode = 'mock' WHERE number = 5`}},
	{rule: "the times that the database stamped on runs and steps are in order", sql: []string{`UPDATE steps SET ready_at = started_at + interval '1 second' WHERE run_id = ` + run("4")}},
	{rule: "the unfinished steps of a stopping run are stopping", sql: []string{
		`UPDATE runs SET stop_requested_at = clock(), stop_as = 'failed', stop_scope = 'all' WHERE number = 4`,
		`UPDATE steps SET stop_requested_at = clock(), stop_as = 'failed', stop_scope = 'unsent' WHERE run_id = ` + run("4")}},
	{rule: "an orphan is noted once, and is no row's execution but that of a row that had ended without it", sql: []string{
		`INSERT INTO orphans (cloud_run_execution_name, execution_id, found_at, next_look_at)
			SELECT cloud_run_execution_name, id, now(), now() FROM executions WHERE outcome = 'success' LIMIT 1`}},
	{rule: "an orphan is noted once, and is no row's execution but that of a row that had ended without it", sql: []string{
		`UPDATE orphans SET execution_id = gen_random_uuid()`}},
	{rule: "a task's end agrees with its execution's", sql: []string{`UPDATE executions SET outcome = 'rejected', next_look_at = NULL WHERE outcome = 'lost'`}},
	{rule: "every dispatched or running task is in an unfinished execution that carries it", sql: []string{
		`UPDATE executions SET indexes = CASE WHEN indexes @> 4 THEN '{[5,6)}' ELSE '{[4,5)}' END::int4multirange
			WHERE (indexes @> 4 OR indexes @> 5) AND run_id = ` + run("4")}},
	{rule: "every execution belongs to a step, with its job, its workflow and tasks that the step has", sql: []string{
		`UPDATE executions SET workflow_id = gen_random_uuid() WHERE id = ` + one("planned")}},
	{rule: "every execution belongs to a step, with its job, its workflow and tasks that the step has", sql: []string{
		`UPDATE executions SET indexes = '{[3,4)}' WHERE outcome = 'success' AND indexes @> 1`}},
	{rule: "the times that the database stamped on an execution are in order", sql: []string{
		`UPDATE executions SET created_at = sent_at + interval '1 second' WHERE status = 'running'`}},
	{rule: "the times that the database stamped on an execution are in order", sql: []string{
		`UPDATE executions SET not_before = sent_at + interval '1 second' WHERE status = 'launching'`}},
	{rule: "the times that the database stamped on an execution are in order", sql: []string{
		`UPDATE executions SET claim_expires_at = sent_at - interval '1 second' WHERE status = 'launching'`}},
	{rule: "a step is skipped only where something that it needs did not succeed, and has no tasks and no stop then", sql: []string{
		`UPDATE steps SET stop_requested_at = now(), stop_as = 'failed', stop_scope = 'all' WHERE name = 'skipped'`}},
	{rule: "a pending step has no tasks yet, a ready one waits for its first, a running one had its start", sql: []string{`UPDATE steps SET ready_at = NULL WHERE name = 'ready'`}},
	{rule: "a pending step has no tasks yet, a ready one waits for its first, a running one had its start", sql: []string{
		`UPDATE steps SET started_at = NULL WHERE run_id = ` + run("4")}},
	{rule: "the times that the database stamped on runs and steps are in order", sql: []string{
		`UPDATE runs SET stop_requested_at = created_at - interval '1 second' WHERE number = 3`}},
	{rule: "an execution is asked to stop only where its step is", sql: []string{
		`UPDATE steps SET stop_requested_at = clock(), stop_as = 'failed', stop_scope = 'unsent' WHERE run_id = ` + run("4"),
		`UPDATE executions SET stop_requested_at = clock(), stop_as = 'failed', stop_scope = 'all' WHERE status = 'running'`}},
}
