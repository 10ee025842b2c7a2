package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// RestoreRequest asks to go on from a database that was restored to an earlier time.
type RestoreRequest struct {
	RestoredTo time.Time `json:"restored_to" doc:"the point to which the database was restored, or an earlier one"`
	GiveUp     bool      `json:"give_up,omitempty" doc:"give up what cannot be settled: steps whose unsent tasks may have run unseen end as failed, executions that fit nowhere are left alone, and the steps whose tasks they carry end as failed"`
}

// RestoreReport says how far a restore has come. The request is to be repeated until it is done.
type RestoreReport struct {
	Done         bool               `json:"done" doc:"launching goes on"`
	Remembered   int                `json:"remembered" doc:"sends that the database had forgotten, put back by this request"`
	LeftAlone    []RestoreLeftAlone `json:"left_alone" nullable:"false" doc:"executions whose work belongs to nothing in the database"`
	StoppedSteps int                `json:"stopped_steps" doc:"steps that were given up"`
	Unseen       []RestoreUnseen    `json:"unseen" nullable:"false" doc:"jobs of which not everything since the restored point is surely seen"`
	Waiting      []string           `json:"waiting" nullable:"false" doc:"what must happen before launching goes on"`
	NextAt       *time.Time         `json:"next_at" doc:"when to ask again where waiting is enough, else null"`
	Jobs         int                `json:"jobs" doc:"whose executions were listed"`
	TookMS       int64              `json:"took_ms"`
}

// RestoreLeftAlone is an execution of ours whose work belongs to nothing in the restored database.
type RestoreLeftAlone struct {
	Execution string `json:"execution"`
	Run       string `json:"run" doc:"WORKFLOW.NUMBER, as the execution's environment tells it"`
	Why       string `json:"why"`
	Ended     bool   `json:"ended"`
}

// RestoreUnseen is a job of which Cloud Run has forgotten a part.
type RestoreUnseen struct {
	Job   string    `json:"job"`
	From  time.Time `json:"from" doc:"what was created before may be forgotten by Cloud Run"`
	Steps int       `json:"steps" doc:"unfinished ones, whose unsent tasks may have run then"`
}

// Restore puts back what a restored database has forgotten, as far as one request comes.
func (c *Client) Restore(ctx context.Context, r RestoreRequest) (RestoreReport, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return RestoreReport{}, err
	}
	a, err := c.send(ctx, call{method: http.MethodPost, function: FunctionTick, path: "/doctor/restore", body: body, timeout: tickTimeout})
	if err != nil {
		return RestoreReport{}, err
	}
	if a.status != http.StatusOK {
		return RestoreReport{}, a.failure()
	}
	var report RestoreReport
	if a.media != "application/json" || json.Unmarshal(a.body, &report) != nil || report.LeftAlone == nil || report.Waiting == nil {
		return RestoreReport{}, a.foreign()
	}
	return report, nil
}
