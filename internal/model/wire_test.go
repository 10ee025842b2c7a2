package model

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
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
	sent atomic.Int64 // statements, ever

	mu    sync.Mutex
	cut   *cut
	count int // statements since the cut was set
	down  bool
	dead  bool // the process was killed
	conns map[*wireConn]bool
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

type verdict int

const (
	pass verdict = iota
	breakBefore
	breakAfter
)

// judge counts a statement and says what becomes of it.
func (w *wire) judge(statement []byte) verdict {
	w.sent.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down || w.dead {
		return breakBefore
	}
	if w.cut == nil || !bytes.Contains(statement, []byte(w.cut.of)) {
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
	wire *wire
	lose atomic.Bool // the next answer
}

func (c *wireConn) Write(b []byte) (int, error) {
	switch c.wire.judge(b) {
	case breakBefore:
		c.Conn.Close()
		return 0, errWire
	case breakAfter:
		c.lose.Store(true)
	}
	return c.Conn.Write(b)
}

func (c *wireConn) Read(b []byte) (int, error) {
	if !c.lose.Load() {
		return c.Conn.Read(b)
	}
	// The answer ends with ReadyForQuery, which comes after the commit of what is no transaction: so the effect is there before the loss is.
	var tail []byte
	for {
		n, err := c.Conn.Read(b)
		if err != nil {
			return 0, err
		}
		tail = append(tail, b[:n]...)
		if len(tail) > 6 {
			tail = tail[len(tail)-6:]
		}
		if len(tail) == 6 && bytes.Equal(tail[:5], []byte{'Z', 0, 0, 0, 5}) {
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
