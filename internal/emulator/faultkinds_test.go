package emulator

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/api/iterator"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// scripted are Options with a script and with the jobs instant and endless.
func scripted(t *testing.T, script string) Options {
	t.Helper()
	f, err := ParseFaults("test.yaml", []byte(script))
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Jobs: Jobs{"instant": {Func: instant, Env: map[string]string{"OWN": "1"}}, "endless": {Func: func(ctx context.Context, _ Task) Result {
			<-ctx.Done()
			return Result{Signal: 15}
		}}},
		Intercept: f.Intercept, HistoryKept: f.Keep,
	}
}

// ends are kinds that say how a call ends, for RunJob.
func ends() map[string]struct {
	rule string
	grpc codes.Code // as the caller sees it
	rest codes.Code
	made int
	lost bool // its caller cannot know
} {
	const none = codes.OK
	type end = struct {
		rule string
		grpc codes.Code
		rest codes.Code
		made int
		lost bool
	}
	return map[string]end{
		"error":              {"do: error, code: ABORTED, message: no luck", codes.Aborted, codes.Aborted, 0, false},
		"error of its own":   {"do: error", codes.Unavailable, codes.Unavailable, 0, false},
		"lose-answer":        {"do: lose-answer", codes.Unavailable, codes.Unavailable, 1, true},
		"late":               {"do: late, for: 10ms", none, none, 1, false},
		"slow":               {"do: slow, for: 10ms", none, none, 1, false},
		"hang":               {"do: hang", codes.Canceled, codes.Canceled, 0, false},
		"hang-after":         {"do: hang-after", codes.Canceled, codes.Canceled, 1, true},
		"cut":                {"do: cut", codes.Unavailable, codes.Unknown, 0, false},
		"cut-after":          {"do: cut-after", codes.Unavailable, codes.Unknown, 1, true},
		"reset":              {"do: reset", codes.ResourceExhausted, codes.Unknown, 0, false},
		"reset, denied":      {"do: reset, code: PERMISSION_DENIED", codes.PermissionDenied, codes.Unknown, 0, false},
		"reset-after":        {"do: reset-after", codes.ResourceExhausted, codes.Unknown, 1, true},
		"reset-after, other": {"do: reset-after, code: PERMISSION_DENIED", codes.PermissionDenied, codes.Unknown, 1, true},
		"quota":              {"do: quota", codes.ResourceExhausted, codes.ResourceExhausted, 0, false},
	}
}

func TestAScriptSaysHowACallEnds(t *testing.T) {
	t.Parallel()
	for name, test := range ends() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachTransport(t, func() Options {
				return scripted(t, "faults: [{on: RunJob, calls: [2], job: instant, "+test.rule+"}]")
			}, func(t *testing.T, s *Server, c clients) {
				c.run(t, "instant")
				ctx := t.Context()
				if test.grpc == codes.Canceled {
					ctx = s.giveUpAfter(t, "RunJob", 2)
				}
				op, err := c.jobs.RunJob(ctx, &runpb.RunJobRequest{Name: somewhere + "/jobs/instant"})
				want := test.grpc
				if strings.HasSuffix(t.Name(), "/REST") {
					want = test.rest
				}
				if got := status.Code(err); got != want && !(want == codes.Canceled && errors.Is(err, context.Canceled)) {
					t.Errorf("error %v has code %s, want %s", err, got, want)
				}
				if err == nil {
					if m, err := op.Metadata(); m == nil {
						t.Errorf("no metadata: %v", err)
					}
				}
				c.run(t, "instant") // on the same or on a new connection
				s.wantMade(t, test.made, test.lost)
				s.wantFault(t, "RunJob", 2, kindOf(test.rule))
			})
		})
	}
}

// giveUpAfter gives a context that ends when the Server has got so many calls of a method.
func (s *Server) giveUpAfter(t *testing.T, method string, calls int) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for s.Calls().Count[method] < calls && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	return ctx
}

// wantMade looks for the execution that the second of three calls made.
func (s *Server) wantMade(t *testing.T, made int, lost bool) {
	t.Helper()
	all := s.Executions()
	if len(all) != 2+made {
		t.Fatalf("%d executions were made by the second call, want %d", len(all)-2, made)
	}
	i := slices.IndexFunc(all, func(x Execution) bool { return x.Call == 2 })
	// A caller who gives up knows it before the server does.
	for limit := time.Now().Add(patience); i >= 0 && lost && !all[i].AnswerLost && time.Now().Before(limit); time.Sleep(time.Millisecond) {
		all = s.Executions()
	}
	if made == 1 && (i < 0 || all[i].AnswerLost != lost || all[i].Env["OWN"] != "1") {
		t.Errorf("the second call made %+v; want one with answer lost: %v", all, lost)
	}
	for _, x := range all {
		if x.Call != 2 && x.AnswerLost {
			t.Errorf("the answer with %+v is called lost", x)
		}
	}
}

// wantFault looks into the record for what was done to a call.
func (s *Server) wantFault(t *testing.T, method string, n int, kind string) {
	t.Helper()
	give := time.Now().Add(patience)
	for ; time.Now().Before(give); time.Sleep(time.Millisecond) { // a call that hangs ends a little later than its caller
		for _, c := range s.Calls().Last {
			if c.Method != method || c.N != n {
				continue
			}
			if !slices.Equal(c.Faults, []string{kind}) {
				t.Errorf("the record of %s %d has the faults %q, want %q", method, n, c.Faults, kind)
			}
			if s.Calls().Faults[method][kind] == 0 || s.Calls().Codes[method][c.Code] == 0 {
				t.Errorf("%s of %s is not counted: %+v", kind, method, s.Calls())
			}
			return
		}
	}
	t.Errorf("%s %d is not on record", method, n)
}

func kindOf(rule string) string {
	kind, _, _ := strings.Cut(strings.TrimPrefix(rule, "do: "), ",")
	return kind
}

func TestAQuotaStormSpeaksAsCloudRunDoes(t *testing.T) {
	t.Parallel()
	eachTransport(t, func() Options { return scripted(t, "faults: [{on: all, do: quota}]") }, func(t *testing.T, _ *Server, c clients) {
		_, err := c.executions.GetExecution(t.Context(), &runpb.GetExecutionRequest{Name: somewhere + "/jobs/instant/executions/x"})
		wantQuota(t, err, "Read requests", "3000")
		_, err = c.jobs.RunJob(t.Context(), &runpb.RunJobRequest{Name: somewhere + "/jobs/instant"})
		wantQuota(t, err, "Job run requests", "180")
		wantQuota(t, c.cancel(t, somewhere+"/jobs/instant/executions/x"), "Write requests", "180")
	})
}

func wantQuota(t *testing.T, err error, metric, limit string) {
	t.Helper()
	wantCode(t, err, codes.ResourceExhausted)
	var e *apierror.APIError
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "Quota exceeded for quota metric '"+metric+"' and limit '") {
		t.Fatalf("the refusal says %v", err)
	}
	info, failure := e.Details().ErrorInfo, e.Details().QuotaFailure
	if info.GetReason() != "RATE_LIMIT_EXCEEDED" || info.GetMetadata()["quota_limit_value"] != limit || info.GetMetadata()["quota_location"] != "europe-west1" || len(failure.GetViolations()) != 1 {
		t.Errorf("details are %v and %v", info, failure)
	}
}

func TestACutConnectionEndsAllItsCalls(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	s := newServer(t, Options{Jobs: Jobs{"a": {Func: instant}}, Intercept: func(_ context.Context, c Call) Fault {
		switch c.Method {
		case "ListExecutions":
			close(entered)
			return Fault{LoseBefore: Hang}
		case "RunJob":
			return Fault{LoseAfter: Cut}
		}
		return Fault{}
	}})
	c := inside(t, s)
	other := make(chan error)
	go func() {
		_, err := c.executions.ListExecutions(t.Context(), &runpb.ListExecutionsRequest{Parent: somewhere + "/jobs/a"}).Next()
		other <- err
	}()
	<-entered
	_, err := c.jobs.RunJob(t.Context(), &runpb.RunJobRequest{Name: somewhere + "/jobs/a"})
	wantCode(t, err, codes.Unavailable)
	wantCode(t, <-other, codes.Unavailable)
}

func TestAHangingCallNeverHasItsEffect(t *testing.T) {
	t.Parallel()
	s := newServer(t, scripted(t, "faults: [{on: RunJob, do: hang}]"))
	c := inside(t, s)
	_, err := c.jobs.RunJob(s.giveUpAfter(t, "RunJob", 1), &runpb.RunJobRequest{Name: somewhere + "/jobs/instant"})
	wantCode(t, err, codes.Canceled)
	s.wantFault(t, "RunJob", 1, "hang") // it has ended
	if made := s.Executions(); len(made) != 0 {
		t.Errorf("it made %+v", made)
	}
}

// Over gRPC a client makes the code of a reset stream itself. Nothing of the server's may come with it.
func TestAResetStreamHasNoStatusOfTheServer(t *testing.T) {
	t.Parallel()
	s := newServer(t, scripted(t, "faults: [{on: RunJob, do: reset}]"))
	_, err := inside(t, s).jobs.RunJob(t.Context(), &runpb.RunJobRequest{Name: somewhere + "/jobs/instant"})
	wantCode(t, err, codes.ResourceExhausted)
	if message := status.Convert(err).Message(); !strings.Contains(message, "ENHANCE_YOUR_CALM") || strings.Contains(message, "the stream was reset") {
		t.Errorf("the client says %q", message)
	}
}

func TestAScriptChangesWhatAnswersSay(t *testing.T) {
	t.Parallel()
	number := "projects/" + projectNumber("p") + "/"
	name := func(x *runpb.Execution) string { return x.GetName() }
	hasEnv := func(x *runpb.Execution) bool { return len(x.GetTemplate().GetContainers()[0].GetEnv()) > 0 }
	for rule, check := range map[string]func(t *testing.T, c clients, x *runpb.Execution, listed []*runpb.Execution, err error){
		"do: hide-env": func(t *testing.T, c clients, x *runpb.Execution, listed []*runpb.Execution, err error) {
			if err != nil || !hasEnv(x) || hasEnv(listed[0]) {
				t.Errorf("get %v, list %v, %v", x, listed, err)
			}
		},
		"do: project-number": func(t *testing.T, c clients, x *runpb.Execution, listed []*runpb.Execution, err error) {
			if err != nil || !strings.HasPrefix(name(x), number) || !strings.HasPrefix(name(listed[0]), number) {
				t.Errorf("get %v, list %v, %v", x, listed, err)
			}
			if again := c.get(t, name(x)); name(again) != name(x) {
				t.Errorf("by its number it is %s", name(again))
			}
		},
		"do: unknown-enum": func(t *testing.T, c clients, x *runpb.Execution, listed []*runpb.Execution, err error) {
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range []*runpb.Execution{x, listed[0]} {
				if state, reason := completed(x); state != unknownEnum || reason != unknownEnum {
					t.Errorf("state %v, reason %v", state, reason)
				}
			}
		},
		"do: bad-text": func(t *testing.T, c clients, x *runpb.Execution, listed []*runpb.Execution, err error) {
			if err == nil || !strings.Contains(err.Error(), "UTF-8") {
				t.Errorf("get %v, list %v, %v", x, listed, err)
			}
		},
	} {
		t.Run(kindOf(rule), func(t *testing.T) {
			t.Parallel()
			eachTransport(t, func() Options { return scripted(t, "faults: [{on: reads, "+rule+"}]") }, func(t *testing.T, s *Server, c clients) {
				made := c.run(t, "instant")
				x, err := c.executions.GetExecution(t.Context(), &runpb.GetExecutionRequest{Name: made.GetName()})
				listed, listErr := c.listed(t)
				check(t, c, x, listed, errors.Join(err, listErr))
				if hidden := kindOf(rule) == "hide-env"; !hidden {
					s.wantFault(t, "GetExecution", 1, kindOf(rule))
				}
				s.wantFault(t, "ListExecutions", 1, kindOf(rule))
			})
		})
	}
}

func (c clients) listed(t *testing.T) ([]*runpb.Execution, error) {
	t.Helper()
	var all []*runpb.Execution
	it := c.executions.ListExecutions(t.Context(), &runpb.ListExecutionsRequest{Parent: somewhere + "/jobs/instant"})
	for {
		x, err := it.Next()
		if errors.Is(err, iterator.Done) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, x)
	}
}

func TestAnErrorMayHaveTextThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	script := "faults: [{on: GetExecution, do: error, code: NOT_FOUND, message: gone}, {on: GetExecution, do: bad-text}, {on: CancelExecution, do: quota}, {on: CancelExecution, do: bad-text}]"
	for name, dial := range map[string]func(*testing.T, *Server) clients{
		"gRPC": func(t *testing.T, s *Server) clients { return inside(t, s) },
		"REST": func(t *testing.T, s *Server) clients { return overREST(t, "http://"+listen(t, s)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, newServer(t, scripted(t, script)))
			_, err := c.executions.GetExecution(t.Context(), &runpb.GetExecutionRequest{Name: somewhere + "/jobs/instant/executions/x"})
			wantCode(t, err, codes.NotFound)
			wantCode(t, c.cancel(t, somewhere+"/jobs/instant/executions/x"), codes.ResourceExhausted)
			if message := status.Convert(err).Message(); name == "gRPC" && (utf8.ValidString(message) || !strings.Contains(message, "gone")) {
				t.Errorf("the message is %q", message)
			}
		})
	}
}

func TestEveryKindOfFaultIsInTheseTests(t *testing.T) {
	t.Parallel()
	tested := []string{"drop-metadata", "hide-env", "project-number", "unknown-enum", "bad-text", "list-lag", "not-found", "vanish", "cancel-outside"}
	for _, e := range ends() {
		tested = append(tested, kindOf(e.rule))
	}
	for _, k := range kinds() {
		if !slices.Contains(tested, k.name) {
			t.Errorf("%s is in no test", k.name)
		}
	}
}
