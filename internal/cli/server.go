package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"cloud-run-orchestrator/internal/api"
)

const (
	urlVariable  = "ORCHESTRATOR_URL"
	probeTimeout = 2 * time.Second
	// inProcessURL is what functions in this process are called; no connection is made to it.
	inProcessURL = "http://localhost"
)

// server is the orchestrator that a command talks to.
type server struct {
	*api.Client
	answered  bool // it has answered this process before
	inProcess bool // this process serves the functions itself; nobody else may be ticking
	close     func()
}

// connect finds the orchestrator: the one of ORCHESTRATOR_URL and no other; else one on this machine; else the functions inside this process.
func (c *console) connect(ctx context.Context) (*server, error) {
	if url := c.Getenv(urlVariable); url != "" {
		return c.remote(url)
	}
	s, err := c.remote(c.DefaultURL)
	if err != nil {
		return nil, err
	}
	if err = probe(ctx, s.Client, probeTimeout); err == nil {
		s.answered = true
		return s, nil
	}
	if ctx.Err() != nil || c.Local.InProcess == nil {
		return nil, err
	}
	return c.within(ctx, err)
}

func (c *console) remote(url string) (*server, error) {
	client, err := c.client(url, nil)
	if err != nil {
		return nil, &usageError{message: urlVariable + ": " + err.Error()}
	}
	return &server{Client: client, close: func() {}}, nil
}

func (c *console) client(url string, transport http.RoundTripper) (*api.Client, error) {
	return api.NewClient(api.Options{URL: url, Transport: transport, Token: c.Local.Token, UserAgent: "orchestrator-cli/" + c.Version})
}

// probe asks whether an orchestrator answers, and not some other program.
func probe(ctx context.Context, client *api.Client, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := client.Overview(ctx)
	return err
}

// within serves the functions in this process, because of what the probe met.
func (c *console) within(ctx context.Context, met error) (*server, error) {
	functions, closeFunctions, how, err := c.Local.InProcess(ctx)
	if err != nil {
		return nil, fmt.Errorf("no orchestrator answers at %s, and this process cannot do the work itself: %w", c.DefaultURL, err)
	}
	client, err := c.client(inProcessURL, functions)
	if err != nil {
		closeFunctions()
		return nil, err
	}
	why := "no orchestrator answers at " + c.DefaultURL
	var foreign *api.Foreign
	if errors.As(met, &foreign) {
		why = "what answers at " + c.DefaultURL + " is not an orchestrator"
	}
	fmt.Fprintf(c.Stderr, "%s; working in this process over %s\n", why, clean(how))
	return &server{Client: client, answered: true, inProcess: true, close: closeFunctions}, nil
}

// with runs an action on the orchestrator and lets it go afterwards.
func (c *console) with(ctx context.Context, action func(*server) error) error {
	s, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	return action(s)
}
