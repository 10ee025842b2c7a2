package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/testdb"
)

// command is a program and its arguments.
type command struct {
	program string
	args    []string
}

// openers are the programs that open a database which must be ready.
var openers = []command{{server, nil}, {apart, []string{"status"}}, {apart, []string{"trigger", "nightly"}}, {apart, []string{"tick"}}}

// makers are those that make the database ready first.
var makers = []command{{orchestrator, []string{"run"}}, {orchestrator, []string{"init"}}, {migrate, []string{"up"}}}

// conflictOf is the exit code of a program that the state of its database forbids to start.
func conflictOf(program string) int {
	if program == server || program == migrate {
		return 1
	}
	return 4
}

func TestADatabaseThatIsNotReadyIsRefused(t *testing.T) {
	t.Parallel()
	empty := &world{t: t, db: testdb.Empty(t)}
	bare := &world{t: t, db: testdb.New(t, testdb.WithoutInstallation())}
	for _, w := range []*world{empty, bare} {
		before := w.dump()
		for _, c := range openers {
			run(t, c.program, []string{"DATABASE_URL=" + w.db.DSN}, c.args...).refused(1, `run "orchestrator init"`)
		}
		w.unchanged(before)
	}
}

func TestAProgramThatIsTooOldForTheDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, sql string
		makers    []command
	}{
		{"the schema names a newer release", `UPDATE installation SET oldest_release = 999`, makers[:1]},
		{"a newer release has migrated it", `UPDATE installation SET oldest_release = 999; UPDATE schema_migrations SET version = 999`, makers},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, lifecycle.Mock)
			w.exec(c.sql)
			before := w.dump()
			for _, c := range openers {
				run(t, c.program, w.env, c.args...).refused(conflictOf(c.program), "this program is too old for the database", "release 999 or newer")
			}
			for _, c := range c.makers {
				run(t, c.program, w.with("ORCHESTRATOR_LISTEN=127.0.0.1:0"), c.args...).refused(conflictOf(c.program), "999")
			}
			w.unchanged(before)
		})
	}
}

func TestADatabaseThatIsTooOldForTheProgramIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Mock)
	w.exec(`UPDATE schema_migrations SET version = 1`)
	before := w.dump()
	for _, c := range openers {
		run(t, c.program, w.env, c.args...).refused(1, "the database has schema version 1 and this program needs ", `run "orchestrator init" or "migrate up"`)
	}
	w.unchanged(before)
}

func TestAUserWithoutGrantsIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Mock)
	role := w.db.Name + "_tick"
	w.exec(`CREATE ROLE ` + role + ` LOGIN PASSWORD 'hidden'`)
	t.Cleanup(func() {
		if _, err := w.db.Pool.Exec(context.Background(), `DROP ROLE `+role); err != nil {
			t.Error(err)
		}
	})
	before := w.dump()
	env := w.with("DATABASE_URL=" + w.db.DSN + " user=" + role + " password=hidden") // the last one counts
	for _, c := range openers {
		o := run(t, c.program, env, c.args...)
		o.refused(1, fmt.Sprintf("user %q may not use the tables of database %q", role, w.db.Name), `the migration job ("migrate up") makes the grants`)
		if strings.Contains(o.stderr, "hidden") {
			t.Errorf("%v tells the password: %s", o.args, o.stderr)
		}
	}
	w.unchanged(before)
}

func TestADatabaseThatCannotBeReachedIsSaid(t *testing.T) {
	t.Parallel()
	closed := freeAddress(t)
	for _, c := range []struct{ name, url, told string }{
		{"nobody listens", "postgres://u:hidden@" + closed + "/d", "cannot reach PostgreSQL at " + closed + ": connection refused"},
		{"no such host", "postgres://u:hidden@nowhere.invalid/d", `the host "nowhere.invalid" is not known`},
		{"no socket", "host=/nowhere user=u password=hidden dbname=d", "cannot reach PostgreSQL at the socket in /nowhere"},
		{"not a URL", "mysql://u:hidden@h/d", "it must be a PostgreSQL URL"},
		{"not a port", "postgres://u:hidden@h:port/d", "DATABASE_URL is"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, p := range slices.Concat(openers, makers) {
				o := run(t, p.program, []string{"DATABASE_URL=" + c.url, "ORCHESTRATOR_LISTEN=127.0.0.1:0"}, p.args...)
				o.refused(1, c.told)
				if strings.Contains(o.stderr, "hidden") {
					t.Errorf("%v tells the password: %s", o.args, o.stderr)
				}
			}
		})
	}
}

func TestAnOrchestratorThatCannotBeReachedIsSaid(t *testing.T) {
	t.Parallel()
	closed := "http://" + freeAddress(t)
	for _, args := range [][]string{{"status"}, {"tick"}, {"trigger", "a"}, {"list-workflows"}, {"tasks", "a.1"}, {"cancel", "a.1"}} {
		o := run(t, orchestrator, []string{"ORCHESTRATOR_URL=" + closed}, args...)
		o.refused(1, "cannot reach the orchestrator at "+closed, `start one with "orchestrator run", or set ORCHESTRATOR_URL`)
	}
	run(t, orchestrator, []string{"ORCHESTRATOR_URL=ftp://x"}, "status").refused(2, "ORCHESTRATOR_URL")
}

func TestAPortInUseIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Mock)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	told := "cannot listen on " + address + ": another program does already; stop it, or set "
	before := w.dump()
	run(t, orchestrator, w.with("ORCHESTRATOR_LISTEN="+address), "run").refused(1, told+"--listen or ORCHESTRATOR_LISTEN")
	run(t, orchestrator, w.env, "run", "--listen", address).refused(1, told+"--listen or ORCHESTRATOR_LISTEN")
	run(t, orchestrator, nil, "emulator", "--jobs", definition(t, jobs), "--listen", address).refused(1, told+"--listen to")
	o := run(t, server, w.with("ORCHESTRATOR_LISTEN="+address)).ends(1).tells("error: " + told + "ORCHESTRATOR_LISTEN")
	checkWords(t, o.stderr)
	run(t, orchestrator, w.env, "run", "--listen", "nonsense").refused(1, `cannot listen on "nonsense": it must be a host:port`)
	run(t, orchestrator, w.with("ORCHESTRATOR_LISTEN=nonsense"), "run").refused(1, "ORCHESTRATOR_LISTEN", "host:port")
	w.unchanged(before)
}

// A database that goes away under a running server is a 503 until it is back.
func TestADatabaseThatGoesAwayIsToldAndComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lifecycle.Mock)
	cfg := w.db.Pool.Config().ConnConfig
	wire := newWire(t, place(cfg.Host, cfg.Port), 0)
	w.env = w.with(fmt.Sprintf("DATABASE_URL=postgres://%s:%s@%s/%s?sslmode=disable", cfg.User, url.QueryEscape(cfg.Password), wire.address, cfg.Database))
	w.serve()
	w.workflow("nightly", "any-job", 1)
	wire.cut()
	unreachable := []string{"the database cannot be reached"}
	w.problem(t, request{method: http.MethodGet, path: "/status/runs", status: 503, told: unreachable})
	w.problem(t, request{method: http.MethodPost, path: "/trigger/nightly", status: 503, told: unreachable})
	w.cli("tick").refused(1, unreachable...)
	w.cli("status").refused(1, unreachable...)
	wire.mend()
	w.cli("trigger", "nightly").ok()
	w.cli("tick").ok().shows("nightly.1 success")
}

// place is where a PostgreSQL listens.
func place(host string, port uint16) net.Addr {
	if strings.HasPrefix(host, "/") {
		return &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("%s/.s.PGSQL.%d", host, port)}
	}
	return address(net.JoinHostPort(host, fmt.Sprint(port)))
}
