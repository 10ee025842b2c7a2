package emulator

import (
	"slices"
	"strings"

	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Cloud Run's limits on one container's environment and arguments.
const (
	maxEnv      = 1000
	maxEnvName  = 32_768
	maxEnvValue = 32_768 // bytes
	maxArgs     = 1000
)

func invalid(path, format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, path+": "+format, args...)
}

// checkOverrides refuses what no job could accept.
func checkOverrides(o *runpb.RunJobRequest_Overrides) error {
	if n := o.GetTaskCount(); n < 0 || n > maxTasks {
		return invalid("overrides.task_count", "%d is not within 1 and %d", n, maxTasks)
	}
	if t := o.GetTimeout(); t != nil {
		if d := t.AsDuration(); t.CheckValid() != nil || d <= 0 || d > maxTimeout {
			return invalid("overrides.timeout", "%s is not above 0 and at most %s", d, maxTimeout)
		}
	}
	for _, c := range o.GetContainerOverrides() {
		if len(c.GetArgs()) > maxArgs {
			return invalid("overrides.container_overrides.args", "%d arguments; the limit is %d", len(c.GetArgs()), maxArgs)
		}
		for _, a := range c.GetArgs() {
			if strings.ContainsRune(a, 0) {
				return invalid("overrides.container_overrides.args", "an argument contains a NUL byte")
			}
		}
		for _, v := range c.GetEnv() {
			if err := checkEnv(v); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkEnv(v *runpb.EnvVar) error {
	const path = "overrides.container_overrides.env"
	name := v.GetName()
	switch {
	case name == "" || strings.ContainsAny(name, "=\x00"):
		return invalid(path, "%q cannot be the name of an environment variable", name)
	case len(name) > maxEnvName:
		return invalid(path, "a name is %d characters long; the limit is %d", len(name), maxEnvName)
	case reserved(name):
		return invalid(path, "the name %s is reserved", name)
	case v.GetValueSource() != nil:
		return invalid(path, "%s comes from a secret, which only the real Cloud Run has", name)
	case len(v.GetValue()) > maxEnvValue:
		return invalid(path, "the value of %s is %d bytes long; the limit is %d", name, len(v.GetValue()), maxEnvValue)
	case strings.ContainsRune(v.GetValue(), 0):
		return invalid(path, "the value of %s contains a NUL byte", name)
	}
	return nil
}

// overrideContainers checks a run's overrides and puts them into a template's containers.
func overrideContainers(containers []*runpb.Container, o *runpb.RunJobRequest_Overrides) error {
	if err := checkOverrides(o); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, c := range o.GetContainerOverrides() {
		i := 0
		if c.GetName() != "" {
			i = slices.IndexFunc(containers, func(have *runpb.Container) bool { return have.GetName() == c.GetName() })
		} else if len(containers) > 1 {
			return invalid("overrides.container_overrides.name", "is required for a job with several containers (%s)", containerNames(containers))
		}
		if i < 0 {
			return invalid("overrides.container_overrides.name", "the job has no container %q; it has %s", c.GetName(), containerNames(containers))
		}
		if seen[containers[i].GetName()] {
			return invalid("overrides.container_overrides", "container %q is overridden twice", containers[i].GetName())
		}
		seen[containers[i].GetName()] = true
		if err := overrideContainer(containers[i], c); err != nil {
			return err
		}
	}
	return nil
}

// overrideContainer replaces the args and merges the environment, where the same name wins.
func overrideContainer(c *runpb.Container, o *runpb.RunJobRequest_Overrides_ContainerOverride) error {
	if len(o.GetArgs()) > 0 {
		c.Args = o.GetArgs()
	} else if o.GetClearArgs() {
		c.Args = nil
	}
	at := make(map[string]int, len(c.Env)+len(o.GetEnv()))
	for i, v := range c.Env {
		at[v.GetName()] = i
	}
	for _, v := range o.GetEnv() {
		if i, ok := at[v.GetName()]; ok {
			c.Env[i] = v
			continue
		}
		at[v.GetName()] = len(c.Env)
		c.Env = append(c.Env, v)
	}
	if len(c.Env) > maxEnv {
		return invalid("overrides.container_overrides.env", "container %q would have %d environment variables; the limit is %d", c.GetName(), len(c.Env), maxEnv)
	}
	return nil
}

func containerNames(containers []*runpb.Container) string {
	var names []string
	for _, c := range containers {
		names = append(names, c.GetName())
	}
	return strings.Join(names, ", ")
}
