package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"cloud-run-orchestrator/internal/api"
	"cloud-run-orchestrator/internal/localpg"
)

// victim is one of the processes: it serves all functions, and somebody calls its tick all the time.
type victim struct {
	c *chaos

	mu      sync.Mutex
	cmd     *exec.Cmd
	ended   chan struct{}
	address string
	api     *api.Client
	said    *output
	over    bool
}

// start starts a process and waits until it listens; it may not have a database.
func (v *victim) start() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		return nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	v.address = l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	if v.api, err = api.NewClient(api.Options{URL: "http://" + v.address}); err != nil {
		return err
	}
	cmd, said := exec.Command(program(v.c.t, server)), &output{}
	cmd.Dir, cmd.Env = os.TempDir(), append(v.c.env[:len(v.c.env):len(v.c.env)], "ORCHESTRATOR_LISTEN="+v.address)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	endWithUs(cmd.SysProcAttr)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	v.cmd, v.said, v.ended = cmd, said, ended
	return nil
}

// kill ends the process with SIGKILL, frozen or not.
func (v *victim) kill() {
	v.mu.Lock()
	defer v.mu.Unlock()
	_ = v.cmd.Process.Kill()
	<-v.ended
}

// end kills the process for good.
func (v *victim) end() {
	v.mu.Lock()
	v.over = true
	v.mu.Unlock()
	v.kill()
}

func (v *victim) signal(s os.Signal) {
	v.mu.Lock()
	defer v.mu.Unlock()
	_ = v.cmd.Process.Signal(s)
}

// client talks to the process that is there now.
func (v *victim) client() *api.Client {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.api
}

// gone says whether the process ended by itself, as one does that found no database when it started.
func (v *victim) gone() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	select {
	case <-v.ended:
		return true
	default:
		return false
	}
}

// tick calls the process's tick until the chaos is over, and starts the process where it is gone: that is what Cloud Run does.
func (v *victim) tick() {
	for v.c.sleep(v.c.between(0, chaosTick)) {
		if v.gone() {
			if err := v.start(); err != nil {
				v.c.t.Error(err)
				return
			}
		}
		ctx, cancel := context.WithTimeout(v.c.ctx, 20*time.Second)
		_, _ = v.client().Tick(ctx) // whatever it says, the next one goes on
		cancel()
	}
}

// kill ends one of the processes in the middle of its work. Its tick starts it again.
func (c *chaos) kill() {
	c.victims[c.choose(len(c.victims))].kill()
	c.count(&c.stats.Kills)
}

// freeze stops a process for a while, as a machine does that is short of CPU; sometimes for longer than the settle window.
func (c *chaos) freeze() {
	v := c.victims[c.choose(len(c.victims))]
	d := c.between(200*time.Millisecond, 3*time.Second)
	if c.choose(5) == 0 {
		d = chaosSettle + c.between(0, 3*time.Second)
		c.count(&c.stats.LongFreezes)
	}
	c.count(&c.stats.Freezes)
	v.signal(syscall.SIGSTOP)
	c.sleep(d)
	v.signal(syscall.SIGCONT)
}

func (c *chaos) startDatabase() {
	c.t.Helper()
	s, err := localpg.Start(context.Background(), localpg.Options{Dir: c.dir, Settings: []string{"max_connections=100"}})
	if err != nil {
		c.t.Errorf("start PostgreSQL: %v", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.postgres = s
}

// endDatabase stops PostgreSQL at once, without a checkpoint: what was committed must be found in its log.
func (c *chaos) endDatabase() {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, "data", "postmaster.pid"))
	first, _, _ := bytes.Cut(text, []byte("\n"))
	pid, err2 := strconv.Atoi(string(first))
	if err != nil || err2 != nil {
		c.t.Errorf("find PostgreSQL: %v, %q", err, first)
		return
	}
	_ = syscall.Kill(pid, syscall.SIGQUIT)
	for limit := time.Now().Add(patience); alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			c.t.Error("PostgreSQL does not end")
			return
		}
	}
	if err := c.postgres.Stop(); err != nil {
		c.t.Error(err)
	}
}

func (c *chaos) stopDatabase() {
	c.endDatabase()
	c.sleep(c.between(0, 1500*time.Millisecond))
	c.startDatabase()
	c.count(&c.stats.DatabaseStops)
}

// cutConnections ends some of the processes' connections to the database.
func (c *chaos) cutConnections() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var n int
	err := c.db.QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'orchestrator' AND random() < 0.4`).Scan(&n)
	if err != nil { // the database is not there now
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.ConnectionsCut += n
}

// faults are what was done to calls of Cloud Run, by kind.
func (c *chaos) faults() map[string]int {
	all := map[string]int{}
	for _, kinds := range c.run.Calls().Faults {
		for kind, n := range kinds {
			all[kind] += n
		}
	}
	return all
}

// calmDown ends everything that disturbs, and waits until every run is final and everything that was accepted is known to the ledger.
func (c *chaos) calmDown() {
	c.t.Helper()
	c.forces.Lock() // forces in progress end what they began
	c.quiet.Store(true)
	limit := time.Now().Add(5 * time.Minute)
	var state string
	for time.Now().Before(limit) {
		open, unknown, err := c.unsettled()
		state = fmt.Sprintf("%d runs are not final, %d executions are not known or not ended, error %v", open, unknown, err)
		if err == nil && open == 0 && unknown == 0 {
			c.stop()
			c.forces.Unlock()
			c.all.Wait()
			return
		}
		if err == nil && open == 0 { // only the watch for late ones is left, which takes its time
			c.advance(time.Minute)
		}
		time.Sleep(500 * time.Millisecond)
	}
	c.stop()
	c.forces.Unlock()
	var said []string
	for _, v := range c.victims {
		said = append(said, tail(v.said.String()))
	}
	c.t.Fatalf("it does not settle: %s\n%s", state, strings.Join(said, "\n"))
}

// advance puts the clock of the database and of Cloud Run forward.
func (c *chaos) advance(d time.Duration) {
	c.offset.Add(int64(d))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := c.db.Exec(ctx, `UPDATE installation SET clock_offset = $1::interval`, time.Duration(c.offset.Load())); err != nil {
		c.t.Error(err)
	}
}
