package engine_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/emulator"
	"cloud-run-orchestrator/internal/engine"
	"cloud-run-orchestrator/internal/lifecycle"
	"cloud-run-orchestrator/internal/store"
)

// cutter is a connection to the database that breaks instead of sending a certain text, for as long as it is armed.
type cutter struct {
	net.Conn
	at    []byte
	armed *atomic.Bool
}

func (c cutter) Write(b []byte) (int, error) {
	if c.armed.Load() && bytes.Contains(b, c.at) {
		_ = c.Close()
		return 0, errors.New("the connection is cut")
	}
	return c.Conn.Write(b)
}

// The rows of a claim are read before it commits. When the commit fails they are not claimed, and another tick may claim and send them.
func TestAClaimThatIsNotCommittedSendsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var armed atomic.Bool
	st, err := store.Open(t.Context(), store.Options{URL: w.db.DSN, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return cutter{conn, []byte("Q\x00\x00\x00\x0bcommit\x00"), &armed}, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	cut := w.newEngine(func(o *engine.Options) { o.Store = st })

	w.apply("name: limited\njob: {name: ok}\ntasks: {count: 4}\nmax_executions: 4\n")
	w.block("later") // so that everything comes as far as the launch
	run := w.trigger("limited")
	w.tickUntil(run, "planned", func(d engine.RunDetail) bool { return d.Run.Counts.Dispatched == 4 })
	w.block("")
	armed.Store(true)
	if _, err := cut.Tick(t.Context(), "test"); err == nil {
		t.Error("a commit that failed is no error of the tick")
	}
	armed.Store(false)
	if n := len(w.run.Started()); n != 0 {
		t.Errorf("%d tasks were started under a claim that was not committed", n)
	}
	if d := w.finish(run); d.Run.Status != lifecycle.Success {
		t.Errorf("run %s: %s", d.Run.Status, d.Run.Reason)
	}
	w.startedOnce(4)
}

// block keeps launches back for a reason; none lets them go.
func (w *world) block(reason string) {
	w.t.Helper()
	if _, err := w.db.Pool.Exec(w.t.Context(), `UPDATE installation SET launch_blocked_reason = $1`, reason); err != nil {
		w.t.Fatal(err)
	}
}

// A claim that waits for its turn may expire before it comes: then its row would be given up while its call is under way.
func TestATickClaimsOnlyWhatItSendsAtOnce(t *testing.T) {
	t.Parallel()
	const atOnce, tasks = 3, 12
	w := newWorld(t, patient, func(o *engine.Options) { o.Concurrency = atOnce })
	w.simple("slow", "ok", tasks)
	w.disturb("RunJob", emulator.Fault{Delay: 50 * time.Millisecond})
	run := w.trigger("slow")
	done := make(chan error, 1)
	go func() {
		_, err := w.engine.Tick(t.Context(), "test")
		done <- err
	}()
	most := 0 // rows that were claimed, and whose call had not begun
	for ended := false; !ended; {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			ended = true
		case <-time.After(5 * time.Millisecond):
			var n int
			if err := w.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM executions WHERE sent_at IS NOT NULL`).Scan(&n); err != nil {
				t.Fatal(err)
			}
			most = max(most, n-w.calls("RunJob"))
		}
	}
	if most > atOnce {
		t.Errorf("up to %d rows were claimed and waited for their call, of which there are %d at once", most, atOnce)
	}
	if d := w.finish(run); d.Run.Status != lifecycle.Success || d.Executions != tasks {
		t.Errorf("run %s with %d executions", d.Run.Status, d.Executions)
	}
	w.startedOnce(tasks)
}
