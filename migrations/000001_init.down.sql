DROP TABLE quotas, events, jobs, orphans, executions, tasks, step_reasons, step_blocks, steps, idempotency_keys, runs, workflow_versions, workflows;
DROP FUNCTION count_tasks_insert(), count_tasks_update(), count_tasks_delete(), count_executions(), refuse_change_of_final_status(), database_mark(), clock();
DROP TABLE installation;
