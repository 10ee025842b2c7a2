package lifecycle

import "fmt"

// Fault is an error that its sentence may be shown to the user: it says what was wrong and what is allowed.
type Fault struct {
	Kind    error // ErrNotFound, ErrConflict or ErrInvalid
	Message string
	Fields  []FieldFault // the faults of single fields, where there are several or their place matters
}

// FieldFault is one fault of a request.
type FieldFault struct {
	Path    string // as in steps.load.tasks.count
	Message string
}

func (f *Fault) Error() string { return f.Message }

// Unwrap makes errors.Is(err, ErrNotFound) and the like work.
func (f *Fault) Unwrap() error { return f.Kind }

// NotFound makes a Fault of kind ErrNotFound.
func NotFound(format string, args ...any) error {
	return &Fault{Kind: ErrNotFound, Message: fmt.Sprintf(format, args...)}
}

// Conflict makes a Fault of kind ErrConflict.
func Conflict(format string, args ...any) error {
	return &Fault{Kind: ErrConflict, Message: fmt.Sprintf(format, args...)}
}

// Invalid makes a Fault of kind ErrInvalid.
func Invalid(format string, args ...any) error {
	return &Fault{Kind: ErrInvalid, Message: fmt.Sprintf(format, args...)}
}
