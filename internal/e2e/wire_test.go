package e2e_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// wire is a way to a server that can be slow, and cut.
type wire struct {
	t        *testing.T
	address  string // where it begins
	to       net.Addr
	delay    time.Duration // of what is sent, each way
	listener net.Listener
	mu       sync.Mutex
	open     []net.Conn
}

// address is a host:port.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

func newWire(t *testing.T, to net.Addr, delay time.Duration) *wire {
	t.Helper()
	x := &wire{t: t, to: to, delay: delay, address: freeAddress(t)}
	x.mend()
	t.Cleanup(x.cut)
	return x
}

// mend accepts connections, again after a cut.
func (x *wire) mend() {
	x.t.Helper()
	l, err := net.Listen("tcp", x.address)
	if err != nil {
		x.t.Fatal(err)
	}
	x.listener = l
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			x.connect(near)
		}
	}()
}

func (x *wire) connect(near net.Conn) {
	far, err := net.Dial(x.to.Network(), x.to.String())
	if err != nil {
		_ = near.Close()
		return
	}
	x.mu.Lock()
	x.open = append(x.open, near, far)
	x.mu.Unlock()
	go x.carry(far, near)
	go x.carry(near, far)
}

// carry copies until an end closes; then the other one is closed, too.
func (x *wire) carry(to io.WriteCloser, from io.Reader) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			time.Sleep(x.delay)
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cut ends every connection, and refuses further ones.
func (x *wire) cut() {
	_ = x.listener.Close()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.open {
		_ = c.Close()
	}
	x.open = nil
}
