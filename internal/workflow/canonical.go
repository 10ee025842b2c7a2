package workflow

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// Canonical is the definition in the one spelling that equal definitions share, as JSON: fields in a fixed order,
// names of mappings sorted, durations and numbers in one form. The order of steps counts; it is the order of their numbers.
func (s Spec) Canonical() []byte {
	marshalled, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("workflow %s: a Spec that Parse did not make: %v", s.Name, err))
	}
	n, err := loadValue(marshalled)
	if err != nil {
		panic(fmt.Sprintf("workflow %s: a Spec that Parse did not make: %v", s.Name, err))
	}
	return appendNormal(nil, n)
}

// Digest is the SHA-256 of Canonical: definitions are equal when their digests are.
func (s Spec) Digest() [32]byte {
	return sha256.Sum256(s.Canonical())
}

// loadValue reads one JSON value that is not a document of its own.
func loadValue(value []byte) (*node, error) {
	l := &loader{left: math.MaxInt}
	n := l.loadJSON(value, "")
	if len(l.problems) > 0 {
		return nil, errors.New(l.problems[0].Message)
	}
	return n, nil
}

// normalJSON brings a JSON value into the form that appendNormal writes. It refuses what Parse would refuse in an item.
func normalJSON(value json.RawMessage) (json.RawMessage, error) {
	n, err := loadValue(value)
	if err != nil {
		return nil, err
	}
	r := &reader{}
	if !r.values(n) {
		return nil, errors.New(r.problems[0].Message)
	}
	return appendNormal(nil, n), nil
}
