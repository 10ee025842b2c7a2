package localpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestWithDatabase(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, dsn, want string }{
		{"a URL without a name gets it", "postgres://u:p@h:1/", "postgres://u:p@h:1/wanted"},
		{"also without the slash", "postgres://u:p@h:1", "postgres://u:p@h:1/wanted"},
		{"and before its query", "postgres://u@h?sslmode=disable&pool_max_conns=3", "postgres://u@h/wanted?sslmode=disable&pool_max_conns=3"},
		{"a URL's own name stays", "postgres://u@h/own?sslmode=disable", "postgres://u@h/own?sslmode=disable"},
		{"also one in its query", "postgres://u@h/?dbname=own", "postgres://u@h/?dbname=own"},
		{"keywords without a name get it", "host=/tmp user=u", "dbname='wanted' host=/tmp user=u"},
		{"keywords keep theirs, as the later one", "host=/tmp dbname=own", "dbname='wanted' host=/tmp dbname=own"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := withDatabase(test.dsn, "wanted")
			if err != nil || got != test.want {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
			cfg, err := pgx.ParseConfig(got)
			if err != nil {
				t.Fatal(err)
			}
			want := "wanted"
			if strings.Contains(test.dsn, "own") {
				want = "own"
			}
			if cfg.Database != want {
				t.Errorf("the driver reads database %q; want %q", cfg.Database, want)
			}
		})
	}
}

func TestResolveTakesTheURLFirst(t *testing.T) {
	t.Parallel()
	got, err := Resolve(within(t), Want{URL: "postgres://u:secret@h:1/", DefaultURL: "postgres://u@h2:2/", Name: "wanted", BinDir: folder(t)})
	if err != nil {
		t.Fatal(err)
	}
	if got.DSN != "postgres://u:secret@h:1/wanted" || got.How != "DATABASE_URL" {
		t.Errorf("got %+v", got)
	}
	if err := got.Stop(); err != nil {
		t.Error(err)
	}
}

func TestResolveTakesTheDefaultServerThatLetsUsIn(t *testing.T) {
	t.Parallel()
	server := mustStart(t, Options{Dir: filepath.Join(folder(t), "pg")})
	address := onNetwork(t, server)
	want := Want{DefaultURL: "postgres://postgres@" + address + "/?sslmode=disable", Name: "wanted", BinDir: folder(t), Docker: "false"}
	got, err := Resolve(within(t), want)
	if err != nil {
		t.Fatal(err)
	}
	if got.How != "server at "+address || got.DSN != "postgres://postgres@"+address+"/wanted?sslmode=disable" {
		t.Errorf("got %+v", got)
	}
}

func TestResolveStartsItsOwnServerWhereTheDefaultOneDoesNotLetUsIn(t *testing.T) {
	t.Parallel()
	other := mustStart(t, Options{Dir: filepath.Join(folder(t), "other")})
	address := onNetwork(t, other)
	dir := filepath.Join(folder(t), "pg")
	want := Want{DefaultURL: "postgres://stranger@" + address + "/?sslmode=disable", Name: "wanted", DataDir: dir}
	first, err := Resolve(within(t), want)
	if err != nil {
		t.Fatal(err)
	}
	note := fmt.Sprintf(", data in %s (the server at %s does not let user stranger in)", dir, address)
	if !strings.HasPrefix(first.How, "started "+other.Version()) || !strings.HasSuffix(first.How, note) {
		t.Errorf("how: %s", first.How)
	}
	want.DefaultURL = "postgres://postgres@" + closedPort(t) + "/"
	second, err := Resolve(within(t), want)
	if err != nil {
		t.Fatal(err)
	}
	if second.How != fmt.Sprintf("running %s, data in %s", other.Version(), dir) || second.DSN != first.DSN {
		t.Errorf("the second process got %+v", second)
	}
	if created, err := EnsureDatabase(within(t), first.DSN); err != nil || !created {
		t.Errorf("created %v, %v", created, err)
	}
	if got := query(t, second.DSN, "SELECT current_database()"); got != "wanted" {
		t.Errorf("the database is %q", got)
	}
	for _, d := range []*Database{first, second} {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	}
	awaitGone(t, dir)
}

func TestResolveRunsAContainerWhereDockerAnswers(t *testing.T) {
	t.Parallel()
	server := mustStart(t, Options{Dir: filepath.Join(folder(t), "pg")})
	address := onNetwork(t, server)
	dir := t.TempDir()
	docker := fakeDocker(t, dir, address)
	want := Want{Name: "wanted", BinDir: folder(t), Docker: docker, DataDir: filepath.Join(dir, "data")}
	got, err := Resolve(within(t), want)
	if err != nil {
		t.Fatal(err)
	}
	if got.DSN != "postgres://postgres:postgres@"+address+"/wanted?sslmode=disable" || !strings.Contains(got.How, "container orchestrator-postgres-") {
		t.Errorf("got %+v", got)
	}
	if _, err := Resolve(within(t), want); err != nil {
		t.Fatal(err)
	}
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(calls), "run --detach"); n != 1 {
		t.Errorf("%d containers were made by two processes; want 1:\n%s", n, calls)
	}
	if !strings.Contains(string(calls), "--publish 127.0.0.1::5432") {
		t.Errorf("the container does not listen on this machine only:\n%s", calls)
	}
}

func TestResolveSaysWhatToInstall(t *testing.T) {
	t.Parallel()
	want := Want{DefaultURL: "postgres://postgres@" + closedPort(t) + "/", BinDir: folder(t), Docker: "no-such-program", DataDir: folder(t)}
	_, err := Resolve(within(t), want)
	if !errors.Is(err, ErrNoBinaries) || !strings.Contains(err.Error(), "apt-get install postgresql") || strings.Contains(err.Error(), "\n") {
		t.Errorf("the error is %v", err)
	}
}

func TestResolveDoesNotWaitLongForASilentDefaultServer(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	want := Want{DefaultURL: "postgres://postgres@" + silent.Addr().String() + "/", BinDir: folder(t), Docker: "no-such-program", DataDir: folder(t)}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if _, err := Resolve(ctx, want); !errors.Is(err, ErrNoBinaries) {
		t.Errorf("the error is %v", err)
	}
	if ctx.Err() != nil {
		t.Error("it waited for the silent server")
	}
}

// onNetwork lets a server that has only a socket be reached over the network, at a free port.
func onNetwork(t *testing.T, s *Server) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("unix", filepath.Join(s.run, ".s.PGSQL.5432"))
			if err != nil {
				_ = from.Close()
				return
			}
			go pipe(from, to)
			go pipe(to, from)
		}
	}()
	return listener.Addr().String()
}

func pipe(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// fakeDocker is a docker program with one container, which is reached at the address. It notes its calls in dir.
func fakeDocker(t *testing.T, dir, address string) string {
	t.Helper()
	script := fmt.Sprintf(`#!/bin/sh
cd %q || exit 1
echo "$@" >>calls
case $1 in
container) [ -e made ] ;;
run) : >made ;;
port) echo %s ;;
esac
`, dir, address)
	path := filepath.Join(dir, "docker")
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
