package emulator

import (
	"net/http"

	"google.golang.org/grpc/codes"
)

// restCode is how REST says a gRPC code.
type restCode struct {
	name string
	http int
}

func codeOf(c codes.Code) restCode {
	switch c {
	case codes.OK:
		return restCode{"OK", http.StatusOK}
	case codes.Canceled:
		return restCode{"CANCELLED", 499}
	case codes.InvalidArgument:
		return restCode{"INVALID_ARGUMENT", http.StatusBadRequest}
	case codes.DeadlineExceeded:
		return restCode{"DEADLINE_EXCEEDED", http.StatusGatewayTimeout}
	case codes.NotFound:
		return restCode{"NOT_FOUND", http.StatusNotFound}
	case codes.AlreadyExists:
		return restCode{"ALREADY_EXISTS", http.StatusConflict}
	case codes.PermissionDenied:
		return restCode{"PERMISSION_DENIED", http.StatusForbidden}
	case codes.ResourceExhausted:
		return restCode{"RESOURCE_EXHAUSTED", http.StatusTooManyRequests}
	case codes.FailedPrecondition:
		return restCode{"FAILED_PRECONDITION", http.StatusBadRequest}
	case codes.Aborted:
		return restCode{"ABORTED", http.StatusConflict}
	case codes.OutOfRange:
		return restCode{"OUT_OF_RANGE", http.StatusBadRequest}
	case codes.Unimplemented:
		return restCode{"UNIMPLEMENTED", http.StatusNotImplemented}
	case codes.Internal:
		return restCode{"INTERNAL", http.StatusInternalServerError}
	case codes.Unavailable:
		return restCode{"UNAVAILABLE", http.StatusServiceUnavailable}
	case codes.DataLoss:
		return restCode{"DATA_LOSS", http.StatusInternalServerError}
	case codes.Unauthenticated:
		return restCode{"UNAUTHENTICATED", http.StatusUnauthorized}
	}
	return restCode{"UNKNOWN", http.StatusInternalServerError}
}
