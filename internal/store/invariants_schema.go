package store

// schemaRules: what the schema must refuse or do by itself. A trigger that is disabled, or a constraint that is missing or was never validated, protects nothing.
var schemaRules = []rule{
	{"the schema refuses every change of a final status", `
SELECT 'trigger ' || want.trigger
FROM (VALUES ('runs', 'runs_final'), ('steps', 'steps_final'), ('tasks', 'tasks_final'), ('executions', 'executions_final')) AS want(relation, trigger)
WHERE NOT EXISTS (
    SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE t.tgrelid = want.relation::regclass AND t.tgname = want.trigger AND t.tgenabled IN ('O', 'A')
      AND t.tgtype = 19 -- before, update, for each row
      AND p.proname = 'refuse_change_of_final_status')`},
	{"the schema counts tasks and executions", `
SELECT 'trigger ' || want.trigger
FROM (VALUES ('tasks', 'tasks_counted_insert'), ('tasks', 'tasks_counted_update'), ('tasks', 'tasks_counted_delete'),
             ('executions', 'executions_counted')) AS want(relation, trigger)
WHERE NOT EXISTS (
    SELECT FROM pg_trigger t
    WHERE t.tgrelid = want.relation::regclass AND t.tgname = want.trigger AND t.tgenabled IN ('O', 'A'))`},
	{"the schema refuses statuses that are none, and those that their row contradicts", `
SELECT 'constraint ' || want.name
FROM (VALUES ('runs', 'runs_status_check'), ('runs', 'runs_mode_check'), ('runs', 'runs_stop_as_check'), ('runs', 'runs_stop_scope_check'),
             ('runs', 'runs_check'), ('runs', 'runs_check1'),
             ('steps', 'steps_status_check'), ('steps', 'steps_stop_as_check'), ('steps', 'steps_stop_scope_check'),
             ('steps', 'steps_check'), ('steps', 'steps_check1'), ('steps', 'steps_check2'), ('steps', 'steps_check3'),
             ('tasks', 'tasks_status_check'), ('tasks', 'tasks_check'), ('tasks', 'tasks_check1'), ('tasks', 'tasks_check2'), ('tasks', 'tasks_check3'),
             ('executions', 'executions_status_check'), ('executions', 'executions_outcome_check'),
             ('executions', 'executions_stop_as_check'), ('executions', 'executions_stop_scope_check'),
             ('executions', 'executions_check'), ('executions', 'executions_check1'), ('executions', 'executions_check2'),
             ('executions', 'executions_check3'), ('executions', 'executions_check4'), ('executions', 'executions_check5'),
             ('orphans', 'orphans_check')) AS want(relation, name)
WHERE NOT EXISTS (
    SELECT FROM pg_constraint c
    WHERE c.conrelid = want.relation::regclass AND c.conname = want.name AND c.contype = 'c' AND c.convalidated)`},
	{"the schema refuses a second row of an execution, a task or a run's number", `
SELECT want.index
FROM (VALUES ('executions_pkey'), ('executions_cloud_run_execution_name_key'), ('tasks_pkey'), ('steps_pkey'), ('runs_pkey'),
             ('runs_workflow_id_number_key'), ('orphans_pkey'), ('idempotency_keys_pkey')) AS want(index)
WHERE NOT EXISTS (
    SELECT FROM pg_index i
    WHERE i.indexrelid = to_regclass(want.index) AND i.indisunique AND i.indisvalid AND i.indimmediate)`},
}
