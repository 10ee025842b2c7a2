package release

import "testing"

func TestAVersionIsShownWithItsCommit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ version, commit, want string }{
		{"v1.2.3", "0123456789ab", "v1.2.3 (commit 0123456789ab)"},
		{"v1.2.3-dirty", "0123456789ab", "v1.2.3-dirty (commit 0123456789ab)"},
		{"v1.2.3-4-g0123456", "0123456789ab", "v1.2.3-4-g0123456"},
		{"0123456-dirty", "0123456789ab", "0123456-dirty"},
		{"(devel)", "", "(devel)"},
		{"v1", "01", "v1 (commit 01)"},
	} {
		if got := join(c.version, c.commit); got != c.want {
			t.Errorf("%s of commit %s is shown as %q, want %q", c.version, c.commit, got, c.want)
		}
	}
}
