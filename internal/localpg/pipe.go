package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	pipeName   = "users"  // the named pipe whose writers are the users of the server
	lingerName = "linger" // how long the server outlives its last user, in tenths of a second
)

// errNobodyWatches: no watcher has the pipe open, so no server is there to be joined.
var errNobodyWatches = errors.New("no server is watched")

// use is one process's hold on a server: the write end of the pipe. It is a bare descriptor, because the garbage collector closes a
// forgotten os.File, and would end a server that is in use.
type use struct{ fd int }

func (u use) end() { _ = syscall.Close(u.fd) }

// openWriter opens the pipe for writing; the error is errNobodyWatches where nobody reads it.
func openWriter(run string) (use, error) {
	fd, err := syscall.Open(filepath.Join(run, pipeName), syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.ENOENT) {
		return use{}, errNobodyWatches
	}
	if err != nil {
		return use{}, fmt.Errorf("open %s: %w", filepath.Join(run, pipeName), err)
	}
	return use{fd}, nil
}

func openReader(run string) (int, error) {
	fd, err := syscall.Open(filepath.Join(run, pipeName), syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", filepath.Join(run, pipeName), err)
	}
	return fd, nil
}

// joinPipe opens the pipe and asks the watcher for a sign, by a file whose name it writes. The sign proves that the watcher has seen a
// user after it last saw none, so it is not on its way to stop the server.
func joinPipe(ctx context.Context, run string) (use, error) {
	u, err := openWriter(run)
	if err != nil {
		return use{}, err
	}
	sign := fmt.Sprintf("sign-%d", os.Getpid())
	path := filepath.Join(run, sign)
	_ = os.Remove(path) // left by a killed process of the same number
	if _, err := syscall.Write(u.fd, []byte(sign+"\n")); err != nil {
		u.end()
		if errors.Is(err, syscall.EPIPE) {
			return use{}, errNobodyWatches
		}
		return use{}, fmt.Errorf("write %s: %w", filepath.Join(run, pipeName), err)
	}
	err = until(ctx, func() (bool, error) {
		if os.Remove(path) == nil {
			return true, nil
		}
		return false, watched(run)
	})
	if err != nil {
		u.end()
		return use{}, err
	}
	return u, nil
}

// watched is errNobodyWatches where no watcher has the pipe open.
func watched(run string) error {
	probe, err := openWriter(run)
	if err == nil {
		probe.end()
	}
	return err
}

// awaitUnwatched waits until the watcher has gone, and with it the server.
func awaitUnwatched(ctx context.Context, run string) error {
	return until(ctx, func() (bool, error) {
		err := watched(run)
		if errors.Is(err, errNobodyWatches) {
			return true, nil
		}
		return false, err
	})
}

// inUse says whether any process is a user of the server. The caller holds the lock: a reader could take the line of one that joins.
func inUse(run string) bool {
	fd, err := openReader(run)
	if err != nil {
		return false
	}
	defer func() { _ = syscall.Close(fd) }()
	_, err = syscall.Read(fd, make([]byte, 1))
	return errors.Is(err, syscall.EAGAIN)
}

// makePipe makes the pipe where it is missing. An old one is kept: processes that still use the server may have it open.
func makePipe(run string, who owner) error {
	path := filepath.Join(run, pipeName)
	if err := syscall.Mkfifo(path, 0o600); err != nil && !errors.Is(err, syscall.EEXIST) {
		return fmt.Errorf("make the pipe %s: %w", path, err)
	}
	if who.credential == nil {
		return nil
	}
	return os.Lchown(path, int(who.credential.Uid), int(who.credential.Gid))
}

func writeLinger(run string, d time.Duration) error {
	tenths := strconv.FormatInt(int64((d+100*time.Millisecond-1)/(100*time.Millisecond)), 10)
	return replaceFile(filepath.Join(run, lingerName), []byte(tenths+"\n"))
}

// replaceFile writes a file as a whole, since the watcher may read it at any moment, and for every user, whatever the umask.
func replaceFile(path string, text []byte) error {
	if err := os.WriteFile(path+".new", text, 0o644); err != nil {
		return err
	}
	if err := os.Chmod(path+".new", 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func readLinger(run string) time.Duration {
	text, err := os.ReadFile(filepath.Join(run, lingerName))
	if err != nil {
		return 0
	}
	tenths, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return time.Duration(tenths) * 100 * time.Millisecond
}
