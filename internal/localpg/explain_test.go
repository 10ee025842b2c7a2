package localpg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	server := mustStart(t, Options{Dir: filepath.Join(folder(t), "pg")})
	address, closed := onNetwork(t, server), closedPort(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	tests := []struct{ name, dsn, want string }{
		{"nobody listens", "postgres://u:secret@" + closed + "/d", "cannot reach PostgreSQL at " + closed + ": connection refused; is the server running there?"},
		{"no socket", "host=/nowhere port=1 password=secret", "cannot reach PostgreSQL at the socket in /nowhere: there is no socket; is the server running?"},
		{"an unknown host", "postgres://u:secret@nowhere.invalid/d", `cannot reach PostgreSQL at nowhere.invalid:5432: the host "nowhere.invalid" is not known`},
		{"no answer", "postgres://u:secret@" + silent.Addr().String() + "/d?sslmode=disable", "cannot reach PostgreSQL at " + silent.Addr().String() + ": no answer in time"},
		{"a user who may not", "postgres://stranger:secret@" + address + "/postgres", `PostgreSQL at ` + address + ` does not let user "stranger" in: role "stranger" does not exist; check user and password`},
		{"no such database", "postgres://postgres:secret@" + address + "/nothing", `PostgreSQL at ` + address + ` has no database "nothing"; "orchestrator init" or "migrate up" makes it`},
		{"Cloud SQL", "host=/cloudsql/p:r:i user=u dbname=d", "cannot reach Cloud SQL instance p:r:i: the connector has no credentials: connection refused"},
		{"a broken URL", "postgres://u:secret@h:port/d", "the database URL cannot be read; write it as postgres://user:password@host:5432/database"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			original := connect(t, test.dsn)
			err := Explain(original)
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			if !errors.Is(err, original) {
				t.Error("the original error cannot be found")
			}
		})
	}
}

// connect tries to, with a resolver that knows no name, and gives the driver's error.
func connect(t *testing.T, dsn string) error {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return err
	}
	cfg.ConnectTimeout = 500 * time.Millisecond
	cfg.LookupFunc = func(_ context.Context, host string) ([]string, error) {
		if net.ParseIP(host) != nil {
			return []string{host}, nil
		}
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if strings.HasPrefix(cfg.Host, "/cloudsql/") {
		cfg.DialFunc = func(context.Context, string, string) (net.Conn, error) {
			return nil, fmt.Errorf("the connector\nhas no credentials: %w", syscall.ECONNREFUSED)
		}
	}
	conn, err := pgx.ConnectConfig(within(t), cfg)
	if err == nil {
		_ = conn.Close(within(t))
		t.Fatal("it connected")
	}
	return err
}

func TestExplainSaysWhoMayNotEnterWhichDatabase(t *testing.T) {
	t.Parallel()
	server := mustStart(t, Options{Dir: filepath.Join(folder(t), "pg")})
	conn, err := pgx.Connect(within(t), server.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(within(t)) })
	for _, sql := range []string{`CREATE ROLE "tick@p.iam" LOGIN`, `CREATE DATABASE jobs`, `REVOKE CONNECT ON DATABASE jobs FROM PUBLIC`} {
		if _, err := conn.Exec(within(t), sql); err != nil {
			t.Fatal(err)
		}
	}
	address := onNetwork(t, server)
	const grants = `; it must be an IAM user of the instance, and the migration job ("migrate up") makes its grants`
	for _, test := range []struct{ name, dsn, want string }{
		{"no role in Cloud SQL", "host=/cloudsql/p:r:i user=trigger@p.iam dbname=jobs", `Cloud SQL instance p:r:i does not let user "trigger@p.iam" into database "jobs": role "trigger@p.iam" does not exist` + grants},
		{"no right in Cloud SQL", "host=/cloudsql/p:r:i user=tick@p.iam dbname=jobs", `Cloud SQL instance p:r:i does not let user "tick@p.iam" into database "jobs": permission denied for database "jobs"` + grants},
		{"no right elsewhere", "postgres://tick%40p.iam@" + address + "/jobs", `PostgreSQL at ` + address + ` does not let user "tick@p.iam" into database "jobs": permission denied for database "jobs"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := pgx.ParseConfig(test.dsn + " sslmode=disable")
			if strings.HasPrefix(test.dsn, "postgres://") {
				cfg, err = pgx.ParseConfig(test.dsn + "?sslmode=disable")
			}
			if err != nil {
				t.Fatal(err)
			}
			cfg.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", address)
			}
			_, err = pgx.ConnectConfig(within(t), cfg)
			if err == nil || Explain(err).Error() != test.want {
				t.Errorf("got  %v\nwant %s", Explain(err), test.want)
			}
		})
	}
}

func TestExplainLeavesOtherErrorsAlone(t *testing.T) {
	t.Parallel()
	if Explain(nil) != nil {
		t.Error("no error was explained")
	}
	other := &pgconn.PgError{Message: "a query failed"}
	if got := Explain(other); got != error(other) {
		t.Errorf("got %v", got)
	}
}

func TestEnsureDatabaseMakesItOnce(t *testing.T) {
	t.Parallel()
	server := mustStart(t, Options{Dir: filepath.Join(folder(t), "pg")})
	dsn := strings.Replace(server.DSN("x"), "dbname=x", `dbname='odd "name'`, 1)
	var made atomic.Int32
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			created, err := EnsureDatabase(within(t), dsn)
			if err != nil {
				t.Error(err)
			}
			if created {
				made.Add(1)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 {
		t.Errorf("%d of six made the database; want 1", made.Load())
	}
	if got := query(t, dsn, "SELECT current_database()"); got != `odd "name` {
		t.Errorf("the database is %q", got)
	}
	_, err := EnsureDatabase(within(t), "postgres://u:secret@"+closedPort(t)+"/d")
	if err == nil || !strings.HasPrefix(err.Error(), "cannot reach PostgreSQL at 127.0.0.1:") || strings.Contains(err.Error(), "secret") {
		t.Errorf("the error is %v", err)
	}
}
