package lifecycle

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// ErrGone: Cloud Run does not know the execution. It says nothing about whether work was done.
var ErrGone = errors.New("cloud run does not know it")

// Facts are what Cloud Run says of one execution, without interpretation.
type Facts struct {
	Name        string
	Marker      string // the value of ORCHESTRATOR_LAUNCH in its environment, empty where there is none
	Origin      Origin // what else our variables tell, where there is a marker
	EnvHidden   bool   // no container shows any environment, so a missing marker proves nothing
	CreatedAt   time.Time
	StartedAt   *time.Time
	CompletedAt *time.Time
	TaskCount   int
	Progress    Progress
	CancelledBy bool   // its execution reason is CANCELLED
	Message     string // Cloud Run's words on its Completed condition
	LogURI      string
	Job         JobFacts
}

// JobFacts are what an execution's template tells of its job, or the job's own.
type JobFacts struct {
	Job         string // full name
	Containers  []string
	Image       string
	MaxRetries  int
	Parallelism int
	Timeout     time.Duration
}

// JobState is what Cloud Run says of a job itself.
type JobState struct {
	JobFacts
	NotReady      string // Cloud Run's reason and words where the job cannot run as it is, else empty
	NotReadySince *time.Time
}

// TaskFacts are what Cloud Run says of one task of an execution.
type TaskFacts struct {
	Index       int
	StartedAt   *time.Time
	CompletedAt *time.Time
	HasResult   bool // an attempt has ended
	OK          bool
	ExitCode    *int
	Signal      *int
	TimedOut    bool
	OutOfMemory bool
	Retried     int
	Message     string
	LogURI      string
}

// Launch is everything that one RunJob call sends.
type Launch struct {
	Job       string // full name
	Container string // empty where the job has one container whose name is not known
	TaskCount int
	Args      []string
	SetArgs   bool // false keeps the job's own args; true with no Args clears them
	Env       []EnvVar
	Timeout   time.Duration // 0: the job's own
}

// EnvVar is one environment variable.
type EnvVar struct{ Name, Value string }

// AnswerKind is what is known about a RunJob call after it.
type AnswerKind int

const (
	// AnswerUnknown: Cloud Run may or may not have started it. The zero value, so that nothing is decided by omission.
	AnswerUnknown AnswerKind = iota
	// AnswerNamed: started; the name is a fact.
	AnswerNamed
	// AnswerQuota: the server refused for a quota; nothing was started, it may be sent again.
	AnswerQuota
	// AnswerRejected: the server refused for good; nothing was started.
	AnswerRejected
)

// Answer is the outcome of one RunJob call.
type Answer struct {
	Kind  AnswerKind
	Name  string // with AnswerNamed: the execution's full name
	Words string // otherwise: Cloud Run's own words, for people
	Code  string // the gRPC code, as in PERMISSION_DENIED
}

// MarkerEnv is the variable that carries a Marker into every execution that we start.
const MarkerEnv = "ORCHESTRATOR_LAUNCH"

// Marker names one send of one ledger row. It is how a launch whose answer was lost is found again.
type Marker struct {
	Installation uuid.UUID
	Row          uuid.UUID
	Send         int
}

func (m Marker) String() string {
	return fmt.Sprintf("%s/%s/%d", m.Installation, m.Row, m.Send)
}

// ParseMarker reads what Marker.String wrote; ok is false for anything else.
func ParseMarker(s string) (m Marker, ok bool) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return Marker{}, false
	}
	var err1, err2, err3 error
	m.Installation, err1 = uuid.Parse(parts[0])
	m.Row, err2 = uuid.Parse(parts[1])
	m.Send, err3 = strconv.Atoi(parts[2])
	if err1 != nil || err2 != nil || err3 != nil || m.Send < 1 || m.String() != s {
		return Marker{}, false
	}
	return m, true
}

// SameExecution compares two execution names. The project is left out: rows of earlier releases have it in the form in which Cloud Run answered, its number perhaps,
// where it is now always in the job's.
func SameExecution(a, b string) bool {
	_, restA, okA := cutProject(a)
	_, restB, okB := cutProject(b)
	return okA && okB && restA == restB
}

func cutProject(name string) (project, rest string, ok bool) {
	after, ok := strings.CutPrefix(name, "projects/")
	if !ok {
		return "", "", false
	}
	return strings.Cut(after, "/")
}

// Location is the projects/P/locations/L part of a job's or execution's name: the scope of Cloud Run's quotas.
func Location(name string) string {
	location, _, _ := strings.Cut(name, "/jobs/")
	return location
}

// JobOf is the name of an execution's job.
func JobOf(execution string) string {
	job, _, _ := strings.Cut(execution, "/executions/")
	return job
}

// ShortName is the last part of a resource name.
func ShortName(name string) string {
	return name[strings.LastIndexByte(name, '/')+1:]
}
