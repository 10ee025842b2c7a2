package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	defaultTimeout = 30 * time.Second
	// tickTimeout is above a tick's own budget, its longest call and the recording after it.
	tickTimeout = 5 * time.Minute
	// maxAnswerBytes holds the largest page: 1,000 tasks with 32 KiB of params each.
	maxAnswerBytes = 64 << 20
	// placeholder stands in a URL for the name of the function.
	placeholder = "{function}"
)

// Options say where the functions are and how to talk to them.
type Options struct {
	// URL is http or https. Where it contains {function} that is replaced by the function's name, else /function is appended.
	URL string
	// Transport sends the requests; nil is one like http.DefaultTransport.
	Transport http.RoundTripper
	// Token gives an ID token for an audience, the scheme and host of a function. It is asked for https alone, never for this machine; nil sends none.
	Token func(ctx context.Context, audience string) (string, error)
	// UserAgent is sent with every request.
	UserAgent string
	// Timeout of one request other than a tick; 0 is 30 s.
	Timeout time.Duration
}

// Client calls the four functions. It is safe for concurrent use. Every method answers one of these errors:
// a *Problem (the orchestrator refused), a *Foreign (something else answered), ErrUnreachable (nothing did),
// the error of Token, or that of a cancelled ctx.
type Client struct {
	options Options
	http    *http.Client
}

// NewClient makes a client; it fails when the URL cannot be one.
func NewClient(o Options) (*Client, error) {
	u, err := url.Parse(strings.ReplaceAll(o.URL, placeholder, FunctionStatus))
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is not the URL of an orchestrator; write http://HOST:PORT, or https://… with {function} where the function's name belongs", o.URL)
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	// A redirect is a sign-in page or another program, never one of our functions.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{options: o, http: &http.Client{Transport: o.Transport, CheckRedirect: stay}}, nil
}

func newTransport() *http.Transport {
	dialer := net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     30 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second,
	}
}

// URL is where the functions are, as given, without a password.
func (c *Client) URL() string {
	if u, err := url.Parse(c.options.URL); err == nil && u.User != nil {
		return u.Redacted()
	}
	return c.options.URL
}

// call is one request to one function.
type call struct {
	method   string
	function string
	path     string // below the function, begins with /
	query    url.Values
	body     []byte // JSON; nil on a write is {}
	header   map[string]string
	timeout  time.Duration // 0 is the client's
}

// answer is a whole response.
type answer struct {
	url    string
	status int
	media  string // the media type without parameters
	body   []byte
}

// get reads one thing from a function.
func get[T any](ctx context.Context, c *Client, function, path string, query url.Values) (T, error) {
	var out T
	_, err := c.json(ctx, call{method: http.MethodGet, function: function, path: path, query: query}, &out)
	return out, err
}

// json sends a request and decodes its answer; out may be nil where none is expected.
func (c *Client) json(ctx context.Context, q call, out any) (status int, err error) {
	a, err := c.send(ctx, q)
	if err != nil {
		return 0, err
	}
	if a.status >= 300 {
		return a.status, a.failure()
	}
	if out == nil {
		return a.status, nil
	}
	if !a.isJSON() || json.Unmarshal(a.body, out) != nil {
		return a.status, a.foreign()
	}
	return a.status, nil
}

// send makes one request and reads its whole answer.
func (c *Client) send(ctx context.Context, q call) (answer, error) {
	timeout := q.timeout
	if timeout == 0 {
		timeout = c.options.Timeout
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := c.request(limited, q)
	if err != nil {
		return answer{}, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, c.unreachable(ctx, err, timeout)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerBytes+1))
	if err != nil {
		return answer{}, c.unreachable(ctx, err, timeout)
	}
	if len(body) > maxAnswerBytes {
		return answer{}, fmt.Errorf("the answer of %s is larger than %d MiB", req.URL.Redacted(), maxAnswerBytes>>20)
	}
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	return answer{url: req.URL.Redacted(), status: res.StatusCode, media: media, body: body}, nil
}

func (c *Client) request(ctx context.Context, q call) (*http.Request, error) {
	base := c.options.URL
	if strings.Contains(base, placeholder) {
		base = strings.ReplaceAll(base, placeholder, q.function)
	} else {
		base = strings.TrimRight(base, "/") + "/" + q.function
	}
	target := strings.TrimRight(base, "/") + q.path
	if len(q.query) > 0 {
		target += "?" + q.query.Encode()
	}
	var body io.Reader
	if q.method != http.MethodGet {
		if q.body == nil {
			q.body = []byte("{}")
		}
		body = bytes.NewReader(q.body)
	}
	req, err := http.NewRequestWithContext(ctx, q.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", q.method, target, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	req.Header.Set("User-Agent", c.options.UserAgent)
	for name, value := range q.header {
		req.Header.Set(name, value)
	}
	return req, c.authorize(ctx, req)
}

// authorize adds an ID token where one may be sent: over https, to another machine.
func (c *Client) authorize(ctx context.Context, req *http.Request) error {
	if c.options.Token == nil || req.URL.Scheme != "https" || isLoopback(req.URL.Hostname()) {
		return nil
	}
	audience := req.URL.Scheme + "://" + req.URL.Host
	token, err := c.options.Token(ctx, audience)
	if err != nil {
		return fmt.Errorf("ID token for %s: %w", audience, err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

func (a answer) isJSON() bool {
	return a.media == "application/json" || strings.HasSuffix(a.media, "+json")
}

// failure is the error of an answer that is not a success.
func (a answer) failure() error {
	var p Problem
	if !a.isJSON() || json.Unmarshal(a.body, &p) != nil || (p.Title == "" && p.Detail == "") {
		return a.foreign()
	}
	p.Status = a.status
	return &p
}

func (a answer) foreign() error { return &Foreign{URL: a.url, Status: a.status, Media: a.media} }

// unreachable tells a caller who gave up from a server that did not answer.
func (c *Client) unreachable(ctx context.Context, err error, timeout time.Duration) error {
	if ctx.Err() != nil {
		return fmt.Errorf("no answer from %s yet: %w", c.URL(), context.Cause(ctx))
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %v", timeout)
	}
	return &UnreachableError{URL: c.URL(), Cause: err}
}
