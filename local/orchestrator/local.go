package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"time"

	"cloud-run-orchestrator/functions"
	"cloud-run-orchestrator/internal/app"
	"cloud-run-orchestrator/internal/cli"
	"cloud-run-orchestrator/internal/config"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/release"
)

// local are the commands that work in this process.
func local(getenv func(string) string) cli.Local {
	return cli.Local{
		Init:      func(ctx context.Context, r cli.InitRequest) (cli.InitResult, error) { return prepare(ctx, getenv, r) },
		Serve:     func(ctx context.Context, r cli.ServeRequest) error { return serve(ctx, getenv, r) },
		Emulator:  runEmulator,
		Settings:  func(ctx context.Context) ([]cli.Setting, error) { return settings(ctx, getenv) },
		InProcess: func(ctx context.Context) (http.RoundTripper, func(), string, error) { return inProcess(ctx, getenv) },
		Token:     newTokenSource(getenv).token,
		Demo:      demo,
	}
}

func prepare(ctx context.Context, getenv func(string) string, r cli.InitRequest) (cli.InitResult, error) {
	cfg, err := config.Load(withMode(getenv, r.Mode))
	if err != nil {
		return cli.InitResult{}, err
	}
	p, err := app.Prepare(ctx, cfg, r.Mode != "")
	return cli.InitResult{Database: p.Name, How: p.Database, Created: p.Created, From: p.From, To: p.To, Mode: string(p.Mode)}, told(err)
}

// told marks an error that the state of the database is to blame for.
func told(err error) error {
	if errors.Is(err, lifecycle.ErrConflict) {
		return cli.Conflict(err)
	}
	return err
}

// withMode sets the mode over the environment's.
func withMode(getenv func(string) string, mode string) func(string) string {
	return func(name string) string {
		if name == "ORCHESTRATOR_MODE" && mode != "" {
			return mode
		}
		return getenv(name)
	}
}

func serve(ctx context.Context, getenv func(string) string, r cli.ServeRequest) error {
	cfg, err := config.Load(getenv)
	if err != nil {
		return err
	}
	if r.Listen != "" {
		cfg.Listen = r.Listen
	}
	return told(app.Serve(ctx, cfg, release.Version(), r.Every, logger(cfg), func(s app.Serving) {
		r.Ready(cli.ServeInfo{URL: s.URL, Database: s.Database, CloudRun: s.CloudRun})
	}))
}

func runEmulator(ctx context.Context, r cli.EmulatorRequest) error {
	return app.ServeEmulator(ctx, app.Emulation{Jobs: r.Jobs, Faults: r.Faults, Limits: r.Limits, Listen: r.Listen, LogDir: r.LogDir, Ready: func(e app.Emulating) {
		r.Ready(cli.EmulatorInfo{Address: e.Address, Limits: e.Limits, Faults: e.Faults})
	}})
}

// settings are those of the environment, and the database that is chosen by them.
func settings(ctx context.Context, getenv func(string) string) ([]cli.Setting, error) {
	cfg, err := config.Load(getenv)
	if err != nil {
		return nil, err
	}
	var list []cli.Setting
	for _, s := range cfg.Settings() {
		list = append(list, cli.Setting{Name: s.Name, Value: s.Value, Source: s.Source})
	}
	database, how, err := app.ChosenDatabase(ctx, cfg)
	if err != nil { // the settings are worth seeing all the same
		database, how = "–", err.Error()
	}
	return append(list, cli.Setting{Name: "database", Value: database, Source: how}), nil
}

// inProcess serves the functions inside this process, over the database of the settings.
func inProcess(ctx context.Context, getenv func(string) string) (http.RoundTripper, func(), string, error) {
	cfg, err := config.Load(getenv)
	if err != nil {
		return nil, nil, "", err
	}
	if cfg.LogLevel == slog.LevelInfo { // for servers; a command has words of its own
		cfg.LogLevel = slog.LevelWarn
	}
	a, err := app.Open(ctx, cfg, release.Version(), logger(cfg))
	if err != nil {
		return nil, nil, "", told(err)
	}
	return functions.Transport(a.Functions.All()), func() { finish(a, cfg.CallDeadline) }, a.Database, nil
}

// finish ends the functions of this process. A command that was interrupted may have left a tick in the middle of a call: what that call did
// is recorded first, or it would have to be found out later.
func finish(a *app.App, longestCall time.Duration) {
	const record = 2 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), longestCall+record)
	defer cancel()
	_ = a.Functions.Drain(ctx) // a second Ctrl-C ends the process
	_ = a.Close()
}

func demo(ctx context.Context, r cli.DemoRequest) (cli.DemoEnv, error) {
	d, err := app.StartDemo(ctx, "local/examples/jobs.yaml", release.Version(), slog.New(slog.DiscardHandler), r.Say)
	if err != nil {
		return cli.DemoEnv{}, err
	}
	return cli.DemoEnv{URL: d.URL, ResultsDir: d.ResultsDir, Close: d.Close}, nil
}

func logger(cfg config.Config) *slog.Logger {
	return functions.NewLogger(os.Stderr, cfg.LogLevel, cfg.OnCloudRun(), cfg.Project)
}
