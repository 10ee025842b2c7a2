package functions

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
)

// Transport runs the handler inside this process, for clients that need no server. The answer's body streams while the handler writes it.
// As over a connection, giving up the request or closing the body early ends the handler's context.
func Transport(h http.Handler) http.RoundTripper { return &inProcess{h} }

type inProcess struct{ handler http.Handler }

// RoundTrip gives the handler's answer, or the request's context's error when that ends first.
func (t *inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	reader, writer := io.Pipe()
	w := &pipeWriter{header: http.Header{}, body: writer, begun: make(chan struct{})}
	in := serverRequest(ctx, req)
	giveUp := context.AfterFunc(req.Context(), func() { _ = reader.CloseWithError(context.Cause(req.Context())) })
	go func() {
		defer cancel()
		defer giveUp()
		defer in.Body.Close()
		defer func() { w.end(recover()) }()
		t.handler.ServeHTTP(w, in)
	}()
	select {
	case <-w.begun:
	case <-req.Context().Done():
		return nil, fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, context.Cause(req.Context()))
	}
	if w.failure != nil {
		cancel()
		return nil, w.failure
	}
	res := &http.Response{
		Status: fmt.Sprintf("%d %s", w.code, http.StatusText(w.code)), StatusCode: w.code,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, ContentLength: -1, Request: req, Body: &cancelBody{reader, cancel},
	}
	if req.Method == http.MethodHead || w.code == http.StatusNoContent || w.code == http.StatusNotModified {
		_ = reader.Close()
		res.ContentLength, res.Body = 0, http.NoBody
	}
	return res, nil
}

// serverRequest is the request as a server would have read it.
func serverRequest(ctx context.Context, req *http.Request) *http.Request {
	in := req.Clone(ctx)
	in.RequestURI, in.RemoteAddr = req.URL.RequestURI(), "127.0.0.1:0"
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/1.1", 1, 1
	if in.Host == "" {
		in.Host = req.URL.Host
	}
	if in.Method == "" {
		in.Method = http.MethodGet
	}
	if in.Header == nil {
		in.Header = http.Header{}
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	return in
}

// pipeWriter is the handler's side. begun is closed by the first header, byte or end; what is read after that is not written any more.
type pipeWriter struct {
	header  http.Header
	body    *io.PipeWriter
	begun   chan struct{}
	once    sync.Once
	code    int
	sent    http.Header
	failure error
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(code int) {
	w.once.Do(func() {
		w.code, w.sent = code, maps.Clone(w.header)
		close(w.begun)
	})
}

func (w *pipeWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// Flush is for handlers that stream: what was written is on its way already.
func (w *pipeWriter) Flush() { w.WriteHeader(http.StatusOK) }

// end closes the answer: whole, or broken off by a panic.
func (w *pipeWriter) end(panicked any) {
	if panicked == nil {
		w.WriteHeader(http.StatusOK)
		_ = w.body.Close()
		return
	}
	err := fmt.Errorf("the handler broke off: %v", panicked)
	w.once.Do(func() {
		w.failure = err
		close(w.begun)
	})
	_ = w.body.CloseWithError(err)
}

// cancelBody ends the handler's context when the caller has had enough.
type cancelBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close ends the handler's context too.
func (b *cancelBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
