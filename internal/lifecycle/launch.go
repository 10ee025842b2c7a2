package lifecycle

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// MaxEnvValue is Cloud Run's limit of one environment value, in bytes.
const MaxEnvValue = 32 << 10

// Dispatch is everything that decides what a container of one execution sees.
type Dispatch struct {
	Execution   Execution
	Workflow    string
	RunName     string // WORKFLOW.NUMBER
	RunParams   json.RawMessage
	ScheduledAt time.Time
	StepTasks   int // tasks of the step
	Container   string
	Args        *[]string
	Env         []EnvVar // the definition's
	Timeout     time.Duration
	Attempts    []int             // of the execution's tasks, in the order of their indexes
	TaskParams  []json.RawMessage // nil where the index says it all
}

// Launch is the RunJob call of the dispatch. The definition's own variables come first, ours cannot be overwritten.
func (d Dispatch) Launch(m Marker) Launch {
	l := Launch{
		Job: d.Execution.Job, Container: d.Container, TaskCount: d.Execution.TaskCount,
		Env: append([]EnvVar(nil), d.Env...), Timeout: d.Timeout,
	}
	if d.Args != nil {
		l.SetArgs, l.Args = true, *d.Args
	}
	add := func(name, value string) { l.Env = append(l.Env, EnvVar{name, value}) }
	add(MarkerEnv, m.String())
	add("ORCHESTRATOR_EXECUTION_ID", d.Execution.ID.String())
	add(RunIDEnv, d.Execution.RunID.String())
	add(RunEnv, d.RunName)
	add("ORCHESTRATOR_WORKFLOW", d.Workflow)
	add(StepEnv, d.Execution.Step)
	add("ORCHESTRATOR_SCHEDULED_AT", d.ScheduledAt.UTC().Format(time.RFC3339))
	add("ORCHESTRATOR_TASK_COUNT", strconv.Itoa(d.StepTasks))
	add(TaskIndexesEnv, d.Execution.Indexes.String())
	add(TaskAttemptsEnv, runLengths(d.Attempts))
	if len(d.RunParams) > 0 && string(d.RunParams) != "{}" {
		add("ORCHESTRATOR_PARAMS", string(d.RunParams))
	}
	if hasAny(d.TaskParams) {
		l.Env = append(l.Env, taskParams(d.TaskParams)...)
	}
	if d.Execution.TaskCount == 1 {
		add("ORCHESTRATOR_TASK_INDEX", strconv.Itoa(d.Execution.Indexes[0].From))
		add("ORCHESTRATOR_TASK_ATTEMPT", strconv.Itoa(d.Attempts[0]))
		if hasAny(d.TaskParams) {
			add("ORCHESTRATOR_TASK_PARAMS", string(d.TaskParams[0]))
		}
	}
	return l
}

func hasAny(params []json.RawMessage) bool {
	for _, p := range params {
		if p != nil {
			return true
		}
	}
	return false
}

// runLengths writes attempts in the order of the tasks, repeated ones as COUNTxATTEMPT: 1, 1, 1, 2 is 3x1,2.
func runLengths(attempts []int) string {
	var b []byte
	for i := 0; i < len(attempts); {
		n := 1
		for i+n < len(attempts) && attempts[i+n] == attempts[i] {
			n++
		}
		if len(b) > 0 {
			b = append(b, ',')
		}
		if n > 1 {
			b = append(strconv.AppendInt(b, int64(n), 10), 'x')
		}
		b = strconv.AppendInt(b, int64(attempts[i]), 10)
		i += n
	}
	return string(b)
}

// taskParams writes the params as one JSON array, cut where a variable is full: ORCHESTRATOR_TASKS, ORCHESTRATOR_TASKS_1 and so on.
func taskParams(params []json.RawMessage) []EnvVar {
	var buf bytes.Buffer
	buf.WriteByte('[')
	for i, p := range params {
		if i > 0 {
			buf.WriteByte(',')
		}
		if p == nil {
			p = json.RawMessage("null")
		}
		buf.Write(p)
	}
	buf.WriteByte(']')
	var vars []EnvVar
	name := "ORCHESTRATOR_TASKS"
	for rest := buf.Bytes(); len(rest) > 0; name = "ORCHESTRATOR_TASKS_" + strconv.Itoa(len(vars)) {
		n := min(len(rest), MaxEnvValue)
		for n < len(rest) && !utf8.RuneStart(rest[n]) {
			n--
		}
		vars = append(vars, EnvVar{name, string(rest[:n])})
		rest = rest[n:]
	}
	return vars
}
