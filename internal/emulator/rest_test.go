package emulator

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
)

func TestRESTSpeaksAsGoogleDoes(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{Jobs: Jobs{"a": {Func: instant}}})
	base := "http://" + listen(t, s) + "/v2/" + somewhere
	type asked struct{ method, path, body, contentType, origin string }
	for name, test := range map[string]struct {
		asked
		status int
		part   string
	}{
		"an unknown job":           {asked{method: "GET", path: "/jobs/nope"}, 404, `"status":"NOT_FOUND"`},
		"a job":                    {asked{method: "GET", path: "/jobs/a"}, 200, `"CONDITION_SUCCEEDED"`},
		"enums as numbers":         {asked{method: "GET", path: "/jobs/a?%24alt=json%3Benum-encoding%3Dint"}, 200, `"state":4`},
		"a run":                    {asked{method: "POST", path: "/jobs/a:run", body: `{"overrides":{"taskCount":2}}`, contentType: "application/json"}, 200, `"@type":"type.googleapis.com/google.cloud.run.v2.Execution"`},
		"an unknown field":         {asked{method: "POST", path: "/jobs/a:run", body: `{"overides":{}}`, contentType: "application/json"}, 400, `"status":"INVALID_ARGUMENT"`},
		"a body that is no JSON":   {asked{method: "POST", path: "/jobs/a:run", body: `{}`, contentType: "text/plain"}, 400, "application/json"},
		"an unknown parameter":     {asked{method: "GET", path: "/jobs?filter=x"}, 400, "filter"},
		"a page size of letters":   {asked{method: "GET", path: "/jobs?pageSize=x"}, 400, "page_size"},
		"a page size in snake":     {asked{method: "GET", path: "/jobs?page_size=1"}, 200, `"jobs"`},
		"an unknown method":        {asked{method: "GET", path: "/services"}, 404, "jobs, executions, tasks and operations"},
		"a run by a page's script": {asked{method: "POST", path: "/jobs/a:run", origin: "http://evil.example"}, 403, "web pages"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequestWithContext(t.Context(), test.method, base+test.path, strings.NewReader(test.body))
			req = must(t, req, err)
			for key, value := range map[string]string{"Content-Type": test.contentType, "Origin": test.origin} {
				if value != "" {
					req.Header.Set(key, value)
				}
			}
			resp, err := http.DefaultClient.Do(req)
			resp = must(t, resp, err)
			defer resp.Body.Close()
			raw, err := io.ReadAll(resp.Body)
			body := strings.ReplaceAll(string(must(t, raw, err)), `": `, `":`)
			if resp.StatusCode != test.status || !strings.Contains(body, test.part) {
				t.Errorf("answered %d %s, want %d with %s", resp.StatusCode, body, test.status, test.part)
			}
		})
	}
}

func TestEveryCodeHasItsRESTName(t *testing.T) {
	t.Parallel()
	for c := codes.OK; c <= codes.Unauthenticated; c++ {
		var back codes.Code
		if err := back.UnmarshalJSON(fmt.Appendf(nil, "%q", codeOf(c).name)); err != nil || back != c {
			t.Errorf("%s is spelled %s, which is %s", c, codeOf(c).name, back)
		}
	}
}
