package functions

import (
	"net/http"
	"strings"
	"testing"
)

func TestHealthIsToldWithoutAnEngine(t *testing.T) {
	t.Parallel()
	f, _ := withoutEngine(Options{Version: "v1.2.3"})
	all := listen(t, f.All())
	said := map[string]string{all + "/health": "all", all + "/health/": "all"}
	for _, name := range Names() {
		said[listen(t, f.Handler(name))+"/health"] = name
		said[all+"/"+name+"/health"] = name
	}
	for url, function := range said {
		a := send(t, http.MethodGet, url, "")
		want := `{"status":"ok","function":"` + function + `","version":"v1.2.3"}`
		if a.status != http.StatusOK || strings.TrimSpace(a.body) != want || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s, want %s", url, a.status, a.body, want)
		}
	}
}

func TestHealthIsToldAsEverythingElse(t *testing.T) {
	t.Parallel()
	f, _ := withoutEngine(Options{})
	url := listen(t, f.Handler("tick")) + "/health"
	if a := send(t, http.MethodGet, url, "", "Host", "evil.example"); a.status != http.StatusMisdirectedRequest {
		t.Errorf("another host: %d %s", a.status, a.body)
	}
	if a := send(t, http.MethodPost, url, ""); a.status != http.StatusMethodNotAllowed {
		t.Errorf("a write: %d %s", a.status, a.body)
	}
	cloud, _ := withoutEngine(Options{OnCloudRun: true})
	if a := send(t, http.MethodGet, listen(t, cloud.Handler("tick"))+"/health", "", "Host", "10.0.0.1:8080"); a.status != http.StatusOK {
		t.Errorf("a probe of Cloud Run: %d %s", a.status, a.body)
	}
	if err := f.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := send(t, http.MethodGet, url, ""); a.status != http.StatusServiceUnavailable {
		t.Errorf("an instance that ends: %d %s", a.status, a.body)
	}
}
