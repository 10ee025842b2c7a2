//go:build unix

package emulator

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"sync"
	"syscall"
)

// keeperScript is told of process groups as they come (+ 17) and go (- 17). When its input ends, because the
// emulator did, however that happened, it kills those that are left.
const keeperScript = `
trap '' INT TERM HUP
live=' '
while read -r what group; do
	case $what in
	+) live="$live$group " ;;
	-) live="${live%% $group *} ${live#* $group }" ;;
	esac
done
for group in $live; do kill -9 "-$group"; done 2>/dev/null
`

// keeper is a small process that outlives a killed emulator for long enough to kill its tasks. A container's image without a shell has none,
// and needs none: the kernel ends all processes of a container with its first.
type keeper struct {
	cmd *exec.Cmd
	mu  sync.Mutex
	in  io.WriteCloser // nil where there is no such process
}

func startKeeper() (*keeper, error) {
	cmd := exec.Command("/bin/sh", "-c", keeperScript)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C at a terminal is not for it
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("keeper of processes: %w", err)
	}
	err = cmd.Start()
	if errors.Is(err, fs.ErrNotExist) {
		return &keeper{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("keeper of processes: %w", err)
	}
	return &keeper{cmd: cmd, in: in}, nil
}

func (k *keeper) watch(group int)  { k.tell('+', group) }
func (k *keeper) forget(group int) { k.tell('-', group) }

// tell cannot fail while the keeper lives; without it tasks still end with an emulator that ends well.
func (k *keeper) tell(what rune, group int) {
	if k.in == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	fmt.Fprintf(k.in, "%c %d\n", what, group)
}

func (k *keeper) close() {
	if k.in == nil {
		return
	}
	k.in.Close()
	k.cmd.Wait()
}
