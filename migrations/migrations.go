// Package migrations holds the schema as numbered pairs of SQL files, brings a database to it, and writes the row that makes it an installation.
package migrations

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// FS holds the numbered pairs, as in 000001_init.up.sql and 000001_init.down.sql.
//
//go:embed *.sql
var FS embed.FS

// OldestRelease is the lowest Latest of a program that may use this schema. A migration that contracts raises it.
const OldestRelease = 1

// Latest is the number of the newest migration that this program knows.
func Latest() int {
	files, err := readFiles(FS)
	if err != nil {
		return 0 // the embedded names are checked by a test
	}
	latest := 0
	for _, f := range files {
		latest = max(latest, f.number)
	}
	return latest
}

// file is one half of a migration.
type file struct {
	number int
	up     bool
	sql    []byte
}

func readFiles(fsys fs.FS) ([]file, error) {
	names, err := fs.Glob(fsys, "*.sql")
	if err != nil {
		return nil, err
	}
	var files []file
	for _, name := range names {
		f := file{up: strings.HasSuffix(name, ".up.sql")}
		digits, _, _ := strings.Cut(name, "_")
		f.number, err = strconv.Atoi(digits)
		if err != nil || !f.up && !strings.HasSuffix(name, ".down.sql") {
			return nil, fmt.Errorf("%s is not a migration's name, as in 000001_init.up.sql", name)
		}
		if f.sql, err = fs.ReadFile(fsys, name); err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// transactional says whether the whole file is one transaction, so that a failure in it leaves nothing behind. That is so unless it ends
// transactions itself or holds a statement that cannot be in one.
func (f file) transactional() bool {
	sql := bytes.ToUpper(f.sql)
	for _, word := range []string{"CONCURRENTLY", "COMMIT;", "ROLLBACK;"} {
		if bytes.Contains(sql, []byte(word)) {
			return false
		}
	}
	return true
}

// name is how people call one half of a migration.
func (f file) name() string {
	if f.up {
		return fmt.Sprintf("migration %d", f.number)
	}
	return fmt.Sprintf("the way back of migration %d", f.number)
}
