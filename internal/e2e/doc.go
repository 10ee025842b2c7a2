// Package e2e holds the tests of the whole: the built programs as processes, with real signals, a real PostgreSQL and real sockets.
package e2e
