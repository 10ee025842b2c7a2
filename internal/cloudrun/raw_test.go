package cloudrun

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// rawServer speaks HTTP/2 frame by frame, to do what no gRPC server does. answer is called when a whole request has come.
type rawServer struct {
	addr     string
	requests atomic.Int32
}

// stream is one request's way back.
type stream struct {
	conn   net.Conn
	framer *http2.Framer
	id     uint32
}

func newRawServer(t *testing.T, answer func(stream)) *rawServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &rawServer{addr: ln.Addr().String()}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { s.serve(conn, answer) })
		}
	})
	t.Cleanup(conns.Wait) // after the client was closed, since that was made later
	t.Cleanup(func() { ln.Close() })
	return s
}

func (s *rawServer) serve(conn net.Conn, answer func(stream)) {
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	framer := http2.NewFramer(conn, conn)
	if framer.WriteSettings() != nil {
		return
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = framer.WritePing(true, f.Data)
			}
		case *http2.DataFrame:
			if f.StreamEnded() {
				s.requests.Add(1)
				answer(stream{conn, framer, f.StreamID})
			}
		}
		if err != nil {
			return
		}
	}
}

// headers sends one block of header fields, given as name, value, name, value.
func (s stream) headers(end bool, fields ...string) error {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	var errs error
	for i := 0; i < len(fields); i += 2 {
		errs = errors.Join(errs, enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}))
	}
	return errors.Join(errs, s.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: s.id, BlockFragment: block.Bytes(), EndStream: end, EndHeaders: true,
	}))
}

// message sends one gRPC message.
func (s stream) message(compressed bool, body []byte) error {
	head := []byte{0, 0, 0, 0, byte(len(body))}
	if compressed {
		head[0] = 1
	}
	return s.framer.WriteData(s.id, false, append(head, body...))
}

func (s stream) reset(code http2.ErrCode) error { return s.framer.WriteRSTStream(s.id, code) }
