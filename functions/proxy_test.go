package functions_test

import (
	"io"
	"net"
	"strings"
	"testing"
)

// throughProxy puts a TCP proxy before the database's socket. Unplugged it takes no connections and cuts those that it has.
func throughProxy(t *testing.T, dsn string) (proxied string, unplug func()) {
	t.Helper()
	fields := strings.Fields(dsn)
	host, port := strings.TrimPrefix(fields[0], "host="), strings.TrimPrefix(fields[1], "port=")
	network, target := "tcp", net.JoinHostPort(host, port)
	if strings.HasPrefix(host, "/") {
		network, target = "unix", host+"/.s.PGSQL."+port
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cut := make(chan struct{})
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			database, err := net.Dial(network, target)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() {
				<-cut
				_, _ = client.Close(), database.Close()
			}()
			go func() { _, _ = io.Copy(client, database) }()
			go func() { _, _ = io.Copy(database, client) }()
		}
	}()
	_, proxyPort, _ := net.SplitHostPort(listener.Addr().String())
	fields[0], fields[1] = "host=127.0.0.1", "port="+proxyPort
	return strings.Join(fields, " "), func() {
		_ = listener.Close()
		close(cut)
	}
}
