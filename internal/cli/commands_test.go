package cli

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/api"

	"github.com/google/go-cmp/cmp"
)

func TestLocalCommandsPassTheirFlagsOnAndSayWhatStarted(t *testing.T) {
	t.Parallel()
	local := Local{
		Init: func(_ context.Context, r InitRequest) (InitResult, error) {
			return InitResult{Database: "localhost:5432/orchestrator_emulator", How: "DATABASE_URL", Created: true, To: 5, Mode: r.Mode}, nil
		},
		Serve: func(_ context.Context, r ServeRequest) error {
			r.Ready(ServeInfo{URL: "http://" + r.Listen, Database: "localhost:5432/orchestrator", CloudRun: "MOCK, nothing runs"})
			return nil
		},
		Emulator: func(_ context.Context, r EmulatorRequest) error {
			ready := r.Ready
			r.Ready = nil
			want := EmulatorRequest{Jobs: "jobs.yaml", Limits: "on", Listen: "127.0.0.1:9", LogDir: "logs"}
			if r.Faults != "" {
				want = EmulatorRequest{Jobs: "jobs.yaml", Faults: "faults.yaml", Limits: "run=60", Listen: "127.0.0.1:8085"}
			}
			if diff := cmp.Diff(want, r); diff != "" {
				t.Error(diff)
			}
			ready(EmulatorInfo{Address: r.Listen, Limits: "in some words: " + r.Limits, Faults: r.Faults})
			return nil
		},
		Settings: func(context.Context) ([]Setting, error) {
			return []Setting{{"ORCHESTRATOR_MODE", "mock", "default"}, {"DATABASE_URL", "postgres://…", "environment"}}, nil
		},
	}
	tests := []struct {
		name string
		args []string
	}{
		{"init", []string{"init", "--mode", "emulator"}},
		{"init_json", []string{"init", "--mode", "emulator", "-o", "json"}},
		{"run", []string{"run", "--listen", "127.0.0.1:8081", "--every", "2s"}},
		{"emulator", []string{"emulator", "--jobs", "jobs.yaml", "--listen", "127.0.0.1:9", "--log-dir", "logs"}},
		{"emulator_faults", []string{"emulator", "--jobs", "jobs.yaml", "--faults", "faults.yaml", "--limits", "run=60"}},
		{"emulator_without_jobs", []string{"emulator"}},
		{"config", []string{"config"}},
		{"config_json", []string{"config", "-o", "json"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tm := withEnv(nil)
			tm.Local = local
			golden(t, "local_"+tt.name, tm.transcript(tt.args, tm.run(t, tt.args...), "http://127.0.0.1:1"))
		})
	}
}

func TestInitSaysWhatItDidToTheSchema(t *testing.T) {
	t.Parallel()
	tests := map[string]InitResult{
		"schema    made, version 5\n":                {To: 5},
		"schema    version 5, nothing to do\n":       {From: 5, To: 5},
		"schema    brought from version 3 to 5\n":    {From: 3, To: 5},
		"database  d   is there already (default)\n": {Database: "d", How: "default"},
	}
	for want, result := range tests {
		tm := withEnv(nil)
		tm.Local.Init = func(context.Context, InitRequest) (InitResult, error) { return result, nil }
		if code := tm.run(t, "init"); code != exitOK || !strings.Contains(tm.out.String(), want) {
			t.Errorf("exit code %d: %s", code, tm.out.String())
		}
	}
}

func TestCommandThatTheProgramLacksSaysSo(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"init"}, {"run"}, {"emulator", "--jobs", "x"}, {"config"}, {"demo"}} {
		tm := withEnv(nil)
		if code := tm.run(t, args...); code != exitFailed || !strings.Contains(tm.err.String(), `built without the command "`+args[0]+`"`) {
			t.Errorf("%v: exit code %d: %s", args, code, tm.err.String())
		}
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	t.Parallel()
	for _, cmd := range New(withEnv(nil).Options).Commands() {
		if cmd.Example == "" || cmd.Short == "" {
			t.Errorf("%s has no example or no line about it", cmd.Name())
		}
		tm := withEnv(nil)
		if code := tm.run(t, cmd.Name(), "--help"); code != exitOK || !strings.Contains(tm.out.String(), "Examples:") {
			t.Errorf("%s --help: exit code %d", cmd.Name(), code)
		}
	}
}

func TestTickThatFailedShowsItsReportAndTheErrors(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.tick = func(int) (int, any) {
		return http.StatusInternalServerError, api.TickReport{Passes: 1, Phases: []api.PhaseReport{{Phase: "launch"}}, Errors: []string{"launch: the job is gone", "observe: no"}}
	}
	args := []string{"tick"}
	tm := at(f.URL)
	golden(t, "tick_failed", tm.transcript(args, tm.run(t, args...), f.URL))
}

func TestTickerLogsAnErrorOncePerChangeAndGoesOn(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.tick = func(n int) (int, any) {
		report := api.TickReport{Passes: 1, Phases: []api.PhaseReport{}, Errors: []string{}}
		switch {
		case n <= 3:
			report.Errors = []string{"launch: quota"}
		case n == 4:
			report.Errors = []string{"launch: gone"}
		case n == 6:
			report.Moved, report.TookMS, report.Finished = 3, 20, []string{"example-workflow.12 success"}
		case n == 8:
			cancel()
		}
		return http.StatusOK, report
	}
	tm := at(f.URL)
	if code := Run(ctx, []string{"tick", "--every", "5s"}, tm.Options); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if diff := cmp.Diff("error: tick: launch: quota\nerror: tick: launch: gone\ntick works again\n", tm.err.String()); diff != "" {
		t.Error(diff)
	}
	if want := "ticking every 5s at " + f.URL + "\ntick: 3 moved in 0.0 s, example-workflow.12 success\n"; tm.out.String() != want {
		t.Errorf("got %s", tm.out.String())
	}
}

func TestNextTickStartsAnIntervalAfterTheLastBegan(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	c := &clock{now: noon()}
	took := []time.Duration{time.Second, 4 * time.Second, 9 * time.Second, 0}
	f.before = func(http.ResponseWriter, *http.Request) bool {
		c.Pause(context.Background(), took[0])
		took = took[1:]
		return false
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var paused []time.Duration
	tm := at(f.URL)
	tm.Now = c.Now
	tm.Pause = func(ctx context.Context, d time.Duration) {
		paused = append(paused, d)
		c.Pause(ctx, d)
		if len(took) == 0 {
			cancel()
		}
	}
	Run(ctx, []string{"tick", "--every", "5s"}, tm.Options)
	if diff := cmp.Diff([]time.Duration{4 * time.Second, time.Second, 5 * time.Second}, paused); diff != "" {
		t.Error(diff)
	}
}

func TestTickerGoesOnWhileNothingAnswers(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tm := at("http://127.0.0.1:1")
	pauses := 0
	tm.Pause = func(context.Context, time.Duration) {
		if pauses++; pauses == 3 {
			cancel()
		}
	}
	code := Run(ctx, []string{"tick", "--every", "5s"}, tm.Options)
	if code != exitOK || strings.Count(tm.err.String(), "error:") != 1 || pauses != 3 {
		t.Errorf("exit code %d after %d pauses: %s", code, pauses, tm.err.String())
	}
}

func TestCompletionOffersNamesFromTheServer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"trigger", ""}, "example-workflow\nnightly-report\n:4\n"},
		{[]string{"trigger", "example-workflow", ""}, ":4\n"},
		{[]string{"status", "--workflow", ""}, "example-workflow\nnightly-report\n:4\n"},
		{[]string{"status", ""}, "example-workflow.12\trunning\nnightly-report.311\tfailed\n:4\n"},
		{[]string{"cancel", ""}, "example-workflow.12\trunning\nnightly-report.311\tfailed\n:4\n"},
		{[]string{"tasks", "nightly-report.311", "--step", ""}, "extract\ntransform\n:4\n"},
		{[]string{"tasks", "nightly-report.311", "--status", ""}, "pending\ndispatched\nrunning\nsuccess\nfailed\ncancelled\nskipped\n:4\n"},
		{[]string{"status", "-o", ""}, "table\njson\n:4\n"},
		{[]string{"init", "--mode", ""}, "live\nemulator\nmock\n:4\n"},
	}
	for _, tt := range tests {
		tm := at(newFake(t).URL)
		tm.run(t, append([]string{"__complete"}, tt.args...)...)
		if diff := cmp.Diff(tt.want, tm.out.String()); diff != "" {
			t.Errorf("%q: %s", tt.args, diff)
		}
	}
}

func TestCompletionWithoutAServerOffersNothingAndStartsNothing(t *testing.T) {
	t.Parallel()
	tm := withEnv(nil)
	tm.Local = Local{InProcess: func(context.Context) (http.RoundTripper, func(), string, error) {
		t.Error("a pressed tab key made the functions")
		return nil, nil, "", errors.New("no")
	}}
	if code := tm.run(t, "__complete", "trigger", ""); code != exitOK || tm.out.String() != ":4\n" {
		t.Errorf("exit code %d: %s", code, tm.out.String())
	}
}
