package cli

import (
	"context"
	"net/http"
	"time"
)

// Local are the commands that need the whole orchestrator in their process, not only a server to ask. A nil function is a command that this program does not have.
type Local struct {
	// Init makes the database and brings its schema to the newest version.
	Init func(ctx context.Context, r InitRequest) (InitResult, error)
	// Serve serves all functions and ticks, until ctx ends.
	Serve func(ctx context.Context, r ServeRequest) error
	// Emulator serves an offline Cloud Run until ctx ends.
	Emulator func(ctx context.Context, r EmulatorRequest) error
	// Settings are the settings in force, and the database that they lead to.
	Settings func(ctx context.Context) ([]Setting, error)
	// InProcess gives the functions without a server. Its how says in some words over which database; close frees what it holds.
	InProcess func(ctx context.Context) (functions http.RoundTripper, close func(), how string, err error)
	// Token gives an ID token for a service of Cloud Run.
	Token func(ctx context.Context, audience string) (string, error)
	// Demo starts everything that the demonstration needs, apart from all else on the machine.
	Demo func(ctx context.Context, r DemoRequest) (DemoEnv, error)
}

// InitRequest asks for a database that is ready.
type InitRequest struct {
	Mode string // live, emulator or mock; empty leaves it to the settings
}

// InitResult is a database that is ready.
type InitResult struct {
	Database string `json:"database"` // where it is, without a password
	How      string `json:"how"`      // why this one, in some words
	Created  bool   `json:"created"`  // it is new
	From     int    `json:"from"`     // schema version before; 0 is none
	To       int    `json:"to"`       // schema version now
	Mode     string `json:"mode"`
}

// ServeRequest asks for the whole orchestrator in one process.
type ServeRequest struct {
	Listen string          // HOST:PORT; empty leaves it to the settings
	Every  time.Duration   // from the start of a tick to the start of the next
	Ready  func(ServeInfo) // called once, when the functions answer
}

// ServeInfo says what is being served.
type ServeInfo struct {
	URL      string // of the functions, as for ORCHESTRATOR_URL
	Database string // where it is, without a password
	CloudRun string // the mode and what stands behind it, in some words
}

// EmulatorRequest asks for an offline Cloud Run.
type EmulatorRequest struct {
	Jobs   string // the file with the jobs
	Faults string // the file with a script of faults; empty is none
	Limits string // on, off, or some changed, as in run=60,read=600
	Listen string // HOST:PORT
	LogDir string // where the tasks' output goes; empty drops it
	Ready  func(EmulatorInfo)
}

// EmulatorInfo is an offline Cloud Run that answers.
type EmulatorInfo struct {
	Address string // HOST:PORT
	Limits  string // in some words
	Faults  string // the script that was loaded, in some words; empty is none
}

// Setting is one setting in force.
type Setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"` // secrets are hidden
	Source string `json:"source"`
}

// DemoRequest asks for what the demonstration needs.
type DemoRequest struct {
	Say func(line string) // called for each part that has started
}

// DemoEnv is a running orchestrator with its own database, emulator and ticker.
type DemoEnv struct {
	URL        string            // of its functions
	Transport  http.RoundTripper // nil goes over the network
	ResultsDir string            // where the tasks write their results
	Close      func()            // ends everything and removes its files
}
