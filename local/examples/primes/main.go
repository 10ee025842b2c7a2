// Command primes is the example task: it counts the primes in its share of the numbers below LIMIT.
//
// With task index i of n tasks its share is [i*LIMIT/n, (i+1)*LIMIT/n). It prints the count, and writes it to a file
// named like the index in RESULTS_DIR where that is set. It runs as well by hand, as the only task of one.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

func main() {
	if err := run(os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "primes:", err)
		os.Exit(2)
	}
}

func run(getenv func(string) string) error {
	share, err := readShare(getenv)
	if err != nil {
		return err
	}
	low, high := share.bounds()
	count := countPrimes(low, high)
	fmt.Printf("task %d of %d: %d primes in [%d, %d)\n", share.index, share.tasks, count, low, high)
	if dir := getenv("RESULTS_DIR"); dir != "" {
		return writeResult(dir, share.index, count)
	}
	return nil
}

// writeResult leaves either the whole result or none, also when the task is killed in the middle or run twice.
func writeResult(dir string, index, count int64) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("results: %w", err)
	}
	f, err := os.CreateTemp(dir, ".tmp-*")
	if err != nil {
		return fmt.Errorf("results: %w", err)
	}
	defer os.Remove(f.Name()) // without effect once it is renamed
	_, err = fmt.Fprintln(f, count)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, strconv.FormatInt(index, 10)))
	}
	if err != nil {
		return fmt.Errorf("results: %w", err)
	}
	return nil
}
