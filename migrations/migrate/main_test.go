package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloud-run-orchestrator/internal/release"
	"cloud-run-orchestrator/internal/testdb"
	"cloud-run-orchestrator/migrations"
)

// asCommand makes the test program the command itself, so that tests run it as a process.
const asCommand = "MIGRATE_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// migrate runs the command with nothing but these settings in its environment.
func migrate(t *testing.T, settings []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append([]string{asCommand + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, settings...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestTheLifeOfADatabase(t *testing.T) {
	t.Parallel()
	db := testdb.Empty(t)
	name := db.Name + "_new" // up makes it
	settings := []string{"DATABASE_URL=" + strings.Replace(db.DSN, db.Name, name, 1)}
	t.Cleanup(func() {
		if _, err := db.Pool.Exec(context.Background(), "DROP DATABASE IF EXISTS "+name); err != nil {
			t.Error(err)
		}
	})
	latest := migrations.Latest()
	steps := []struct {
		args   string
		code   int
		stdout string
		stderr string
	}{
		{"version", 1, "", fmt.Sprintf("error: PostgreSQL at the socket in PLACE has no database %q; \"orchestrator init\" or \"migrate up\" makes it\n", name)},
		{"up", 0, fmt.Sprintf("migrated from version 0 to %d\n", latest), ""},
		{"up", 0, fmt.Sprintf("already up to date at version %d\n", latest), ""},
		{"version", 0, fmt.Sprintf("version %d of %d\n", latest, latest), ""},
		{"down 99", 1, "", fmt.Sprintf("error: cannot take 99 migrations back; the database is at version %d\n", latest)},
		{fmt.Sprintf("down %d", latest), 0, fmt.Sprintf("migrated from version %d to 0\n", latest), ""},
		{"version", 0, fmt.Sprintf("version 0 of %d\n", latest), ""},
		{"force 1", 0, "recorded version 1; nothing was run\n", ""},
		{"force 99", 1, "", fmt.Sprintf("error: there is no version 99; it must be a number from 0 to %d\n", latest)},
	}
	place := strings.TrimPrefix(strings.Fields(db.DSN)[0], "host=")
	for _, step := range steps {
		code, stdout, stderr := migrate(t, settings, strings.Fields(step.args)...)
		stderr = strings.ReplaceAll(stderr, place, "PLACE")
		if code != step.code || stdout != step.stdout || stderr != step.stderr {
			t.Fatalf("migrate %s: code %d\n%s%s\nwant code %d\n%s%s", step.args, code, stdout, stderr, step.code, step.stdout, step.stderr)
		}
	}
}

func TestTheProgramSaysItsVersion(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := migrate(t, nil, "--version")
	if code != 0 || stdout != "migrate "+release.String()+"\n" || stderr != "" {
		t.Errorf("code %d, %q, %q", code, stdout, stderr)
	}
}

func TestAWrongCommandLineShowsTheUsage(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"", "sideways", "up now", "--version now", "down", "down none", "down 0", "force", "force -1", "version 3"} {
		code, stdout, stderr := migrate(t, nil, strings.Fields(args)...)
		if code != 2 || stdout != "" || !strings.HasPrefix(stderr, "usage: migrate up ") {
			t.Errorf("migrate %s: code %d, %q, %q", args, code, stdout, stderr)
		}
	}
}

func TestFailuresAreOneSentenceEach(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	noCredentials := filepath.Join(t.TempDir(), "credentials.json")
	if err := os.WriteFile(noCredentials, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		settings []string
		want     string
	}{
		{"another mode", []string{"DATABASE_URL=" + db.DSN},
			`error: this database belongs to mode emulator, and this is mode mock; use another database, or "orchestrator init --mode mock" where no run is unfinished`},
		{"nobody there", []string{"DATABASE_URL=postgres://u:secret@" + address + "/d"},
			"error: cannot reach PostgreSQL at " + address + ": connection refused; is the server running there?"},
		{"a wrong setting", []string{"DATABASE_URL=" + db.DSN, "ORCHESTRATOR_MODE=real"},
			`error: ORCHESTRATOR_MODE is "real"; it must be live, emulator or mock`},
		{"Cloud SQL without credentials", []string{"DATABASE_INSTANCE=p:europe-west1:i", "DATABASE_USER=u@p.iam", "DATABASE_NAME=d", "GOOGLE_APPLICATION_CREDENTIALS=" + noCredentials},
			"error: connect to Cloud SQL instance p:europe-west1:i: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := migrate(t, test.settings, "up")
			if code != 1 || stdout != "" || !strings.HasPrefix(stderr, test.want) || strings.Count(stderr, "\n") != 1 || strings.Contains(stderr, "secret") {
				t.Errorf("code %d\n%s%s\nwant %s", code, stdout, stderr, test.want)
			}
		})
	}
}
