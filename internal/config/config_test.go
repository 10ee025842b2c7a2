package config

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud-run-orchestrator/internal/lifecycle"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// env makes a getenv out of NAME=value pairs.
func env(pairs ...string) func(string) string {
	values := map[string]string{}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
	}
	return func(name string) string { return values[name] }
}

func TestLoadOfAnEmptyEnvironmentGivesTheDefaults(t *testing.T) {
	t.Parallel()
	got, err := Load(env())
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Mode:         lifecycle.Mock,
		ModeWhy:      "neither an emulator nor credentials are set",
		PoolSize:     4,
		LogLevel:     slog.LevelInfo,
		URL:          "http://localhost:8080",
		Listen:       "127.0.0.1:8080",
		Region:       "us-central1",
		CallDeadline: 30 * time.Second,
		Claim:        time.Minute,
		SettleWindow: 3 * time.Minute,
		TickBudget:   50 * time.Second,
		HistoryKept:  900,
		Concurrency:  16,
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got.DatabaseName() != "orchestrator" || got.OnCloudRun() || got.CloudSQL() {
		t.Errorf("database %s, on Cloud Run %v, Cloud SQL %v", got.DatabaseName(), got.OnCloudRun(), got.CloudSQL())
	}
}

func TestLoadReadsEverySetting(t *testing.T) {
	t.Parallel()
	got, err := Load(env("K_SERVICE=tick", "PORT=9000", "ORCHESTRATOR_LISTEN=127.0.0.1:1", "DATABASE_INSTANCE=my-project:europe-west1:main",
		"DATABASE_USER=tick@my-project.iam", "DATABASE_NAME=jobs", "DATABASE_PRIVATE_IP=true", "ORCHESTRATOR_POOL_SIZE=2", "LOG_LEVEL=debug",
		"ORCHESTRATOR_URL=https://orchestrator-{function}-1.europe-west1.run.app", "ORCHESTRATOR_HOSTS=a, b.example.com", "FUNCTION_TARGET=tick",
		"ORCHESTRATOR_PROJECT=my-project", "ORCHESTRATOR_REGION=europe-west1", "ORCHESTRATOR_CALL_DEADLINE=1s", "ORCHESTRATOR_CLAIM=2s",
		"ORCHESTRATOR_SETTLE_WINDOW=3s", "ORCHESTRATOR_TICK_BUDGET=4s", "ORCHESTRATOR_HISTORY_KEPT=1000", "ORCHESTRATOR_CONCURRENCY=3",
		"ORCHESTRATOR_WAKE_QUEUE=projects/example.com:p1/locations/europe-west1/queues/Wake-1", "ORCHESTRATOR_WAKE_URL=https://tick-1.run.app",
		"ORCHESTRATOR_WAKE_ACCOUNT=wake@my-project.iam.gserviceaccount.com"))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Mode:              lifecycle.Live,
		ModeWhy:           "it runs on Cloud Run",
		Service:           "tick",
		DatabaseInstance:  "my-project:europe-west1:main",
		DatabaseUser:      "tick@my-project.iam",
		DatabasePrivateIP: true,
		PoolSize:          2,
		LogLevel:          slog.LevelDebug,
		URL:               "https://orchestrator-{function}-1.europe-west1.run.app",
		URLSet:            true,
		Listen:            ":9000",
		Hosts:             []string{"a", "b.example.com"},
		FunctionTarget:    "tick",
		Project:           "my-project",
		Region:            "europe-west1",
		CallDeadline:      time.Second,
		Claim:             2 * time.Second,
		SettleWindow:      3 * time.Second,
		TickBudget:        4 * time.Second,
		HistoryKept:       1000,
		Concurrency:       3,
		WakeQueue:         "projects/example.com:p1/locations/europe-west1/queues/Wake-1",
		WakeURL:           "https://tick-1.run.app",
		WakeAccount:       "wake@my-project.iam.gserviceaccount.com",
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got.DatabaseName() != "jobs" || !got.CloudSQL() {
		t.Errorf("database %s, Cloud SQL %v", got.DatabaseName(), got.CloudSQL())
	}
}

func TestLoadSaysWhatIsWrongWithTheWakeQueue(t *testing.T) {
	t.Parallel()
	const (
		queue   = "ORCHESTRATOR_WAKE_QUEUE=projects/p1/locations/europe-west1/queues/wake"
		address = "ORCHESTRATOR_WAKE_URL=https://tick.run.app"
		account = "ORCHESTRATOR_WAKE_ACCOUNT=wake@p1.iam.gserviceaccount.com"
		live    = "ORCHESTRATOR_MODE=live"
		all     = "ORCHESTRATOR_WAKE_QUEUE, ORCHESTRATOR_WAKE_URL and ORCHESTRATOR_WAKE_ACCOUNT must be set together; missing: "
		anURL   = "it must be the https address of the tick function, as in https://orchestrator-tick-1234.europe-west1.run.app"
		aQueue  = "it must be a Cloud Tasks queue as projects/PROJECT/locations/LOCATION/queues/NAME"
		anEmail = "it must be the email of a service account, as in orchestrator-wake@my-project.iam.gserviceaccount.com"
	)
	for _, test := range []struct {
		env  []string
		want string
	}{
		{[]string{live, queue}, all + "ORCHESTRATOR_WAKE_URL, ORCHESTRATOR_WAKE_ACCOUNT"},
		{[]string{live, address, account}, all + "ORCHESTRATOR_WAKE_QUEUE"},
		{[]string{live, "ORCHESTRATOR_WAKE_QUEUE=wake", address, account}, `ORCHESTRATOR_WAKE_QUEUE is "wake"; ` + aQueue},
		{[]string{live, queue + "/tasks/t", address, account}, `ORCHESTRATOR_WAKE_QUEUE is "projects/p1/locations/europe-west1/queues/wake/tasks/t"; ` + aQueue},
		{[]string{live, queue, "ORCHESTRATOR_WAKE_URL=http://tick.run.app", account}, `ORCHESTRATOR_WAKE_URL is "http://tick.run.app"; ` + anURL},
		{[]string{live, queue, "ORCHESTRATOR_WAKE_URL=tick.run.app", account}, `ORCHESTRATOR_WAKE_URL is "tick.run.app"; ` + anURL},
		{[]string{live, queue, address + "?a=b", account}, `ORCHESTRATOR_WAKE_URL is "https://tick.run.app?a=b"; ` + anURL},
		{[]string{live, queue, address, "ORCHESTRATOR_WAKE_ACCOUNT=wake"}, `ORCHESTRATOR_WAKE_ACCOUNT is "wake"; ` + anEmail},
		{[]string{live, queue, address, "ORCHESTRATOR_WAKE_ACCOUNT=ada@example.com"}, `ORCHESTRATOR_WAKE_ACCOUNT is "ada@example.com"; ` + anEmail},
		{[]string{queue, address, account},
			"ORCHESTRATOR_WAKE_QUEUE is set, and the mode is mock (neither an emulator nor credentials are set); the queue calls a tick on Cloud Run, so the mode must be live"},
	} {
		t.Run(strings.Join(test.env, " "), func(t *testing.T) {
			t.Parallel()
			_, err := Load(env(test.env...))
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tests := []struct {
		env  []string
		want string
	}{
		{[]string{"ORCHESTRATOR_POOL_SIZE=many"}, `ORCHESTRATOR_POOL_SIZE is "many"; it must be a whole number from 1 to 100`},
		{[]string{"ORCHESTRATOR_POOL_SIZE=0"}, `ORCHESTRATOR_POOL_SIZE is "0"; it must be a whole number from 1 to 100`},
		{[]string{"ORCHESTRATOR_HISTORY_KEPT=1001"}, `ORCHESTRATOR_HISTORY_KEPT is "1001"; it must be a whole number from 1 to 1000`},
		{[]string{"ORCHESTRATOR_CONCURRENCY=-1"}, `ORCHESTRATOR_CONCURRENCY is "-1"; it must be a whole number from 1 to 100`},
		{[]string{"PORT=http"}, `PORT is "http"; it must be a whole number from 1 to 65535`},
		{[]string{"LOG_LEVEL=loud"}, `LOG_LEVEL is "loud"; it must be debug, info, warn or error`},
		{[]string{"FUNCTION_TARGET=tock"}, `FUNCTION_TARGET is "tock"; it must be workflows, trigger, status or tick`},
		{[]string{"ORCHESTRATOR_TICK_BUDGET=50"}, `ORCHESTRATOR_TICK_BUDGET is "50"; it must be a time above 0 and at most 24h, as in 30s or 3m`},
		{[]string{"ORCHESTRATOR_CLAIM=0s"}, `ORCHESTRATOR_CLAIM is "0s"; it must be a time above 0 and at most 24h, as in 30s or 3m`},
		{[]string{"ORCHESTRATOR_CLAIM=30s"}, `ORCHESTRATOR_CLAIM is 30s; it must be longer than ORCHESTRATOR_CALL_DEADLINE, which is 30s`},
		{[]string{"ORCHESTRATOR_CLAIM=3m"}, `ORCHESTRATOR_SETTLE_WINDOW is 3m; it must be longer than ORCHESTRATOR_CLAIM, which is 3m`},
		{[]string{"ORCHESTRATOR_URL=localhost:8080"}, `ORCHESTRATOR_URL is "localhost:8080"; it must be an http or https address, as in http://localhost:8080; {function} in it stands for the function's name`},
		{[]string{"ORCHESTRATOR_LISTEN=8080"}, `ORCHESTRATOR_LISTEN is "8080"; it must be a host:port, as in localhost:8080`},
		{[]string{"ORCHESTRATOR_LISTEN=localhost:99999"}, `ORCHESTRATOR_LISTEN is "localhost:99999"; it must be a host:port, as in localhost:8080`},
		{[]string{"ORCHESTRATOR_HOSTS=a,,b"}, `ORCHESTRATOR_HOSTS is "a,,b"; it must be host names with commas between them, as in orchestrator,build.example.com`},
		{[]string{"CLOUD_RUN_EMULATOR_HOST=here"}, `CLOUD_RUN_EMULATOR_HOST is "here"; it must be a host:port, as in localhost:8080`},
		{[]string{"DATABASE_PRIVATE_IP=perhaps"}, `DATABASE_PRIVATE_IP is "perhaps"; it must be true or false`},
		{[]string{"DATABASE_URL=mysql://u:secret@h/d"}, `DATABASE_URL is "mysql://u:xxxxx@h/d"; it must be a PostgreSQL URL, as in postgres://user:password@host:5432/database`},
		{[]string{"DATABASE_URL=postgres://u:sec%ret@h/d"}, `DATABASE_URL is "postgres://xxxxx@h/d"; it must be a PostgreSQL URL, as in postgres://user:password@host:5432/database`},
		{[]string{"DATABASE_INSTANCE=main", "DATABASE_USER=u", "DATABASE_NAME=d"}, `DATABASE_INSTANCE is "main"; it must be a Cloud SQL instance as project:region:name`},
		{[]string{"DATABASE_INSTANCE=p:us-east1:main"}, `DATABASE_INSTANCE, DATABASE_USER and DATABASE_NAME must be set together; missing: DATABASE_USER, DATABASE_NAME`},
		{[]string{"DATABASE_NAME=d", "DATABASE_USER=u"}, `DATABASE_INSTANCE, DATABASE_USER and DATABASE_NAME must be set together; missing: DATABASE_INSTANCE`},
		{[]string{"K_SERVICE=tick"}, `no database is set; on Cloud Run DATABASE_INSTANCE, DATABASE_USER and DATABASE_NAME, or DATABASE_URL, must be set`},
		{[]string{"ORCHESTRATOR_MODE=real"}, `ORCHESTRATOR_MODE is "real"; it must be live, emulator or mock`},
		{[]string{"ORCHESTRATOR_MODE=emulator"}, `CLOUD_RUN_EMULATOR_HOST is not set; mode emulator needs the emulator's host:port in it, as in localhost:8090`},
		{[]string{"GOOGLE_APPLICATION_CREDENTIALS=" + dir + "/none.json"},
			`GOOGLE_APPLICATION_CREDENTIALS is "` + dir + `/none.json"; it must be the path of a readable credentials file: no such file or directory`},
		{[]string{"GOOGLE_APPLICATION_CREDENTIALS=" + dir}, `GOOGLE_APPLICATION_CREDENTIALS is "` + dir + `"; it must be the path of a readable credentials file: this is a folder`},
		{[]string{"PORT=x", "LOG_LEVEL=y"}, "LOG_LEVEL is \"y\"; it must be debug, info, warn or error\nPORT is \"x\"; it must be a whole number from 1 to 65535"},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.env, " "), func(t *testing.T) {
			t.Parallel()
			_, err := Load(env(test.env...))
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestMode(t *testing.T) {
	t.Parallel()
	credentials := filepath.Join(t.TempDir(), "key.json")
	write(t, credentials)
	const url, emulator = "DATABASE_URL=postgres://h/d", "CLOUD_RUN_EMULATOR_HOST=localhost:8090"
	google := "GOOGLE_APPLICATION_CREDENTIALS=" + credentials
	tests := []struct {
		name string
		env  []string
		mode lifecycle.Mode
		why  string
		err  string
	}{
		{"nothing is set", nil, lifecycle.Mock, "neither an emulator nor credentials are set", ""},
		{"an emulator", []string{emulator}, lifecycle.Emulator, "CLOUD_RUN_EMULATOR_HOST is set", ""},
		{"an emulator comes before credentials", []string{emulator, google}, lifecycle.Emulator, "CLOUD_RUN_EMULATOR_HOST is set", ""},
		{"credentials", []string{google}, lifecycle.Live, "GOOGLE_APPLICATION_CREDENTIALS is set", ""},
		{"the variable decides for live", []string{"ORCHESTRATOR_MODE=live", emulator}, lifecycle.Live, "ORCHESTRATOR_MODE is set", ""},
		{"the variable decides for mock", []string{"ORCHESTRATOR_MODE=mock", emulator, google}, lifecycle.Mock, "ORCHESTRATOR_MODE is set", ""},
		{"the variable decides for the emulator", []string{"ORCHESTRATOR_MODE=emulator", emulator, google}, lifecycle.Emulator, "ORCHESTRATOR_MODE is set", ""},
		{"a service is live", []string{"K_SERVICE=s", url}, lifecycle.Live, "it runs on Cloud Run", ""},
		{"a job is live", []string{"CLOUD_RUN_JOB=j", url}, lifecycle.Live, "it runs on Cloud Run", ""},
		{"a service may say so", []string{"K_SERVICE=s", url, "ORCHESTRATOR_MODE=live", emulator}, lifecycle.Live, "ORCHESTRATOR_MODE is set", ""},
		{"a service never mocks", []string{"K_SERVICE=s", url, "ORCHESTRATOR_MODE=mock"}, "", "", "the mode is mock (ORCHESTRATOR_MODE is set); on Cloud Run only live is allowed"},
		{"a job never emulates", []string{"CLOUD_RUN_JOB=j", url, emulator}, "", "", "the mode is emulator (CLOUD_RUN_EMULATOR_HOST is set); on Cloud Run only live is allowed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Load(env(test.env...))
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("got  %v\nwant %s", err, test.err)
				}
				return
			}
			if err != nil || got.Mode != test.mode || got.ModeWhy != test.why {
				t.Errorf("got %s (%s), %v; want %s (%s)", got.Mode, got.ModeWhy, err, test.mode, test.why)
			}
		})
	}
}

func TestDatabaseNameFollowsTheMode(t *testing.T) {
	t.Parallel()
	for mode, want := range map[lifecycle.Mode]string{
		lifecycle.Mock: "orchestrator", lifecycle.Emulator: "orchestrator_emulator", lifecycle.Live: "orchestrator_live",
	} {
		if got := (Config{Mode: mode}).DatabaseName(); got != want {
			t.Errorf("%s: got %s, want %s", mode, got, want)
		}
	}
}

func TestNoticeOfUnusedGcloudCredentials(t *testing.T) {
	t.Parallel()
	const notice = "MOCK (gcloud credentials found but not used; set ORCHESTRATOR_MODE=live)"
	home, sdk, empty := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, filepath.Join(home, ".config", "gcloud", "application_default_credentials.json"))
	write(t, filepath.Join(sdk, "application_default_credentials.json"))
	tests := []struct {
		name string
		env  []string
		want string
	}{
		{"in the home folder", []string{"HOME=" + home}, notice},
		{"in gcloud's own folder", []string{"HOME=" + empty, "CLOUDSDK_CONFIG=" + sdk}, notice},
		{"gcloud's folder comes first", []string{"HOME=" + home, "CLOUDSDK_CONFIG=" + empty}, ""},
		{"there are none", []string{"HOME=" + empty}, ""},
		{"there is no home", nil, ""},
		{"mock was asked for", []string{"HOME=" + home, "ORCHESTRATOR_MODE=mock"}, ""},
		{"they are used", []string{"HOME=" + home, "ORCHESTRATOR_MODE=live"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Load(env(test.env...))
			if err != nil || got.Notice != test.want {
				t.Errorf("got %q, %v; want %q", got.Notice, err, test.want)
			}
		})
	}
}

func TestSettingsShowEveryValueWithItsSource(t *testing.T) {
	t.Parallel()
	cfg, err := Load(env("CLOUD_RUN_EMULATOR_HOST=localhost:8090", "ORCHESTRATOR_CLAIM=90s", "LOG_LEVEL="))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Setting{}
	for _, s := range cfg.Settings() {
		if _, twice := got[s.Name]; twice {
			t.Errorf("%s is listed twice", s.Name)
		}
		got[s.Name] = s
	}
	for _, want := range []Setting{
		{"ORCHESTRATOR_MODE", "emulator", FromDefault},
		{"CLOUD_RUN_EMULATOR_HOST", "localhost:8090", FromEnvironment},
		{"ORCHESTRATOR_CLAIM", "90s", FromEnvironment},
		{"ORCHESTRATOR_SETTLE_WINDOW", "3m", FromDefault},
		{"ORCHESTRATOR_CALL_DEADLINE", "30s", FromDefault},
		{"LOG_LEVEL", "info", FromDefault},
		{"ORCHESTRATOR_PROJECT", "", FromDefault},
		{"K_SERVICE", "", FromDefault},
	} {
		if got[want.Name] != want {
			t.Errorf("got %+v, want %+v", got[want.Name], want)
		}
	}
	const settings = 32
	if len(got) != settings {
		t.Errorf("%d settings are listed, want %d", len(got), settings)
	}
}

func TestNoPasswordIsEverShown(t *testing.T) {
	t.Parallel()
	tests := []struct{ dsn, shown string }{
		{"postgres://u:secret@h:1/d?sslmode=disable", "postgres://u:xxxxx@h:1/d?sslmode=disable"},
		{"postgres://u@h/d?password=secret", "postgres://u@h/d?password=xxxxx"},
		{"postgres:///d?host=/tmp&password=secret&sslpassword=secret", "postgres:///d?host=%2Ftmp&password=xxxxx&sslpassword=xxxxx"},
		{"host=h password=secret dbname=d", "host=h password=xxxxx dbname=d"},
		{`host=h password='a \'secret' dbname=d`, "host=h password=xxxxx dbname=d"},
		{"PASSWORD = secret host=h", "PASSWORD = xxxxx host=h"},
		{"postgres://u:secret%@h/d", "postgres://xxxxx@h/d"},
		{"postgres://u:se@cret@h:port/d", "postgres://xxxxx@h:port/d"},
	}
	for _, test := range tests {
		t.Run(test.shown, func(t *testing.T) {
			t.Parallel()
			cfg, loadErr := Load(env("DATABASE_URL=" + test.dsn))
			var log bytes.Buffer
			slog.New(slog.NewTextHandler(&log, nil)).Info("start", "config", cfg)
			all := fmt.Sprintf("%v %+v %s %v %v", cfg, cfg, log.String(), cfg.Settings(), loadErr)
			if strings.Contains(all, "secret") || strings.Contains(all, "cret@") {
				t.Errorf("the password is shown: %s", all)
			}
			if got := HidePassword(test.dsn); got != test.shown {
				t.Errorf("got %s, want %s", got, test.shown)
			}
			if !strings.Contains(log.String(), "config.LOG_LEVEL=info") {
				t.Errorf("the log line has no settings: %s", log.String())
			}
			if cfg.DatabaseURL != test.dsn {
				t.Errorf("the value itself is changed to %q", cfg.DatabaseURL)
			}
		})
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoadReadsTheUsersOfTheFunctions(t *testing.T) {
	t.Parallel()
	got, err := Load(env("DATABASE_USER_WORKFLOWS=w", "DATABASE_USER_TRIGGER=t", "DATABASE_USER_STATUS=s", "DATABASE_USER_TICK=k"))
	if want := (FunctionUsers{"w", "t", "s", "k"}); err != nil || got.FunctionUsers != want {
		t.Errorf("got %+v, %v", got.FunctionUsers, err)
	}
	_, err = Load(env("DATABASE_USER_TRIGGER=t", "DATABASE_USER_STATUS=s"))
	const want = "DATABASE_USER_WORKFLOWS, DATABASE_USER_TRIGGER, DATABASE_USER_STATUS and DATABASE_USER_TICK must be set together; missing: DATABASE_USER_WORKFLOWS, DATABASE_USER_TICK"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestAccountIsTheServiceAccountThatLogsInToCloudSQL(t *testing.T) {
	t.Parallel()
	const instance, name = "DATABASE_INSTANCE=my-project:europe-west1:main", "DATABASE_NAME=jobs"
	for want, settings := range map[string][]string{
		"tick@my-project.iam.gserviceaccount.com": {instance, name, "DATABASE_USER=tick@my-project.iam"},
		"": {instance, name, "DATABASE_USER=somebody@example.com"},
	} {
		c, err := Load(env(settings...))
		if got := c.Account(); got != want || err != nil {
			t.Errorf("%v: account %q, want %q, error %v", settings, got, want, err)
		}
	}
	c, err := Load(env("DATABASE_URL=postgres://localhost/x", instance, name, "DATABASE_USER=tick@my-project.iam"))
	if got := c.Account(); got != "" || err != nil {
		t.Errorf("with a URL that comes first the account is %q, error %v", got, err)
	}
}
