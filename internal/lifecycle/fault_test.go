package lifecycle

import (
	"errors"
	"fmt"
	"testing"
)

func TestFaultsKeepTheirKindAndTheirWords(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err  error
		kind error
	}{
		{NotFound("there is no workflow %q", "nightly"), ErrNotFound},
		{Conflict("there is no workflow %q", "nightly"), ErrConflict},
		{Invalid("there is no workflow %q", "nightly"), ErrInvalid},
	}
	for _, test := range tests {
		wrapped := fmt.Errorf("trigger: %w", test.err)
		for _, kind := range []error{ErrNotFound, ErrConflict, ErrInvalid} {
			if got := errors.Is(wrapped, kind); got != (kind == test.kind) {
				t.Errorf("%v is %v: %v", test.kind, kind, got)
			}
		}
		fault, ok := errors.AsType[*Fault](wrapped)
		if !ok || fault.Message != `there is no workflow "nightly"` || fault.Error() != fault.Message {
			t.Errorf("%v: %v, %v", test.kind, fault, ok)
		}
	}
}
