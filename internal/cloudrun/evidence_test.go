package cloudrun

import (
	"context"
	"errors"
	"testing"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/net/http2"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"cloud-run-orchestrator/internal/lifecycle"
)

func TestRun_believes_only_the_servers_own_status(t *testing.T) {
	t.Parallel()
	grpcHeaders := []string{":status", "200", "content-type", "application/grpc"}
	tests := []struct {
		name   string
		answer func(stream) error
		want   lifecycle.AnswerKind
		code   string
	}{
		{"a status alone is the server's word", func(s stream) error {
			return s.headers(true, append(grpcHeaders, "grpc-status", "7")...)
		}, rejected, "PERMISSION_DENIED"},
		{"a status after headers is, too", func(s stream) error {
			return errors.Join(s.headers(false, grpcHeaders...), s.headers(true, "grpc-status", "7"))
		}, rejected, "PERMISSION_DENIED"},
		{"a stream reset to calm us", func(s stream) error { return s.reset(http2.ErrCodeEnhanceYourCalm) }, unknown, "RESOURCE_EXHAUSTED"},
		{"a stream reset for flow control", func(s stream) error { return s.reset(http2.ErrCodeFlowControl) }, unknown, "RESOURCE_EXHAUSTED"},
		{"a stream reset for security", func(s stream) error { return s.reset(http2.ErrCodeInadequateSecurity) }, unknown, "PERMISSION_DENIED"},
		{"a stream reset as not processed", func(s stream) error { return s.reset(http2.ErrCodeRefusedStream) }, unknown, "UNAVAILABLE"},
		{"a stream reset after headers", func(s stream) error {
			return errors.Join(s.headers(false, grpcHeaders...), s.reset(http2.ErrCodeInadequateSecurity))
		}, unknown, "PERMISSION_DENIED"},
		{"a connection that goes away before the request", func(s stream) error {
			return s.framer.WriteGoAway(0, http2.ErrCodeNo, nil)
		}, unknown, "UNAVAILABLE"},
		{"a connection that is cut", func(s stream) error { return s.conn.Close() }, unknown, "UNAVAILABLE"},
		{"a connection that is cut after headers", func(s stream) error {
			return errors.Join(s.headers(false, grpcHeaders...), s.conn.Close())
		}, unknown, "UNAVAILABLE"},
		{"a proxy's 401", func(s stream) error { return s.headers(true, ":status", "401", "content-type", "text/html") }, unknown, "UNAUTHENTICATED"},
		{"a proxy's 403", func(s stream) error { return s.headers(true, ":status", "403", "content-type", "text/html") }, unknown, "PERMISSION_DENIED"},
		{"a proxy's 403 with a page", func(s stream) error {
			return errors.Join(s.headers(false, ":status", "403", "content-type", "text/html"), s.framer.WriteData(s.id, true, []byte("<h1>no</h1>")))
		}, unknown, "PERMISSION_DENIED"},
		{"a proxy's 403 with a page and trailers", func(s stream) error {
			return errors.Join(s.headers(false, ":status", "403", "content-type", "text/html"), s.headers(true, "x-served-by", "proxy", "grpc-status", "7"))
		}, unknown, "PERMISSION_DENIED"},
		{"a proxy's 404", func(s stream) error { return s.headers(true, ":status", "404") }, unknown, "UNIMPLEMENTED"},
		{"a proxy's 429", func(s stream) error { return s.headers(true, ":status", "429", "content-type", "text/plain") }, unknown, "UNAVAILABLE"},
		{"a proxy's 403 that claims to be gRPC", func(s stream) error {
			return s.headers(true, ":status", "403", "content-type", "application/grpc")
		}, unknown, "UNKNOWN"},
		{"a status that is no number", func(s stream) error {
			return s.headers(true, append(grpcHeaders, "grpc-status", "seven")...)
		}, unknown, "UNKNOWN"},
		{"an answer that we cannot decompress", func(s stream) error {
			return errors.Join(
				s.headers(false, append(grpcHeaders, "grpc-encoding", "snappy")...),
				s.message(true, []byte("something was started")),
				s.headers(true, "grpc-status", "0"),
			)
		}, unknown, "INTERNAL"},
		{"an answer and a refusal in one", func(s stream) error {
			return errors.Join(s.headers(false, grpcHeaders...), s.message(false, nil), s.headers(true, "grpc-status", "7"))
		}, unknown, "PERMISSION_DENIED"},
		{"success without an answer", func(s stream) error {
			return s.headers(true, append(grpcHeaders, "grpc-status", "0")...)
		}, unknown, "INTERNAL"},
		{"an answer without trailers", func(s stream) error {
			return errors.Join(s.headers(false, grpcHeaders...), s.framer.WriteData(s.id, true, nil))
		}, unknown, "INTERNAL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := newRawServer(t, func(s stream) {
				if err := tt.answer(s); err != nil {
					t.Errorf("answer: %v", err)
				}
			})
			got := clientOf(t, Options{Endpoint: server.addr}).Run(t.Context(), lifecycle.Launch{Job: aJob})
			want := lifecycle.Answer{Kind: tt.want, Code: tt.code}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(lifecycle.Answer{}, "Words")); diff != "" {
				t.Errorf("answer (-want +got):\n%s\nits words: %s", diff, got.Words)
			}
			if n := server.requests.Load(); n != 1 {
				t.Errorf("%d requests came, want exactly 1", n)
			}
		})
	}
}

// A connection that somebody else has dialled is not observed, so only the plainest form of a refusal counts on it.
func TestRun_on_a_given_connection_believes_an_answer_of_trailers_only(t *testing.T) {
	t.Parallel()
	headersFirst := false
	s := &script{run: func(ctx context.Context, _ *runpb.RunJobRequest) (*longrunningpb.Operation, error) {
		if headersFirst {
			if err := grpc.SendHeader(ctx, nil); err != nil {
				t.Error(err)
			}
		}
		return nil, status.Error(codes.PermissionDenied, "no")
	}}
	conn, err := grpc.NewClient(s.listen(t), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := clientOf(t, Options{Conn: conn})
	if got := c.Run(t.Context(), lifecycle.Launch{Job: aJob}); got.Kind != rejected {
		t.Errorf("trailers only: %+v, want a rejection", got)
	}
	headersFirst = true
	if got := c.Run(t.Context(), lifecycle.Launch{Job: aJob}); got.Kind != unknown {
		t.Errorf("headers first: %+v, want unknown", got)
	}
}

// The client library dials Cloud Run itself, and has to take our options along.
func TestRun_on_the_connection_to_Cloud_Run_knows_the_servers_own_status(t *testing.T) {
	t.Parallel()
	answers := map[string]func(stream) error{
		"a status after headers": func(s stream) error {
			return errors.Join(s.headers(false, ":status", "200", "content-type", "application/grpc"), s.headers(true, "grpc-status", "7"))
		},
		"a stream reset":                  func(s stream) error { return s.reset(http2.ErrCodeInadequateSecurity) },
		"a proxy's 403":                   func(s stream) error { return s.headers(true, ":status", "403", "content-type", "text/html") },
		"a stream reset as not processed": func(s stream) error { return s.reset(http2.ErrCodeRefusedStream) },
	}
	for name, answer := range answers {
		server := newRawServer(t, func(s stream) {
			if err := answer(s); err != nil {
				t.Errorf("answer: %v", err)
			}
		})
		c := &Client{deadline: defaultCallDeadline}
		err := c.dialCloudRun(t.Context(), Options{}, option.WithEndpoint(server.addr), option.WithoutAuthentication(),
			option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
		if err != nil {
			t.Fatal(err)
		}
		want := unknown
		if name == "a status after headers" {
			want = rejected
		}
		if got := c.Run(t.Context(), lifecycle.Launch{Job: aJob}); got.Kind != want || server.requests.Load() != 1 {
			t.Errorf("%s: %+v after %d requests", name, got, server.requests.Load())
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
