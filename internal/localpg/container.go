package localpg

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// image is what a container runs where PostgreSQL is not installed.
const image = "postgres:17"

// container runs PostgreSQL in a container, one for each DataDir, with its data in a volume of the same name. It listens on this machine
// only, and it keeps running: docker has no notion of a last user.
func container(ctx context.Context, w Want) (*Database, error) {
	docker := w.Docker
	if docker == "" {
		docker = "docker"
	}
	if !dockerAnswers(ctx, docker) {
		return nil, fmt.Errorf("DATABASE_URL is not set, no local server lets us in, docker does not answer, and %w", ErrNoBinaries)
	}
	dir, err := w.dataDir()
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(dir))
	name := fmt.Sprintf("orchestrator-postgres-%x", hash[:4])
	address, err := runContainer(ctx, docker, name)
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL in container %s: %w", name, err)
	}
	dsn := fmt.Sprintf("postgres://postgres:postgres@%s/%s?sslmode=disable", address, w.Name)
	if err := awaitServer(ctx, dsn); err != nil {
		return nil, fmt.Errorf("start PostgreSQL in container %s: %w", name, err)
	}
	return &Database{DSN: dsn, How: fmt.Sprintf("container %s (%s) at %s; end it with: docker stop %s", name, image, address, name)}, nil
}

func dockerAnswers(ctx context.Context, docker string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := run(ctx, docker, "version", "--format", "{{.Server.Version}}")
	return err == nil
}

// runContainer starts the container where it does not run, and returns the address at which this machine reaches it. Of two processes that
// do this at once one is told that the name is taken, and finds the other's container.
func runContainer(ctx context.Context, docker, name string) (address string, err error) {
	if _, err := run(ctx, docker, "container", "inspect", name); err != nil {
		_, runErr := run(ctx, docker, "run", "--detach", "--name", name, "--env", "POSTGRES_PASSWORD=postgres",
			"--publish", "127.0.0.1::5432", "--volume", name+":/var/lib/postgresql/data", image)
		if runErr != nil && !strings.Contains(runErr.Error(), "already in use") {
			return "", runErr
		}
	}
	if _, err := run(ctx, docker, "start", name); err != nil { // nothing to do where it runs
		return "", err
	}
	ports, err := run(ctx, docker, "port", name, "5432/tcp")
	if err != nil {
		return "", err
	}
	address, _, _ = strings.Cut(strings.TrimSpace(ports), "\n")
	return address, nil
}

// run is one docker command; its error is docker's last line.
func run(ctx context.Context, program string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, program, args...).Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) && len(failed.Stderr) > 0 {
		return "", fmt.Errorf("docker %s: %s", args[0], lastLine(string(failed.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("docker %s: %w", args[0], err)
	}
	return string(out), nil
}

// awaitServer waits until the server in a new container answers: it makes its data first.
func awaitServer(ctx context.Context, dsn string) error {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return Explain(err)
	}
	cfg.Database = "postgres"
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var last error
	err = until(ctx, func() (bool, error) {
		conn, err := pgx.ConnectConfig(ctx, cfg)
		if err != nil {
			last = err
			return false, nil
		}
		return true, conn.Close(ctx)
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return Explain(last)
	}
	return err
}
