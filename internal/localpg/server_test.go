package localpg

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestServerKeepsItsDataOverARestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "pg")
	first := mustStart(t, Options{Dir: dir, Durable: true})
	if got := query(t, first.DSN("postgres"), "SHOW fsync"); got != "on" {
		t.Errorf("fsync is %s in a durable server", got)
	}
	if got := query(t, first.DSN("postgres"), "SHOW listen_addresses"); got != "" {
		t.Errorf("the server listens on %s", got)
	}
	execute(t, first, "CREATE TABLE kept (word text)", "INSERT INTO kept VALUES ('still here')")
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, dir)
	if err := first.Stop(); err != nil {
		t.Errorf("a second Stop: %v", err)
	}

	second := mustStart(t, Options{Dir: dir})
	if got := query(t, second.DSN("postgres"), "SELECT word FROM kept"); got != "still here" {
		t.Errorf("the kept row is %q", got)
	}
	if got := query(t, second.DSN("postgres"), "SHOW fsync"); got != "off" {
		t.Errorf("fsync is %s in a server for tests", got)
	}
	if second.joined || major(second.Version()) < oldest {
		t.Errorf("joined %v, version %q", second.joined, second.Version())
	}
}

func TestTemporaryDataGoesWithItsServer(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "pg")
	s := mustStart(t, Options{Dir: dir, Temporary: true})
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data is still there: %v", err)
	}
}

func TestProcessesShareOneServer(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "pg")
	var users []*process
	for range 4 { // all at once, on a folder that does not exist yet
		users = append(users, newProcess(t, dir, 0))
	}
	started := 0
	for _, u := range users {
		if strings.HasSuffix(u.says("ready"), "false") {
			started++
		}
	}
	if started != 1 {
		t.Errorf("%d processes started a server; want 1", started)
	}
	here := mustStart(t, Options{Dir: dir})
	conn, err := pgx.Connect(within(t), here.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	users[0].leave()
	users[1].kill()
	users[2].leave()
	users[3].kill()
	if err := conn.Ping(within(t)); err != nil {
		t.Errorf("the others' end broke our connection: %v", err)
	}
	if err := conn.Close(within(t)); err != nil {
		t.Error(err)
	}
	if err := here.Stop(); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, dir)
}

func TestAKilledProcessLeavesNoServer(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "pg")
	first := newProcess(t, dir, 0)
	first.says("ready")
	first.kill()
	awaitGone(t, dir)

	// killed in the middle of a start, after the pipe of the first server was made and before the second one is ready
	second := newProcess(t, dir, 0)
	second.kill()
	awaitGone(t, dir)
	third := newProcess(t, dir, 0)
	err := until(within(t), func() (bool, error) {
		_, err := os.Stat(filepath.Join(dir, "data", "postmaster.pid"))
		return err == nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	third.kill()
	awaitGone(t, dir)
	mustStart(t, Options{Dir: dir})
}

func TestAPlainUserHasAServerToo(t *testing.T) {
	t.Parallel()
	const nobody = 65534
	uid := uint32(0) // ourselves, where we are a plain user already
	if os.Geteuid() == 0 {
		uid = nobody
	}
	dir := filepath.Join(folder(t), "pg")
	first, second := newProcess(t, dir, uid), newProcess(t, dir, uid)
	first.says("ready")
	second.says("ready")
	first.kill()
	second.leave()
	awaitGone(t, dir)
}

func TestStartAsRootNamesTheFolderThatTheServerCannotEnter(t *testing.T) {
	t.Parallel()
	closed := filepath.Join(folder(t), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	who := owner{name: "postgres", credential: &syscall.Credential{Uid: 4242, Gid: 4242}}
	err := who.canReach(filepath.Join(closed, "pg"))
	if err == nil || !strings.Contains(err.Error(), "user postgres, who cannot enter "+closed) {
		t.Errorf("the error is %v", err)
	}
}

func TestStartRefusesAFolderOfAnotherUser(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "link")
	if err := os.Symlink(folder(t), dir); err != nil {
		t.Fatal(err)
	}
	_, err := Start(within(t), Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "is not a folder of this user") {
		t.Errorf("the error is %v", err)
	}
}

func TestStartAfterAKilledWatcherFindsTheServerAgain(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "pg")
	s := mustStart(t, Options{Dir: dir})
	execute(t, s, "CREATE TABLE kept (word text)")
	killWatchers(t, dir)
	if err := until(within(t), func() (bool, error) { return errors.Is(watched(s.run), errNobodyWatches), nil }); err != nil {
		t.Fatal(err)
	}
	again := mustStart(t, Options{Dir: dir})
	if again.joined {
		t.Error("it joined a server that nobody watches")
	}
	execute(t, again, "TABLE kept")
	if err := again.Stop(); err != nil {
		t.Fatal(err)
	}
	execute(t, s, "TABLE kept") // the first user still counts as one
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, dir)
}

func TestStartNeverTouchesDataOfAnotherVersion(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "pg")
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(within(t), Options{Dir: dir, Durable: true})
	if err == nil {
		t.Fatal("it started")
	}
	for _, words := range []string{data, "written by PostgreSQL 9, but the installed version is ", "install PostgreSQL 9", "nothing was changed"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("the error does not say %q: %v", words, err)
		}
	}
	entries, err := os.ReadDir(data)
	if err != nil || len(entries) != 1 {
		t.Errorf("the data was changed: %v %v", entries, err)
	}
}

func TestStartSaysWhyTheServerEnded(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "pg")
	_, err := Start(within(t), Options{Dir: dir, Settings: []string{"shared_buffers=1"}})
	if err == nil || !strings.Contains(err.Error(), "shared_buffers") || strings.Contains(err.Error(), "\n") {
		t.Errorf("the error is %v", err)
	}
	awaitGone(t, dir)
}

func TestStartWithoutProgramsNamesThePackage(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "pg")
	_, err := Start(within(t), Options{Dir: dir, BinDir: folder(t)})
	if !errors.Is(err, ErrNoBinaries) || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("the error is %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder was made for nothing: %v", err)
	}
}

func TestStartInAFolderTooLongForASocket(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), strings.Repeat("long ", 30))
	if runDir(dir) == dir {
		t.Fatal("the folder is not too long")
	}
	first := mustStart(t, Options{Dir: dir})
	second := mustStart(t, Options{Dir: dir})
	t.Cleanup(func() { _ = os.RemoveAll(first.run) })
	if !second.joined || second.DSN("x") != first.DSN("x") {
		t.Errorf("the second start made %q beside %q", second.DSN("x"), first.DSN("x"))
	}
	query(t, second.DSN("postgres"), "SHOW port")
}

func TestServerLingersForTheNextProcess(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "pg")
	s := mustStart(t, Options{Dir: dir, Linger: time.Hour})
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	awaitIdle(t, dir)
	next := mustStart(t, Options{Dir: dir})
	if !next.joined {
		t.Error("the server did not wait for the next process")
	}
	if err := next.Hold(0); err != nil {
		t.Fatal(err)
	}
	if err := next.Stop(); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, dir)
}

func TestStartGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "pg")
	mustStart(t, Options{Dir: dir})
	unlock, err := lock(within(t), filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Start(ctx, Options{Dir: dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

func execute(t *testing.T, s *Server, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(within(t), s.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(within(t)) }()
	for _, sql := range statements {
		if _, err := conn.Exec(within(t), sql); err != nil {
			t.Fatal(err)
		}
	}
}
