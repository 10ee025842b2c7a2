package emulator

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
)

type override = runpb.RunJobRequest_Overrides_ContainerOverride

func with(o ...*override) *runpb.RunJobRequest_Overrides {
	return &runpb.RunJobRequest_Overrides{ContainerOverrides: o}
}

func manyVars(n int) []*runpb.EnvVar {
	var vars []*runpb.EnvVar
	for i := range n {
		vars = append(vars, envVar("V"+strconv.Itoa(i), "x"))
	}
	return vars
}

func TestRunJobRefusesWhatCloudRunWouldRefuse(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{Jobs: Jobs{
		"one": {Func: instant, Containers: []string{"main"}, Env: map[string]string{"OWN": "1"}},
		"two": {Func: instant, Containers: []string{"main", "proxy"}},
	}})
	c := inside(t, s)
	one := func(v ...*runpb.EnvVar) *override { return &override{Env: v} }
	for name, test := range map[string]struct {
		job   string
		o     *runpb.RunJobRequest_Overrides
		words string // empty: it is taken
	}{
		"nothing":                                 {"one", nil, ""},
		"no container name, one container":        {"one", with(&override{}), ""},
		"the container's name":                    {"one", with(&override{Name: "main"}), ""},
		"another name":                            {"one", with(&override{Name: "web"}), `no container "web"; it has main`},
		"no container name, two containers":       {"two", with(&override{}), "required for a job with several containers (main, proxy)"},
		"the second of two containers":            {"two", with(&override{Name: "proxy"}), ""},
		"a container twice":                       {"one", with(&override{}, &override{Name: "main"}), "twice"},
		"as many tasks as there may be":           {"one", &runpb.RunJobRequest_Overrides{TaskCount: 10_000}, ""},
		"one task too many":                       {"one", &runpb.RunJobRequest_Overrides{TaskCount: 10_001}, "10000"},
		"a negative task count":                   {"one", &runpb.RunJobRequest_Overrides{TaskCount: -1}, "task_count"},
		"the longest timeout":                     {"one", &runpb.RunJobRequest_Overrides{Timeout: durationpb.New(168 * time.Hour)}, ""},
		"a longer timeout":                        {"one", &runpb.RunJobRequest_Overrides{Timeout: durationpb.New(168*time.Hour + 1)}, "timeout"},
		"no time at all":                          {"one", &runpb.RunJobRequest_Overrides{Timeout: durationpb.New(0)}, "timeout"},
		"the name CLOUD_RUN_JOB":                  {"one", with(one(envVar("CLOUD_RUN_JOB", "x"))), "CLOUD_RUN_JOB is reserved"},
		"the name K_SERVICE":                      {"one", with(one(envVar("K_SERVICE", "x"))), "reserved"},
		"the name X_GOOGLE_A":                     {"one", with(one(envVar("X_GOOGLE_A", "x"))), "reserved"},
		"the name PORT":                           {"one", with(one(envVar("PORT", "1"))), "reserved"},
		"the name PORTS":                          {"one", with(one(envVar("PORTS", "1"))), ""},
		"an empty name":                           {"one", with(one(envVar("", "1"))), "cannot be the name"},
		"a name with =":                           {"one", with(one(envVar("A=B", "1"))), "cannot be the name"},
		"the longest value":                       {"one", with(one(envVar("A", strings.Repeat("x", 32_768)))), ""},
		"a longer value":                          {"one", with(one(envVar("A", strings.Repeat("x", 32_769)))), "32769 bytes"},
		"a NUL in a value":                        {"one", with(one(envVar("A", "a\x00b"))), "NUL"},
		"a thousand variables with the job's own": {"one", with(one(manyVars(999)...)), ""},
		"one variable too many":                   {"one", with(one(manyVars(1000)...)), "1001 environment variables"},
		"a thousand args":                         {"one", with(&override{Args: make([]string, 1000)}), ""},
		"one arg too many":                        {"one", with(&override{Args: make([]string, 1001)}), "1001 arguments"},
		"a NUL in an arg":                         {"one", with(&override{Args: []string{"\x00"}}), "NUL"},
		"a secret": {"one", with(one(&runpb.EnvVar{Name: "A", Values: &runpb.EnvVar_ValueSource{ValueSource: &runpb.EnvVarSource{}}})),
			"only the real Cloud Run"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := c.jobs.RunJob(t.Context(), &runpb.RunJobRequest{Name: somewhere + "/jobs/" + test.job, Overrides: test.o})
			if test.words == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			wantCode(t, err, codes.InvalidArgument)
			if err != nil && !strings.Contains(err.Error(), test.words) {
				t.Errorf("said %q, want %q in it", err, test.words)
			}
		})
	}
}

func TestArgsAreReplacedOrClearedOrKept(t *testing.T) {
	t.Parallel()
	c := inside(t, newServer(t, Options{Jobs: Jobs{"a": {Func: instant, Args: []string{"--own"}}}}))
	for name, test := range map[string]struct {
		o    *override
		want []string
	}{
		"kept":     {&override{}, []string{"--own"}},
		"replaced": {&override{Args: []string{"x", "y"}}, []string{"x", "y"}},
		"cleared":  {&override{ClearArgs: true}, nil},
	} {
		x := c.run(t, "a", func(r *runpb.RunJobRequest) { r.Overrides = with(test.o) })
		if diff := cmp.Diff(test.want, x.GetTemplate().GetContainers()[0].GetArgs()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestRunsDoNotShareTheirEnvironment(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{Jobs: Jobs{"a": {Func: instant, Env: map[string]string{"A": "job"}}}})
	c := inside(t, s)
	c.end(t, c.run(t, "a", env("A", "run")).GetName())
	c.end(t, c.run(t, "a").GetName())
	var got []string
	for _, st := range s.Started() {
		got = append(got, st.Env["A"])
	}
	if diff := cmp.Diff([]string{"run", "job"}, got); diff != "" {
		t.Errorf("A (-want +got):\n%s", diff)
	}
}

func TestValidateOnlyAndAWrongEtagStartNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{Jobs: Jobs{"a": {Func: instant}}})
	ctx, name := t.Context(), somewhere+"/jobs/a"
	if _, err := s.RunJob(ctx, &runpb.RunJobRequest{Name: name, ValidateOnly: true}); err != nil {
		t.Error(err)
	}
	_, err := s.RunJob(ctx, &runpb.RunJobRequest{Name: name, Etag: "old"})
	wantCode(t, err, codes.Aborted)
	if n := len(s.Started()); n != 0 {
		t.Errorf("%d tasks started", n)
	}
	j, err := s.GetJob(ctx, &runpb.GetJobRequest{Name: name})
	if _, err = s.RunJob(ctx, &runpb.RunJobRequest{Name: name, Etag: must(t, j, err).GetEtag()}); err != nil {
		t.Errorf("the right etag: %v", err)
	}
}
