package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// DoctorReport says what doctor found, and how far it looked.
type DoctorReport struct {
	Findings []DoctorFinding `json:"findings" nullable:"false" doc:"the gravest first; empty when nothing is wrong with what was looked at"`
	Checked  DoctorChecked   `json:"checked"`
}

// DoctorFinding is something that is not as it should be, or that somebody should know.
type DoctorFinding struct {
	Kind     string     `json:"kind" doc:"what it is about, in a stable word"`
	Severity string     `json:"severity" enum:"error,warning,note" doc:"error: somebody has to do something; warning: something is in doubt and mostly settled by itself; note: good to know"`
	Subject  string     `json:"subject" doc:"what and where: a job, an execution, a step"`
	Run      string     `json:"run" doc:"WORKFLOW.NUMBER, empty where it concerns no run"`
	Detail   string     `json:"detail" doc:"what was seen"`
	Action   string     `json:"action" doc:"what happens by itself, or what to do"`
	Since    *time.Time `json:"since" doc:"null where it is not known"`
	Fixed    bool       `json:"fixed" doc:"it was put right just now"`
}

// DoctorChecked is how far doctor looked.
type DoctorChecked struct {
	At            time.Time   `json:"at"`
	Installation  string      `json:"installation"`
	Mode          string      `json:"mode" enum:"live,emulator,mock" doc:"of the database"`
	SchemaVersion int         `json:"schema_version"`
	LastTickAt    *time.Time  `json:"last_tick_at" doc:"null before the first"`
	LastTickBy    string      `json:"last_tick_by" doc:"who called it; empty where that is not known"`
	Rules         int         `json:"rules" doc:"rules of the data that were checked"`
	Executions    int         `json:"executions" doc:"unsettled executions of the database that were compared with Cloud Run"`
	Calls         int         `json:"calls" doc:"calls to Cloud Run that read"`
	ComparedJobs  int         `json:"compared_jobs" doc:"jobs whose settings and permissions were compared with what their workflows need; 0 where that was not asked for"`
	Jobs          []DoctorJob `json:"jobs" nullable:"false" doc:"whose executions were listed"`
	NotLooked     []string    `json:"not_looked" nullable:"false" doc:"what was not looked at; nothing is said of it"`
	TookMS        int64       `json:"took_ms"`
}

// DoctorJob is how far the listing of one job's executions reached.
type DoctorJob struct {
	Job      string     `json:"job"`
	Listed   int        `json:"listed" doc:"executions"`
	Back     *time.Time `json:"back" doc:"creation of the oldest of them, null where there is none"`
	Complete bool       `json:"complete" doc:"the listing reached the last execution that Cloud Run keeps"`
}

// Unfixed is the number of findings that are still there.
func (r DoctorReport) Unfixed() int {
	n := 0
	for _, f := range r.Findings {
		if !f.Fixed {
			n++
		}
	}
	return n
}

// DoctorRequest is what Doctor is asked for.
type DoctorRequest struct {
	Fix   bool // put right what may be put right
	Cloud bool // compare the jobs of workflows with what they need, too
}

// Doctor compares the database with its own rules and with Cloud Run.
func (c *Client) Doctor(ctx context.Context, want DoctorRequest) (DoctorReport, error) {
	q := call{method: http.MethodGet, function: FunctionTick, path: "/doctor", timeout: tickTimeout}
	if want.Fix {
		q.method = http.MethodPost
	}
	if want.Cloud {
		q.query = url.Values{"cloud": {"true"}}
	}
	a, err := c.send(ctx, q)
	if err != nil {
		return DoctorReport{}, err
	}
	if a.status != http.StatusOK {
		return DoctorReport{}, a.failure()
	}
	var r DoctorReport
	if a.media != "application/json" || json.Unmarshal(a.body, &r) != nil || r.Findings == nil || r.Checked.Installation == "" {
		return DoctorReport{}, a.foreign()
	}
	return r, nil
}
