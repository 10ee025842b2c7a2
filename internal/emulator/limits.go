package emulator

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
)

// Limits are Cloud Run's quotas, each for one project and region. 0 is no limit. (What one execution may have is always limited.)
type Limits struct {
	Run     int // RunJob calls a minute
	Read    int // calls a minute that get, list or test
	Running int // executions that have not ended
}

// RealLimits are those of Cloud Run.
func RealLimits() Limits {
	return Limits{Run: runQuota.real, Read: readQuota.real, Running: runningQuota.real}
}

// ParseLimits reads limits as a person writes them: on, off, or the real ones with some changed, as in run=60,read=600,running=off.
func ParseLimits(text string) (Limits, error) {
	switch text {
	case "on":
		return RealLimits(), nil
	case "off":
		return Limits{}, nil
	}
	l := RealLimits()
	for _, part := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		limit := map[string]*int{"run": &l.Run, "read": &l.Read, "running": &l.Running}[name]
		n, err := strconv.Atoi(value)
		if value == "off" {
			n, err = 0, nil
		} else if n < 1 || n > 1_000_000 {
			err = strconv.ErrRange
		}
		if limit == nil || err != nil {
			return Limits{}, fmt.Errorf("limits %q: %q is wrong; write on, off, or some of run=N,read=N,running=N with N from 1 to 1000000 or off", text, part)
		}
		*limit = n
	}
	return l, nil
}

// String says the limits in words.
func (l Limits) String() string {
	if l == (Limits{}) {
		return "off"
	}
	say := func(n int, what string) string {
		if n == 0 {
			return "any number of " + what
		}
		return fmt.Sprintf("%d %s", n, what)
	}
	return fmt.Sprintf("%s and %s a minute, %s, for each project and region", say(l.Run, "runs"), say(l.Read, "reads"), say(l.Running, "running executions"))
}

// quota is one of Cloud Run's, in its words.
type quota struct {
	metric, name, limit, per string
	real                     int
}

var (
	runQuota     = quota{"run.googleapis.com/job_run_requests", "Job run requests", "JobRunRequestsPerMinutePerProjectRegion", "Job run requests per minute per region", 180}
	readQuota    = quota{"run.googleapis.com/read_regional", "Read requests", "ReadPerMinutePerProjectRegion", "Read requests per minute per region", 3000}
	writeQuota   = quota{"run.googleapis.com/write_regional", "Write requests", "WritePerMinutePerProjectRegion", "Write requests per minute per region", 180}
	runningQuota = quota{"run.googleapis.com/running_executions", "Running job executions", "RunningExecutionsPerProjectRegion", "Running job executions per region", 1000}
)

// quotaOf is the quota that a method uses up.
func quotaOf(method string) quota {
	switch {
	case method == "RunJob":
		return runQuota
	case strings.HasPrefix(method, "Get"), strings.HasPrefix(method, "List"), method == "WaitOperation", method == "TestIamPermissions":
		return readQuota
	}
	return writeQuota
}

// refusal is what a call beyond a quota is answered.
func (q quota) refusal(limit int, resource string) error {
	number := projectNumber(projectOf(resource))
	consumer := "project_number:" + number
	message := fmt.Sprintf("Quota exceeded for quota metric '%s' and limit '%s' of service 'run.googleapis.com' for consumer '%s'.", q.name, q.per, consumer)
	region := ""
	if p := strings.Split(resource, "/"); len(p) > 3 {
		region = p[3]
	}
	st, err := status.New(codes.ResourceExhausted, message).WithDetails(
		protoadapt.MessageV1Of(&errdetails.ErrorInfo{Reason: "RATE_LIMIT_EXCEEDED", Domain: "googleapis.com", Metadata: map[string]string{
			"service": "run.googleapis.com", "consumer": "projects/" + number, "quota_metric": q.metric, "quota_limit": q.limit,
			"quota_limit_value": strconv.Itoa(limit), "quota_location": region,
		}}),
		protoadapt.MessageV1Of(&errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{Subject: consumer, Description: message}}}))
	if err != nil {
		panic("emulator: a refusal cannot be encoded: " + err.Error()) // it is all our own text
	}
	return st.Err()
}

// limiter has a bucket of calls for each project, region and quota. Buckets begin full, and fill up within a minute.
type limiter struct {
	Limits
	mu      sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	left time.Duration // up to a minute, of which each call costs its share
	at   time.Time
}

func newLimiter(l Limits) *limiter { return &limiter{Limits: l, buckets: map[string]*bucket{}} }

// perMinute is how many calls of a quota a minute has; 0 is no limit.
func (l *limiter) perMinute(q quota) int {
	switch q {
	case runQuota:
		return l.Run
	case readQuota:
		return l.Read
	}
	return 0 // nobody has asked for a limit of writes
}

// admit takes a call out of its bucket, or refuses it.
func (l *limiter) admit(c Call, now time.Time) error {
	q := quotaOf(c.Method)
	limit := l.perMinute(q)
	if limit == 0 {
		return nil
	}
	p := strings.SplitN(c.Name, "/", 5)
	key := q.metric + " " + strings.Join(p[:min(len(p), 4)], "/")
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[key]
	if b == nil {
		b = &bucket{left: time.Minute, at: now}
		l.buckets[key] = b
	}
	if passed := now.Sub(b.at); passed > 0 {
		b.left, b.at = min(time.Minute, b.left+passed), now
	}
	cost := time.Minute / time.Duration(limit)
	if b.left < cost {
		return l.refusal(c)
	}
	b.left -= cost
	return nil
}

// refusal is what a limit answers to a call. One that is off speaks like the real one.
func (l *limiter) refusal(c Call) error {
	q := quotaOf(c.Method)
	return q.refusal(cmp.Or(l.perMinute(q), q.real), c.Name)
}
