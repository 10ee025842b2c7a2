package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"cloud-run-orchestrator/internal/lifecycle"
)

// mode decides what the process drives. On Cloud Run that is live or nothing; elsewhere ORCHESTRATOR_MODE decides,
// then the emulator's address, then credentials, and else nothing real is touched.
func (r *reader) mode(c *Config) {
	asked := lifecycle.Mode(r.oneOf("ORCHESTRATOR_MODE", "", string(lifecycle.Live), string(lifecycle.Emulator), string(lifecycle.Mock)))
	c.EmulatorHost = r.address("CLOUD_RUN_EMULATOR_HOST", "")
	c.Credentials = r.text("GOOGLE_APPLICATION_CREDENTIALS", "")
	c.Mode, c.ModeWhy = choose(asked, *c)
	r.effective("ORCHESTRATOR_MODE", string(c.Mode))

	if c.OnCloudRun() && c.Mode != lifecycle.Live {
		r.errorf("the mode is %s (%s); on Cloud Run only live is allowed", c.Mode, c.ModeWhy)
		return
	}
	switch c.Mode {
	case lifecycle.Live:
		r.readableCredentials(c.Credentials)
	case lifecycle.Emulator:
		if c.EmulatorHost == "" && r.getenv("CLOUD_RUN_EMULATOR_HOST") == "" {
			r.errorf("CLOUD_RUN_EMULATOR_HOST is not set; mode emulator needs the emulator's host:port in it, as in localhost:8090")
		}
	case lifecycle.Mock:
		if asked == "" && r.gcloudCredentials() {
			c.Notice = "MOCK (gcloud credentials found but not used; set ORCHESTRATOR_MODE=live)"
		}
	}
}

func choose(asked lifecycle.Mode, c Config) (mode lifecycle.Mode, why string) {
	switch {
	case asked != "":
		return asked, "ORCHESTRATOR_MODE is set"
	case c.EmulatorHost != "":
		return lifecycle.Emulator, "CLOUD_RUN_EMULATOR_HOST is set"
	case c.OnCloudRun():
		return lifecycle.Live, "it runs on Cloud Run"
	case c.Credentials != "":
		return lifecycle.Live, "GOOGLE_APPLICATION_CREDENTIALS is set"
	default:
		return lifecycle.Mock, "neither an emulator nor credentials are set"
	}
}

// readableCredentials refuses a wrong path at the start: the client library would first say so in the middle of a tick.
func (r *reader) readableCredentials(path string) {
	if path == "" {
		return
	}
	const must = "GOOGLE_APPLICATION_CREDENTIALS is %q; it must be the path of a readable credentials file: %v"
	info, err := os.Stat(path)
	switch {
	case err != nil:
		r.errorf(must, path, cause(err))
	case info.IsDir():
		r.errorf(must, path, "this is a folder")
	case info.Mode().IsRegular(): // a pipe is left alone: reading it would use it up
		file, err := os.Open(path)
		if err != nil {
			r.errorf(must, path, cause(err))
			return
		}
		_ = file.Close()
	}
}

// gcloudCredentials says whether "gcloud auth application-default login" has left its file.
func (r *reader) gcloudCredentials() bool {
	dir := r.getenv("CLOUDSDK_CONFIG")
	if home := r.getenv("HOME"); dir == "" && home != "" {
		dir = filepath.Join(home, ".config", "gcloud")
	}
	if dir == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(dir, "application_default_credentials.json"))
	return err == nil
}

// cause is a file error without the operation and the path, which the sentence around it already has.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
