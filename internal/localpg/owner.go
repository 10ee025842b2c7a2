package localpg

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// owner is the user that the server runs as and that its files belong to.
type owner struct {
	name       string
	credential *syscall.Credential // nil: the user that we are
}

// findOwner: PostgreSQL refuses to run as root, so root hands it to another user. That user needs an entry in passwd.
func findOwner() (owner, error) {
	if os.Geteuid() != 0 {
		return owner{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return owner{name: name, credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{}}}, nil
		}
	}
	return owner{}, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
}

// own makes a folder that only the owner (and root) can enter, and gives it to the owner.
func (o owner) own(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := o.check(dir); err != nil {
		return err
	}
	if o.credential == nil {
		return nil
	}
	if err := o.canReach(dir); err != nil {
		return err
	}
	return os.Lchown(dir, int(o.credential.Uid), int(o.credential.Gid))
}

// check refuses a folder that somebody else has made: the server inside trusts everybody who can enter it.
func (o owner) check(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	mine := ok && (stat.Uid == uint32(os.Geteuid()) || o.credential != nil && stat.Uid == o.credential.Uid)
	if !info.IsDir() || !mine {
		return fmt.Errorf("%s is not a folder of this user; remove it or choose another one", dir)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return os.Chmod(dir, 0o700)
	}
	return nil
}

// canReach says in a sentence what would otherwise be "permission denied" at the server's start.
func (o owner) canReach(dir string) error {
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if err != nil {
			return err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		reachable := info.Mode().Perm()&0o001 != 0 ||
			ok && stat.Uid == o.credential.Uid && info.Mode().Perm()&0o100 != 0 ||
			ok && stat.Gid == o.credential.Gid && info.Mode().Perm()&0o010 != 0
		if !reachable {
			return fmt.Errorf("as root, PostgreSQL runs as user %s, who cannot enter %s; choose a folder for its data elsewhere, as under /var/lib", o.name, parent)
		}
		if parent == filepath.Dir(parent) {
			return nil
		}
	}
}
