package workflow

import (
	"strings"
	"testing"
)

func TestWarnings(t *testing.T) {
	t.Parallel()
	d, err := Parse("w.yaml", []byte(`name: a
job: {name: j}
tasks: {count: 1}
env:
  API_TOKEN: x
  db_password: x
  CLIENT_SECRET: x
  SIGNING_KEY: x
  KEYBOARD: x
timeout: 8d
`))
	if err != nil {
		t.Fatal(err)
	}
	const secret = "everyone who may read the status can read this value; secrets belong in the Cloud Run job, from Secret Manager"
	checkError(t, d.Warnings, strings.Join([]string{
		"w.yaml:5:3: env.API_TOKEN: " + secret,
		"w.yaml:6:3: env.db_password: " + secret,
		"w.yaml:7:3: env.CLIENT_SECRET: " + secret,
		"w.yaml:8:3: env.SIGNING_KEY: " + secret,
		`w.yaml:10:1: timeout: "8d" is longer than Cloud Run's present limit of 168h (7d)`,
	}, "\n"))

	d, err = Parse("w.yaml", []byte("name: a\njob: {name: j}\ntasks: {count: 1}\ntimeout: 7d\n"))
	if err != nil || len(d.Warnings) != 0 {
		t.Errorf("7d: %v, %v; want no warning", d.Warnings, err)
	}
}
