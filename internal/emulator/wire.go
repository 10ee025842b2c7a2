package emulator

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"strings"
	"sync"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// markName is the trailer by which a call tells the wire below how its answer is to be disturbed. It never leaves the Server.
const markName = "emulator-wire"

// Values of the mark.
const (
	markExhausted = "exhausted"
	markDenied    = "denied"
	markSpoilt    = "spoilt"
)

// mark lets the wire reset the stream of a call that ends with an error, or spoil the error's text. Without headers before it, the answer is one block
// of trailers.
func mark(ctx context.Context, l Loss) {
	value := markSpoilt
	switch l {
	case ResetExhausted:
		value = markExhausted
	case ResetDenied:
		value = markDenied
	}
	// It fails only outside of a call of gRPC.
	_ = grpc.SetTrailer(ctx, metadata.Pairs(markName, value))
}

// wireListener gives connections that can be disturbed.
type wireListener struct{ net.Listener }

func (l wireListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newWire(conn), nil
}

// wire is the server's side of a connection, which can be cut, and is also its own remote address: so a call of gRPC finds the connection that it came by.
//
// It reads the HTTP/2 frames that go out, and does to answers with a mark what no gRPC server does. The blocks of header fields are written anew without
// HPACK's dynamic table, so that one may be changed or left out.
type wire struct {
	net.Conn
	addr net.Addr

	mu       sync.Mutex
	pending  []byte // of a frame that is not complete
	fragment []byte // of a block of header fields that is not complete
	flags    byte   // of its first frame
	decoder  *hpack.Decoder
	encoder  *hpack.Encoder
	block    bytes.Buffer // what the encoder writes
}

func newWire(conn net.Conn) *wire {
	w := &wire{Conn: conn, addr: conn.RemoteAddr(), decoder: hpack.NewDecoder(4096, nil)}
	w.encoder = hpack.NewEncoder(&w.block)
	w.encoder.SetMaxDynamicTableSize(0)
	return w
}

func (w *wire) RemoteAddr() net.Addr { return w }
func (w *wire) Network() string      { return w.addr.Network() }
func (w *wire) String() string       { return w.addr.String() }

// HTTP/2, RFC 9113: a frame begins with 9 bytes of length, type, flags and stream.
const (
	frameHead         = 9
	maxFrame          = 16_384
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameContinuation = 0x9
	flagEndHeaders    = 0x4
	enhanceYourCalm   = 0xb
	inadequateSecure  = 0xc
)

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = append(w.pending, p...)
	var out []byte
	rest := w.pending
	for len(rest) >= frameHead {
		size := frameHead + int(rest[0])<<16 + int(rest[1])<<8 + int(rest[2])
		if len(rest) < size {
			break
		}
		var err error
		if out, err = w.frame(out, rest[:size]); err != nil {
			return 0, err
		}
		rest = rest[size:]
	}
	w.pending = append(w.pending[:0], rest...)
	if _, err := w.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// frame appends what becomes of a whole frame.
func (w *wire) frame(out, frame []byte) ([]byte, error) {
	kind, flags := frame[3], frame[4]
	switch kind {
	case frameHeaders: // grpc-go neither pads nor prioritizes
		w.flags = flags
	case frameContinuation:
	default:
		return append(out, frame...), nil
	}
	w.fragment = append(w.fragment, frame[frameHead:]...)
	if flags&flagEndHeaders == 0 {
		return out, nil
	}
	fields, err := w.decoder.DecodeFull(w.fragment)
	if err != nil {
		return nil, err
	}
	w.fragment = w.fragment[:0]
	return w.headers(out, binary.BigEndian.Uint32(frame[5:]), fields), nil
}

// headers appends a block of header fields, or what its mark makes of it.
func (w *wire) headers(out []byte, stream uint32, fields []hpack.HeaderField) []byte {
	value := ""
	for _, f := range fields {
		if f.Name == markName {
			value = f.Value
		}
	}
	switch value {
	case markExhausted:
		return binary.BigEndian.AppendUint32(appendHead(out, 4, frameReset, 0, stream), enhanceYourCalm)
	case markDenied:
		return binary.BigEndian.AppendUint32(appendHead(out, 4, frameReset, 0, stream), inadequateSecure)
	}
	w.block.Reset()
	for _, f := range fields {
		switch {
		case f.Name == markName:
			continue
		case value == markSpoilt && f.Name == "grpc-status-details-bin": // no client could read it
			continue
		case value == markSpoilt && f.Name == "grpc-message":
			f.Value = strings.ReplaceAll(f.Value, spoilMark, "%FF%FE")
		}
		w.encoder.WriteField(f) // to a buffer
	}
	block := w.block.Bytes()
	kind, flags := byte(frameHeaders), w.flags&^flagEndHeaders
	for len(block) > maxFrame {
		out = append(appendHead(out, maxFrame, kind, flags, stream), block[:maxFrame]...)
		block, kind, flags = block[maxFrame:], frameContinuation, 0
	}
	return append(appendHead(out, len(block), kind, flags|flagEndHeaders, stream), block...)
}

func appendHead(out []byte, size int, kind, flags byte, stream uint32) []byte {
	return binary.BigEndian.AppendUint32(append(out, byte(size>>16), byte(size>>8), byte(size), kind, flags), stream)
}
