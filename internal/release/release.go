// Package release says what the program was built from.
package release

import (
	"runtime/debug"
	"strings"
)

// The linker sets these two: -ldflags "-X cloud-run-orchestrator/internal/release.version=v1.2.3 -X cloud-run-orchestrator/internal/release.commit=COMMIT".
var version, commit string

// shown is how much of a commit is shown.
const shown = 12

// Version is the release, as in v1.2.3, or the nearest one with the distance from it; else what Go knows of the module.
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// Commit is the commit that the program was built from, shortened, or empty where that is not known.
func Commit() string {
	hash := commit
	if info, ok := debug.ReadBuildInfo(); ok && hash == "" {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				hash = s.Value
			}
		}
	}
	return hash[:min(len(hash), shown)]
}

// String is both in one: v1.2.3 (commit 0123456789ab).
func String() string { return join(Version(), Commit()) }

// join leaves the commit out where there is none, or the version tells it already.
func join(version, commit string) string {
	const abbreviated = 7 // as git describe writes it
	if commit == "" || strings.Contains(version, commit[:min(len(commit), abbreviated)]) {
		return version
	}
	return version + " (commit " + commit + ")"
}
