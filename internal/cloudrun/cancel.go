package cloudrun

import (
	"context"

	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/grpc/codes"
)

// Cancel asks Cloud Run to stop an execution; it ends later, and Get tells when. One that has ended already is no error.
// One that Cloud Run does not know is lifecycle.ErrGone. The call is not repeated: whoever wants it confirmed looks, and asks again.
func (c *Client) Cancel(ctx context.Context, name string) error {
	call, cancel := context.WithTimeout(ctx, c.deadline)
	defer cancel()
	_, err := c.executions.CancelExecution(call, &runpb.CancelExecutionRequest{Name: name}, gax.WithGRPCOptions(anySize()))
	if err == nil || statusOf(err).Code() == codes.FailedPrecondition {
		return nil
	}
	return failed(ctx, "cancel execution "+name, err)
}
