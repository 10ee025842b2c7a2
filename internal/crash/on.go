//go:build crashpoints

package crash

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

type phaseKey struct{}

// During says which phase what follows belongs to. What belongs to none has no points.
func During(ctx context.Context, phase string) context.Context {
	return context.WithValue(ctx, phaseKey{}, phase)
}

// Before is passed directly before an operation has its effect, and After directly after it.
func Before(ctx context.Context, operation string) { here.pass(ctx, operation+".before", true) }

// After is passed directly after an operation, which had an effect or found nothing to do.
func After(ctx context.Context, operation string, effect bool) {
	here.pass(ctx, operation+".after", effect)
}

// place is where this process dies, and how often it was passed.
type place struct {
	mu     sync.Mutex
	once   sync.Once
	point  string
	count  int // passages that are left
	passed *os.File
}

var here place

func (p *place) pass(ctx context.Context, point string, effect bool) {
	phase, ok := ctx.Value(phaseKey{}).(string)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.once.Do(p.load)
	point = phase + "." + point
	if p.passed != nil {
		fmt.Fprintln(p.passed, point, map[bool]string{false: "idle"}[effect])
	}
	if point != p.point || !effect {
		return
	}
	if p.count--; p.count == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing happens between the signal and the end
	}
}

// load reads the environment. A setting that it cannot read ends the program: a test that kills nobody proves nothing.
func (p *place) load() {
	if at := os.Getenv("CRASH_AT"); at != "" {
		point, n, ok := strings.Cut(at, ":")
		count, err := strconv.Atoi(n)
		if !ok || err != nil || count < 1 {
			panic(fmt.Sprintf("CRASH_AT is %q; write PHASE.OPERATION.SIDE:N", at))
		}
		p.point, p.count = point, count
	}
	if name := os.Getenv("CRASH_LOG"); name != "" {
		file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			panic(err)
		}
		p.passed = file
	}
}
