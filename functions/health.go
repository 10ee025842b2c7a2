package functions

import (
	"context"
	"net/http"

	"cloud-run-orchestrator/internal/api"

	"github.com/danielgtaylor/huma/v2"
)

// healthRoutes are called by Cloud Run's probes, and by whoever wants to know whether a function is there. They ask nobody, not even the database:
// a probe that fails restarts the instance, which mends no database.
func (f *Functions) healthRoutes() {
	f.healthRoute("", "all", "Is the server of all functions there?")
	for _, name := range Names() {
		f.healthRoute("/"+name, name, "Is the function "+name+" there?")
	}
}

func (f *Functions) healthRoute(root, function, summary string) {
	register(f, huma.Operation{
		OperationID: function + "-health", Method: http.MethodGet, Path: root + "/health",
		Summary: summary, Description: "Answers without the database.",
	}, func(context.Context, *struct{}) (*reply[api.Health], error) {
		return &reply[api.Health]{Body: api.Health{Status: "ok", Function: function, Version: f.version}}, nil
	})
}
