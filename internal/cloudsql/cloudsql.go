// Package cloudsql connects to a Cloud SQL instance as an IAM user.
package cloudsql

import (
	"context"
	"fmt"
	"net"

	"cloud.google.com/go/cloudsqlconn"
)

// Instance is a database on Cloud SQL.
type Instance struct {
	Name      string // project:region:name
	User      string // an IAM user: a service account's email without .gserviceaccount.com
	Database  string
	PrivateIP bool // reach the instance by its private address
}

// Connector makes connections to one instance. It proves the user's identity to the server, and encrypts.
type Connector struct {
	instance Instance
	dialer   *cloudsqlconn.Dialer
}

// Open makes a Connector; it needs Google credentials and makes no connection yet. Certificates are refreshed when a connection needs them,
// never in the background, where Cloud Run gives no CPU; the connector's own metrics, sent from the background too, are off.
func Open(ctx context.Context, instance Instance) (*Connector, error) {
	options := []cloudsqlconn.Option{
		cloudsqlconn.WithIAMAuthN(),
		cloudsqlconn.WithLazyRefresh(),
		cloudsqlconn.WithBuiltInMetrics(false),
	}
	if instance.PrivateIP {
		options = append(options, cloudsqlconn.WithDefaultDialOptions(cloudsqlconn.WithPrivateIP()))
	}
	dialer, err := cloudsqlconn.NewDialer(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to Cloud SQL instance %s: %w", instance.Name, err)
	}
	return &Connector{instance: instance, dialer: dialer}, nil
}

// DSN is the connection string to use with Dial. Its host only names the instance, in a form that nobody looks up; the encryption is Dial's.
func (c *Connector) DSN() string {
	return fmt.Sprintf("host='/cloudsql/%s' user='%s' dbname='%s' sslmode=disable", c.instance.Name, c.instance.User, c.instance.Database)
}

// Dial connects to the instance, whatever the address. It is a pgconn.DialFunc.
func (c *Connector) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return c.dialer.Dial(ctx, c.instance.Name)
}

// Close ends the connector; close the pool that uses it first.
func (c *Connector) Close() error { return c.dialer.Close() }
