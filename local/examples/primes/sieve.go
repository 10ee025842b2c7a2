package main

import (
	"bytes"
	"math"
)

// segment is how many odd numbers are sieved at once: a byte each, so that they stay in the processor's cache.
const segment = 128 << 10

// countPrimes counts the primes p with low <= p < high, by a sieve of Eratosthenes over the odd numbers in segments.
func countPrimes(low, high int64) int64 {
	var count int64
	if low <= 2 && high > 2 {
		count++ // the only even one
	}
	first := max(low, 3) | 1 // 1 is no prime
	if first >= high {
		return count
	}
	odds := (high - first + 1) / 2
	primes := smallPrimes(int64(math.Sqrt(float64(high))) + 1)
	next := firstMultiples(primes, first)
	composite := make([]byte, min(odds, segment))
	for done := int64(0); done < odds; done += segment {
		block := composite[:min(odds-done, segment)]
		clear(block)
		for i, p := range primes {
			at := next[i]
			for ; at < int64(len(block)); at += p {
				block[at] = 1
			}
			next[i] = at - int64(len(block))
		}
		count += int64(bytes.Count(block, []byte{0}))
	}
	return count
}

// firstMultiples gives for each prime the place, among the odd numbers from first on, of its first odd multiple that is
// at least its square: smaller ones have a smaller factor.
func firstMultiples(primes []int64, first int64) []int64 {
	places := make([]int64, len(primes))
	for i, p := range primes {
		multiple := max(p*p, (first+p-1)/p*p)
		if multiple%2 == 0 {
			multiple += p
		}
		places[i] = (multiple - first) / 2
	}
	return places
}

// smallPrimes lists the odd primes up to n.
func smallPrimes(n int64) []int64 {
	composite := make([]bool, n+1)
	var primes []int64
	for i := int64(3); i <= n; i += 2 {
		if composite[i] {
			continue
		}
		primes = append(primes, i)
		for m := i * i; m <= n; m += 2 * i {
			composite[m] = true
		}
	}
	return primes
}
