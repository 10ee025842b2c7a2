package model

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// cut says how a process loses its connection to the database.
type cut struct {
	at     int    // with its n-th statement from now on
	of     string // where it is not empty: only statements count in which this stands
	after  bool   // the server gets and does it, and its answer is lost; else the server never sees it
	outage bool   // nothing gets through from then on, until the cut is mended
}

// wire is one process's way to the database. It breaks exactly where the test says.
type wire struct {
	sent    atomic.Int64 // statements, ever
	blocked atomic.Int64 // statements that stand still

	mu    sync.Mutex
	cut   *cut
	count int // statements since the cut was set
	down  bool
	dead  bool // the process was killed
	stall *stall
	conns map[*wireConn]bool
}

// stall makes a process stand still before its n-th statement that begins something, and before all that follow: within a transaction it would only
// show how long others wait for its locks.
type stall struct {
	left int
	of   string // where it is not empty: only statements count in which this stands
	over chan struct{}
}

var errWire = &net.OpError{Op: "write", Net: "wire", Err: syscall.ECONNRESET}

func newWire() *wire { return &wire{conns: map[*wireConn]bool{}} }

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down || w.dead {
		return nil, errWire
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &wireConn{Conn: conn, wire: w}
	w.conns[c] = true
	return c, nil
}

// set makes the wire break, or mends it with nil.
func (w *wire) set(c *cut) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut, w.count, w.down = c, 0, false
}

// kill ends all connections for good.
func (w *wire) kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = true
	for c := range w.conns {
		c.Conn.Close()
	}
}

// stallAt makes the process stand still before a statement from now on; it goes on when over is closed.
func (w *wire) stallAt(n int, of string, over chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stall = &stall{left: n, of: of, over: over}
}

func (w *wire) unstall() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stall = nil
}

// wait stands still where it must.
func (w *wire) wait(statement []byte) {
	w.mu.Lock()
	s := w.stall
	if s == nil {
		w.mu.Unlock()
		return
	}
	if contains(statement, s.of) {
		s.left--
	}
	still := s.left < 0
	w.mu.Unlock()
	if still {
		w.blocked.Add(1)
		<-s.over
		w.blocked.Add(-1)
	}
}

// prepared are the statements that the driver has given a name: it is made of their text, and later sent in its place.
var prepared sync.Map

var statementName = regexp.MustCompile(`stmtcache_[0-9a-f]+`)

// contains says whether a text stands in a message, or in the statement that it names.
func contains(message []byte, text string) bool {
	name := string(statementName.Find(message))
	if name != "" && message[0] == 'P' {
		prepared.Store(name, string(message))
	}
	sql, _ := prepared.Load(name)
	known, _ := sql.(string)
	return bytes.Contains(message, []byte(text)) || strings.Contains(known, text)
}

type verdict int

const (
	pass verdict = iota
	breakBefore
	breakAfter
)

// judge counts a statement and says what becomes of it.
func (w *wire) judge(statement []byte) verdict {
	w.sent.Add(1)
	contains(statement, "")
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down || w.dead {
		return breakBefore
	}
	if w.cut == nil || !contains(statement, w.cut.of) {
		return pass
	}
	w.count++
	if w.count != w.cut.at {
		return pass
	}
	w.down = w.cut.outage
	if w.cut.after {
		return breakAfter
	}
	return breakBefore
}

// wireConn is one connection. The driver writes a statement at once and then reads until its answer is complete.
type wireConn struct {
	net.Conn
	wire  *wire
	lose  atomic.Bool // the next answer
	begun atomic.Bool // a statement is under way, or a transaction
	tail  []byte      // the end of what was read; one at a time reads
}

func (c *wireConn) Write(b []byte) (int, error) {
	if !c.begun.Load() {
		c.wire.wait(b)
	}
	c.begun.Store(true)
	switch c.wire.judge(b) {
	case breakBefore:
		c.Conn.Close()
		return 0, errWire
	case breakAfter:
		c.lose.Store(true)
	}
	return c.Conn.Write(b)
}

// Read follows the answers: each ends with ReadyForQuery, which comes after the commit of what is no transaction of its own.
func (c *wireConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		c.tail = append(c.tail, b[:n]...)
		c.tail = c.tail[max(len(c.tail)-6, 0):]
		ready := len(c.tail) == 6 && bytes.Equal(c.tail[:5], []byte{'Z', 0, 0, 0, 5})
		if ready {
			c.begun.Store(c.tail[5] != 'I')
		}
		switch {
		case err != nil || !c.lose.Load():
			return n, err
		case ready: // the effect is there, and now its answer is lost
			return 0, errors.Join(io.ErrUnexpectedEOF, c.Conn.Close())
		}
	}
}

func (c *wireConn) Close() error {
	c.wire.mu.Lock()
	delete(c.wire.conns, c)
	c.wire.mu.Unlock()
	return c.Conn.Close()
}
