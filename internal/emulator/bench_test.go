package emulator

import (
	"fmt"
	"testing"

	"cloud.google.com/go/run/apiv2/runpb"
)

// BenchmarkRunJob starts one execution of one instant task per round, with ever more of them there already.
func BenchmarkRunJob(b *testing.B) {
	s := benchServer(b)
	for b.Loop() {
		if _, err := s.RunJob(b.Context(), benchRun(1)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTasks runs the instant tasks of ever new executions to their end.
func BenchmarkTasks(b *testing.B) {
	for _, count := range []int32{1, 100, 10_000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			s := benchServer(b)
			n := 0
			for b.Loop() {
				op, err := s.RunJob(b.Context(), benchRun(count))
				if err != nil {
					b.Fatal(err)
				}
				n += int(count)
				<-doneOf(s, op.GetName())
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/task")
		})
	}
}

// BenchmarkReads asks for an execution and for a page of the list among 10,000 executions.
func BenchmarkReads(b *testing.B) {
	s := benchServer(b)
	for range 10_000 {
		op, err := s.RunJob(b.Context(), benchRun(1))
		if err != nil {
			b.Fatal(err)
		}
		<-doneOf(s, op.GetName())
	}
	name := s.byJob[benchJob].executions[5000].name
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.GetExecution(b.Context(), &runpb.GetExecutionRequest{Name: name}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("page in the middle", func(b *testing.B) {
		token := pageToken(benchJob+"/executions", position{a: 10_000})
		for b.Loop() {
			if _, err := s.ListExecutions(b.Context(), &runpb.ListExecutionsRequest{Parent: benchJob, PageToken: token}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

const benchJob = somewhere + "/jobs/a"

func benchServer(b *testing.B) *Server {
	b.Helper()
	s, err := New(Options{Jobs: Jobs{"a": {Func: instant}}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	return s
}

// benchRun looks like a real call: a dozen variables.
func benchRun(count int32) *runpb.RunJobRequest {
	o := &override{}
	for i := range 12 {
		o.Env = append(o.Env, envVar(fmt.Sprintf("ORCHESTRATOR_VARIABLE_%d", i), "0199b3c2-7d41-7c0e-9a55-0d2f7a1b6c11"))
	}
	return &runpb.RunJobRequest{Name: benchJob, Overrides: &runpb.RunJobRequest_Overrides{TaskCount: count, ContainerOverrides: []*override{o}}}
}

func doneOf(s *Server, operation string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.operations[operation].x.done()
}
