package config

import (
	"net/url"
	"regexp"
	"strings"

	"cloud-run-orchestrator/internal/lifecycle"
)

var (
	queueForm   = regexp.MustCompile(`^projects/[a-z0-9.:-]+/locations/[a-z]+-[a-z0-9-]+/queues/[A-Za-z0-9-]{1,100}$`)
	accountForm = regexp.MustCompile(`^[a-z0-9.-]+@[a-z0-9.-]+\.gserviceaccount\.com$`)
)

// wake reads the three settings of the wake queue, which mean something only as a whole.
func (r *reader) wake(c *Config) {
	const queue, address, account = "ORCHESTRATOR_WAKE_QUEUE", "ORCHESTRATOR_WAKE_URL", "ORCHESTRATOR_WAKE_ACCOUNT"
	c.WakeQueue, c.WakeURL, c.WakeAccount = r.text(queue, ""), r.text(address, ""), r.text(account, "")
	var missing []string
	if c.WakeQueue == "" {
		missing = append(missing, queue)
	} else if !queueForm.MatchString(c.WakeQueue) {
		r.refuse(queue, c.WakeQueue, "a Cloud Tasks queue as projects/PROJECT/locations/LOCATION/queues/NAME")
	}
	if c.WakeURL == "" {
		missing = append(missing, address)
	} else if !secureURL(c.WakeURL) { // the call carries a token
		r.refuse(address, c.WakeURL, "the https address of the tick function, as in https://orchestrator-tick-1234.europe-west1.run.app")
	}
	if c.WakeAccount == "" {
		missing = append(missing, account)
	} else if !accountForm.MatchString(c.WakeAccount) {
		r.refuse(account, c.WakeAccount, "the email of a service account, as in orchestrator-wake@my-project.iam.gserviceaccount.com")
	}
	switch {
	case len(missing) == 3:
	case len(missing) > 0:
		r.errorf("%s, %s and %s must be set together; missing: %s", queue, address, account, strings.Join(missing, ", "))
	case c.Mode != lifecycle.Live && !c.OnCloudRun(): // there the mode is refused already
		r.errorf("%s is set, and the mode is %s (%s); the queue calls a tick on Cloud Run, so the mode must be live", queue, c.Mode, c.ModeWhy)
	}
}

func secureURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}
