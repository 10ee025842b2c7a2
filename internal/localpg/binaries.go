package localpg

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// ErrNoBinaries: PostgreSQL is not installed on this machine.
var ErrNoBinaries = errors.New("no PostgreSQL server programs found; install them with `apt-get install postgresql` or `brew install postgresql@17`")

// oldest is the oldest major version of PostgreSQL that the schema works with.
const oldest = 15

// binaries are the server programs of one installed PostgreSQL.
type binaries struct {
	dir     string
	version string // as in 15.4
	major   int
}

var versionWords = regexp.MustCompile(`\(PostgreSQL\) ((\d+)\S*)`)

// findBinaries looks for the newest installed PostgreSQL, or for the given major version where that is not 0: kept data can only
// be read by the version that wrote it. A dir that is not empty is the only place searched.
func findBinaries(ctx context.Context, dir string, major int) (binaries, error) {
	var found []binaries
	for _, d := range searched(dir) {
		if b, ok := inspect(ctx, d); ok {
			found = append(found, b)
		}
	}
	if len(found) == 0 {
		return binaries{}, ErrNoBinaries
	}
	slices.SortStableFunc(found, func(a, b binaries) int { return b.major - a.major })
	if major == 0 {
		if found[0].major < oldest {
			return binaries{}, fmt.Errorf("the PostgreSQL in %s is version %s; version %d or newer is needed", found[0].dir, found[0].version, oldest)
		}
		return found[0], nil
	}
	i := slices.IndexFunc(found, func(b binaries) bool { return b.major == major })
	if i < 0 {
		return found[0], &versionError{data: major, programs: found[0].version}
	}
	return found[i], nil
}

// searched are the folders to look in: the given one, or all.
func searched(dir string) []string {
	if dir != "" {
		return []string{dir}
	}
	return candidateDirs()
}

// hasInitdb says whether server programs are in dir.
func hasInitdb(dir string) bool {
	_, err := exec.LookPath(filepath.Join(dir, "initdb"))
	return err == nil
}

// versionError: data was written by a PostgreSQL that is not installed any more.
type versionError struct {
	data     int
	programs string
}

func (e *versionError) Error() string {
	return fmt.Sprintf("written by PostgreSQL %d, but the installed version is %s", e.data, e.programs)
}

// inspect asks the postgres in dir for its version; not ok where dir has no server programs that run.
func inspect(ctx context.Context, dir string) (b binaries, ok bool) {
	if !hasInitdb(dir) {
		return binaries{}, false
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return binaries{}, false
	}
	words := versionWords.FindStringSubmatch(string(out))
	if words == nil {
		return binaries{}, false
	}
	major, err := strconv.Atoi(words[2])
	return binaries{dir: dir, version: words[1], major: major}, err == nil
}

// candidateDirs are the folder of the postgres in PATH and the places where packages put PostgreSQL.
func candidateDirs() []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",          // Debian, Ubuntu
		"/usr/pgsql-*/bin",                   // RPMs of the PostgreSQL project
		"/usr/libexec/postgresql*",           // Alpine
		"/opt/homebrew/opt/postgresql@*/bin", // Homebrew on Apple silicon
		"/usr/local/opt/postgresql@*/bin",    // Homebrew on Intel
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		matches, err := filepath.Glob(pattern)
		if err == nil {
			dirs = append(dirs, matches...)
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}
