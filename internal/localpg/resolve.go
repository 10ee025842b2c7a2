package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// DefaultURL is the server that is tried where nothing is set: what most installations and containers on a laptop look like.
const DefaultURL = "postgres://postgres:postgres@localhost:5432/"

// Want says which database a process wants.
type Want struct {
	// URL is used as it is where it is not empty (DATABASE_URL).
	URL string
	// DefaultURL is used where URL is empty and its server lets us in. Empty: not tried.
	DefaultURL string
	// Name is the database's name where the URL names none, and on every server that we start.
	Name string
	// DataDir keeps the data of a server that we start. Empty: DefaultDataDir.
	DataDir string
	// BinDir is the folder of the PostgreSQL programs, and Docker the docker program. Empty: they are searched.
	BinDir string
	Docker string
}

// Database is the database that a process uses. It may not exist on its server yet: see EnsureDatabase.
type Database struct {
	// DSN is a URL or keyword string with the database's name, possibly with a password.
	DSN string
	// How says in a few words what was chosen, without any password.
	How string

	server *Server
}

// Name is the database's name on its server.
func (d *Database) Name() string {
	cfg, err := pgx.ParseConfig(d.DSN)
	if err != nil { // Resolve has parsed it before
		return ""
	}
	return cfg.Database
}

// Stop ends this process's use of a server that it started or joined; see Server.Stop. Other servers are not touched.
func (d *Database) Stop() error {
	if d.server == nil {
		return nil
	}
	return d.server.Stop()
}

// Resolve finds the database, in this order: the URL; the server at the default URL, where it lets us in; the PostgreSQL installed on this
// machine, started by the first process and shared by all; a PostgreSQL container, where docker answers. The error names what to install.
func Resolve(ctx context.Context, w Want) (*Database, error) {
	if w.URL != "" {
		dsn, err := withDatabase(w.URL, w.Name)
		if err != nil {
			return nil, err
		}
		return &Database{DSN: dsn, How: "DATABASE_URL"}, nil
	}
	found, note, err := tryDefault(ctx, w)
	if err != nil || found != nil {
		return found, err
	}
	found, err = installed(ctx, w)
	if errors.Is(err, ErrNoBinaries) {
		found, err = container(ctx, w)
	}
	if err != nil {
		return nil, err
	}
	found.How += note
	return found, nil
}

// tryDefault asks the default server, which must answer within a second. The note says why one that is there is not used.
func tryDefault(ctx context.Context, w Want) (found *Database, note string, err error) {
	if w.DefaultURL == "" {
		return nil, "", nil
	}
	dsn, err := withDatabase(w.DefaultURL, w.Name)
	if err != nil {
		return nil, "", err
	}
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, "", Explain(err)
	}
	cfg.Database = "postgres"
	ctx, cancel := context.WithTimeout(ctx, 900*time.Millisecond)
	defer cancel()
	where := place(cfg.Host, cfg.Port)
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		if pgError(err) == nil {
			return nil, "", nil // nobody there
		}
		return nil, fmt.Sprintf(" (the server at %s does not let user %s in)", where, cfg.User), nil
	}
	version := conn.PgConn().ParameterStatus("server_version")
	if err := conn.Close(ctx); err != nil {
		return nil, "", nil
	}
	if major(version) < oldest {
		return nil, fmt.Sprintf(" (the server at %s is PostgreSQL %s; %d or newer is needed)", where, version, oldest), nil
	}
	return &Database{DSN: dsn, How: "server at " + where}, "", nil
}

// installed starts or joins the server of this machine's own PostgreSQL.
func installed(ctx context.Context, w Want) (*Database, error) {
	dir, err := w.dataDir()
	if err != nil {
		return nil, err
	}
	server, err := Start(ctx, Options{Dir: dir, BinDir: w.BinDir, Durable: true})
	if err != nil {
		return nil, err
	}
	verb := "started"
	if server.joined {
		verb = "running"
	}
	return &Database{
		DSN:    server.DSN(w.Name),
		How:    fmt.Sprintf("%s %s, data in %s", verb, server.Version(), dir),
		server: server,
	}, nil
}

func (w Want) dataDir() (string, error) {
	if w.DataDir != "" {
		return w.DataDir, nil
	}
	return DefaultDataDir()
}

// DefaultDataDir is where a server that we start keeps its data: the user's cache folder; for root, whose home no server can enter, /var/lib.
func DefaultDataDir() (string, error) {
	const name = "cloud-run-orchestrator"
	if os.Geteuid() == 0 {
		return filepath.Join("/var/lib", name, "postgres"), nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder for a database: %w; set DATABASE_URL", err)
	}
	return filepath.Join(cache, name, "postgres"), nil
}

// withDatabase adds the database's name to a URL or keyword string that has none.
func withDatabase(dsn, name string) (string, error) {
	scheme, rest, isURL := strings.Cut(dsn, "://")
	if !isURL {
		dsn = "dbname=" + quote(name) + " " + dsn // of two settings of one name the later counts
		_, err := pgx.ParseConfig(dsn)
		return dsn, Explain(err)
	}
	if _, err := pgx.ParseConfig(dsn); err != nil {
		return "", Explain(err)
	}
	beforeQuery, query, hasQuery := strings.Cut(rest, "?")
	host, path, _ := strings.Cut(beforeQuery, "/")
	if path != "" || namesDatabase(query) {
		return dsn, nil
	}
	dsn = scheme + "://" + host + "/" + name
	if hasQuery {
		dsn += "?" + query
	}
	return dsn, nil
}

func namesDatabase(query string) bool {
	for setting := range strings.SplitSeq(query, "&") {
		if key, _, _ := strings.Cut(setting, "="); key == "dbname" || key == "database" {
			return true
		}
	}
	return false
}

// quote writes a value for a keyword string.
func quote(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

// major is the first number of a version.
func major(version string) int {
	digits := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if digits >= 0 {
		version = version[:digits]
	}
	n, err := strconv.Atoi(version)
	if err != nil {
		return 0
	}
	return n
}

// TestBase is the folder for data that nobody keeps: memory where there is plenty of it, else the folder of temporary files.
func TestBase() string {
	const memory, plenty = "/dev/shm", 1 << 30
	if freeBytes(memory) >= plenty {
		return memory
	}
	return os.TempDir()
}
