// Command server serves the functions through the functions framework: the one of FUNCTION_TARGET at /, or all four by their names.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"cloud-run-orchestrator/functions"
	"cloud-run-orchestrator/internal/app"
	"cloud-run-orchestrator/internal/config"
	"cloud-run-orchestrator/internal/release"

	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
	registry "github.com/GoogleCloudPlatform/functions-framework-go/functions"
)

func main() {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "--version":
		fmt.Println("server", release.String())
		return
	case len(os.Args) > 1:
		fmt.Fprintln(os.Stderr, "usage: server, or server --version; all else is said by environment variables, which the README lists")
		os.Exit(2)
	}
	cfg, err := config.Load(os.Getenv)
	log := functions.NewLogger(os.Stderr, cfg.LogLevel, cfg.OnCloudRun(), cfg.Project)
	if err == nil {
		err = serve(cfg, log)
	}
	if err == nil {
		return
	}
	if cfg.OnCloudRun() {
		log.Error("cannot serve: " + err.Error())
	} else {
		fmt.Fprintln(os.Stderr, "error:", err)
	}
	os.Exit(1)
}

// serve answers until SIGTERM. It never migrates: that is a job of its own, with rights that no function has.
func serve(cfg config.Config, log *slog.Logger) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	a, err := app.Open(ctx, cfg, release.Version(), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	if err := register(ctx, a.Functions, cfg.FunctionTarget); err != nil {
		return err
	}
	// The framework joins host and port itself, and takes an IPv6 host with its brackets.
	colon := strings.LastIndexByte(cfg.Listen, ':')
	host, port := cfg.Listen[:colon], cfg.Listen[colon+1:]
	log.Info("starting", "address", cfg.Listen, "function", cfg.FunctionTarget, "database", a.Database, "cloud_run", a.CloudRun, "version", release.Version(), "commit", release.Commit())
	// The framework's server has no timeouts of its own. Cloud Run's front end reads a request's header before we see it, elsewhere we listen on
	// loopback, and the handlers limit the time of bodies and requests.
	return a.Functions.Serve(ctx, cfg.Listen, func() error { return funcframework.StartHostPort(host, port) })
}

// register names the functions to the framework. A nameless one would be served for any FUNCTION_TARGET, so there is none where that is set;
// without it the framework serves a name's own path only, and the nameless one gets what is below.
func register(ctx context.Context, f *functions.Functions, target string) error {
	if target != "" {
		registry.HTTP(target, f.Handler(target).ServeHTTP)
		return nil
	}
	all := f.All()
	for _, name := range functions.Names() {
		registry.HTTP(name, all.ServeHTTP)
	}
	return funcframework.RegisterHTTPFunctionContext(ctx, "/", func(w http.ResponseWriter, r *http.Request) { all.ServeHTTP(w, r) })
}
