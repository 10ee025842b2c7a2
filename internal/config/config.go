// Package config reads every setting from the environment, once, and says what is wrong with it in whole sentences.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"
)

// Config is every setting of a process. It holds secrets: log it only through slog or fmt, which hide them.
type Config struct {
	// Mode says what the process drives. See ModeWhy.
	Mode lifecycle.Mode
	// ModeWhy says in a few words why Mode is what it is.
	ModeWhy string
	// Notice is a line to show at the start, or empty. It is set where somebody probably expects another mode.
	Notice string

	// EmulatorHost is the emulator's host:port (CLOUD_RUN_EMULATOR_HOST), or empty.
	EmulatorHost string
	// Credentials is the file named by GOOGLE_APPLICATION_CREDENTIALS, or empty.
	Credentials string
	// Service and Job are the names that Cloud Run gives a container (K_SERVICE, CLOUD_RUN_JOB); both are empty elsewhere.
	Service string
	Job     string

	// DatabaseURL is a PostgreSQL URL or keyword string, possibly with a password, or empty.
	DatabaseURL string
	// DatabaseInstance is a Cloud SQL instance, project:region:name, or empty. DatabaseUser is the IAM user that logs in.
	DatabaseInstance string
	DatabaseUser     string
	// DatabasePrivateIP reaches the instance by its private address.
	DatabasePrivateIP bool
	// FunctionUsers are the database users of the functions, to whom the migration makes grants; all empty, or none.
	FunctionUsers FunctionUsers
	// PoolSize is the most connections that the process opens, 1 to 100.
	PoolSize int

	LogLevel slog.Level

	// URL is where the CLI finds the functions; it may contain {function}. URLSet says whether somebody chose it.
	URL    string
	URLSet bool
	// Listen is the host:port that the server listens on; on Cloud Run every address at PORT.
	Listen string
	// Hosts are further names by which a local server may be asked.
	Hosts []string
	// FunctionTarget is the one function that the process serves, or empty for all four.
	FunctionTarget string

	// Project and Region are what a workflow gets that names none. Project may be empty.
	Project string
	Region  string

	// CallDeadline < Claim < SettleWindow always holds.
	CallDeadline time.Duration
	Claim        time.Duration
	SettleWindow time.Duration
	TickBudget   time.Duration
	// HistoryKept is the number of executions of a job that Cloud Run keeps for certain, 1 to 1000.
	HistoryKept int
	// Concurrency is the most Cloud Run calls at once in one phase, 1 to 100.
	Concurrency int

	// WakeQueue is the Cloud Tasks queue by which a trigger has the tick function called at once, projects/P/locations/L/queues/Q, or empty.
	// The three are set together. WakeAccount is the email of the service account as which it calls.
	WakeQueue   string
	WakeURL     string
	WakeAccount string

	databaseName string
	settings     []Setting
}

// FunctionUsers are database users by function.
type FunctionUsers struct{ Workflows, Trigger, Status, Tick string }

// Functions are the values that FUNCTION_TARGET may have.
func Functions() []string { return []string{"workflows", "trigger", "status", "tick"} }

// Load reads the settings through getenv; an empty variable counts as unset. Its error joins one sentence for each wrong setting,
// and the Config that comes with an error is not to be used.
func Load(getenv func(string) string) (Config, error) {
	r := &reader{getenv: getenv}
	var c Config
	c.Service = r.text("K_SERVICE", "")
	c.Job = r.text("CLOUD_RUN_JOB", "")
	r.mode(&c)
	r.database(&c)
	r.server(&c)
	r.work(&c)
	r.wake(&c)
	c.settings = r.settings
	return c, errors.Join(r.errs...)
}

// OnCloudRun says whether the process runs as a Cloud Run service or job.
func (c Config) OnCloudRun() bool { return c.Service != "" || c.Job != "" }

// CloudSQL says whether the database is the Cloud SQL instance; a DATABASE_URL comes first.
func (c Config) CloudSQL() bool { return c.DatabaseURL == "" && c.DatabaseInstance != "" }

// DatabaseName is the database to use where the URL names none: DATABASE_NAME, else a name of the mode, so that modes never share one.
func (c Config) DatabaseName() string {
	switch {
	case c.databaseName != "":
		return c.databaseName
	case c.Mode == lifecycle.Mock:
		return "orchestrator"
	default:
		return "orchestrator_" + string(c.Mode)
	}
}

// Settings lists every setting with its effective value, always in the same order, secrets hidden.
func (c Config) Settings() []Setting { return slices.Clone(c.settings) }

// LogValue lists the settings that have a value, secrets hidden.
func (c Config) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, s := range c.settings {
		if s.Value != "" {
			attrs = append(attrs, slog.String(s.Name, s.Value))
		}
	}
	return slog.GroupValue(attrs...)
}

// String is the same list for fmt, so that a stray %v prints no password either.
func (c Config) String() string { return fmt.Sprint(c.settings) }

func (r *reader) server(c *Config) {
	c.LogLevel = r.logLevel()
	c.URL, c.URLSet = r.url()
	listen := r.address("ORCHESTRATOR_LISTEN", "127.0.0.1:8080")
	port := r.integer("PORT", 8080, 1, 65535)
	c.Listen = listen
	if c.Service != "" {
		c.Listen = fmt.Sprintf(":%d", port)
	}
	c.Hosts = r.list("ORCHESTRATOR_HOSTS")
	c.FunctionTarget = r.oneOf("FUNCTION_TARGET", "", Functions()...)
}

func (r *reader) work(c *Config) {
	c.Project = r.text("ORCHESTRATOR_PROJECT", "")
	c.Region = r.text("ORCHESTRATOR_REGION", "us-central1")
	c.CallDeadline = r.duration("ORCHESTRATOR_CALL_DEADLINE", 30*time.Second)
	c.Claim = r.duration("ORCHESTRATOR_CLAIM", time.Minute)
	c.SettleWindow = r.duration("ORCHESTRATOR_SETTLE_WINDOW", 3*time.Minute)
	c.TickBudget = r.duration("ORCHESTRATOR_TICK_BUDGET", 50*time.Second)
	c.HistoryKept = r.integer("ORCHESTRATOR_HISTORY_KEPT", 900, 1, 1000)
	c.Concurrency = r.integer("ORCHESTRATOR_CONCURRENCY", 16, 1, 100)
	r.longer("ORCHESTRATOR_CLAIM", c.Claim, "ORCHESTRATOR_CALL_DEADLINE", c.CallDeadline)
	r.longer("ORCHESTRATOR_SETTLE_WINDOW", c.SettleWindow, "ORCHESTRATOR_CLAIM", c.Claim)
}

// longer keeps the order on which the ledger rests: a claim outlives its call, and the settle window outlives the claim.
func (r *reader) longer(name string, d time.Duration, shorterName string, shorter time.Duration) {
	if d > 0 && shorter > 0 && d <= shorter {
		r.errorf("%s is %s; it must be longer than %s, which is %s", name, brief(d), shorterName, brief(shorter))
	}
}
