package functions

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCloudLoggingFindsItsFields(t *testing.T) {
	t.Parallel()
	const id = "0af7651916cd43dd8448eb211c80319c"
	for _, c := range []struct {
		name, project string
		header        [2]string
		trace, span   any
	}{
		{"a W3C trace", "p1", [2]string{"Traceparent", "00-" + id + "-b7ad6b7169203331-01"}, "projects/p1/traces/" + id, "b7ad6b7169203331"},
		{"a trace of Google's", "p1", [2]string{"X-Cloud-Trace-Context", id + "/123;o=1"}, "projects/p1/traces/" + id, nil},
		{"no trace", "p1", [2]string{"X-Other", ""}, nil, nil},
		{"a trace that is none", "p1", [2]string{"X-Cloud-Trace-Context", "../../x"}, nil, nil},
		{"no project", "", [2]string{"X-Cloud-Trace-Context", id}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			log := NewLogger(&out, slog.LevelDebug, true, c.project).With("function", "tick")
			log.WarnContext(withTrace(t.Context(), http.Header{c.header[0]: {c.header[1]}}), "launch refused", "error", errors.New("quota"))
			var line map[string]any
			if err := json.Unmarshal(out.Bytes(), &line); err != nil {
				t.Fatal(err)
			}
			source, _ := line["logging.googleapis.com/sourceLocation"].(map[string]any)
			if file, _ := source["file"].(string); !strings.HasSuffix(file, "log_test.go") {
				t.Errorf("source location %v", source)
			}
			got := []any{line["severity"], line["message"], line["function"], line["error"], line["logging.googleapis.com/trace"], line["logging.googleapis.com/spanId"]}
			if d := cmp.Diff([]any{"WARNING", "launch refused", "tick", "quota", c.trace, c.span}, got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

func TestSeverities(t *testing.T) {
	t.Parallel()
	for level, want := range map[slog.Level]string{
		slog.LevelDebug: "DEBUG", slog.LevelInfo: "INFO", slog.LevelWarn: "WARNING", slog.LevelError: "ERROR", slog.LevelError + 4: "ERROR",
	} {
		if got := severity(level); got != want {
			t.Errorf("%v is %s, want %s", level, got, want)
		}
	}
}

func TestOffCloudRunTheLogIsPlainText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := NewLogger(&out, slog.LevelInfo, false, "p1")
	log.Debug("hidden")
	log.Info("listening", "address", "127.0.0.1:8080")
	if got := out.String(); !strings.HasSuffix(got, "level=INFO msg=listening address=127.0.0.1:8080\n") || strings.Contains(got, "hidden") {
		t.Errorf("log %q", got)
	}
}
