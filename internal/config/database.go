package config

import (
	"net/url"
	"regexp"
	"strings"
)

var (
	instanceForm = regexp.MustCompile(`^([a-z0-9.-]+:)?[a-z][a-z0-9-]*:[a-z]+-[a-z0-9-]+:[a-z][a-z0-9-]*$`)
	passwordWord = regexp.MustCompile(`(?i)(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s']\S*)`)
)

func (r *reader) database(c *Config) {
	c.DatabaseURL = r.databaseURL()
	c.DatabaseInstance = r.text("DATABASE_INSTANCE", "")
	c.DatabaseUser = r.text("DATABASE_USER", "")
	c.databaseName = r.text("DATABASE_NAME", "")
	c.DatabasePrivateIP = r.boolean("DATABASE_PRIVATE_IP")
	c.FunctionUsers = FunctionUsers{
		Workflows: r.text("DATABASE_USER_WORKFLOWS", ""), Trigger: r.text("DATABASE_USER_TRIGGER", ""),
		Status: r.text("DATABASE_USER_STATUS", ""), Tick: r.text("DATABASE_USER_TICK", ""),
	}
	c.PoolSize = r.integer("ORCHESTRATOR_POOL_SIZE", 4, 1, 100)

	if c.DatabaseInstance != "" && !instanceForm.MatchString(c.DatabaseInstance) {
		r.refuse("DATABASE_INSTANCE", c.DatabaseInstance, "a Cloud SQL instance as project:region:name")
	}
	u := c.FunctionUsers
	r.together([]named{{"DATABASE_INSTANCE", c.DatabaseInstance}, {"DATABASE_USER", c.DatabaseUser}, {"DATABASE_NAME", c.databaseName}})
	r.together([]named{{"DATABASE_USER_WORKFLOWS", u.Workflows}, {"DATABASE_USER_TRIGGER", u.Trigger}, {"DATABASE_USER_STATUS", u.Status}, {"DATABASE_USER_TICK", u.Tick}})
	if c.OnCloudRun() && c.DatabaseURL == "" && c.DatabaseInstance == "" {
		r.errorf("no database is set; on Cloud Run DATABASE_INSTANCE, DATABASE_USER and DATABASE_NAME, or DATABASE_URL, must be set")
	}
}

type named struct{ name, value string }

// together demands settings as a whole: some of the three that name a Cloud SQL instance would be a database nobody meant.
func (r *reader) together(settings []named) {
	var all, missing []string
	for _, s := range settings {
		all = append(all, s.name)
		if s.value == "" {
			missing = append(missing, s.name)
		}
	}
	if len(missing) > 0 && len(missing) < len(settings) {
		last := len(all) - 1
		r.errorf("%s and %s must be set together; missing: %s", strings.Join(all[:last], ", "), all[last], strings.Join(missing, ", "))
	}
}

// Account is the service account that the process runs as: with Cloud SQL it logs in there as itself. Empty where that does not tell.
func (c Config) Account() string {
	if c.CloudSQL() && strings.HasSuffix(c.DatabaseUser, ".iam") {
		return c.DatabaseUser + ".gserviceaccount.com"
	}
	return ""
}

// databaseURL only tells a URL from something else; the driver knows the rest.
func (r *reader) databaseURL() string {
	const name = "DATABASE_URL"
	value := r.text(name, "")
	if value == "" {
		return ""
	}
	hidden := HidePassword(value)
	r.effective(name, hidden)
	u, err := url.Parse(value)
	isURL := err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql")
	isKeywords := !strings.Contains(value, "://") && strings.Contains(value, "=")
	if !isURL && !isKeywords {
		r.refuse(name, hidden, "a PostgreSQL URL, as in postgres://user:password@host:5432/database")
	}
	return value
}

// HidePassword is a database URL or keyword string fit to be shown.
func HidePassword(dsn string) string {
	if u, err := url.Parse(dsn); err == nil && u.Scheme != "" {
		return hideInURL(u)
	}
	if scheme, rest, ok := strings.Cut(dsn, "://"); ok { // a broken URL: whatever comes before the last @ may be a password
		return scheme + "://xxxxx" + rest[max(0, strings.LastIndex(rest, "@")):]
	}
	return passwordWord.ReplaceAllString(dsn, "${1}xxxxx")
}

func hideInURL(u *url.URL) string {
	query := u.Query()
	for key := range query {
		if strings.Contains(strings.ToLower(key), "password") {
			query.Set(key, "xxxxx")
		}
	}
	if len(query) > 0 {
		u.RawQuery = query.Encode()
	}
	return u.Redacted()
}
