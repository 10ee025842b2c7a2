package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
)

// schema is what is used of a provider's schema, by resource type.
type schema map[string]resource

type resource struct {
	Block block `json:"block"`
}

type block struct {
	Deprecated bool                 `json:"deprecated"`
	Attributes map[string]attribute `json:"attributes"`
	Blocks     map[string]nested    `json:"block_types"`
}

type attribute struct {
	Deprecated bool `json:"deprecated"`
}

type nested struct {
	Block block `json:"block"`
}

func readSchema(name string) (schema, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	if bytes.HasPrefix(text, []byte{0x1f, 0x8b}) {
		zipped, err := gzip.NewReader(bytes.NewReader(text))
		if err == nil {
			text, err = io.ReadAll(zipped)
		}
		if err != nil {
			return nil, fmt.Errorf("read the schema %s: %w", name, err)
		}
	}
	var file struct {
		Resources schema `json:"resources"`
		Providers map[string]struct {
			Resources schema `json:"resource_schemas"`
		} `json:"provider_schemas"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("read the schema %s: %w", name, err)
	}
	all := schema{}
	maps.Copy(all, file.Resources)
	for _, p := range file.Providers {
		maps.Copy(all, p.Resources)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the schema %s has no resources; it must be what terraform providers schema -json prints", name)
	}
	return all, nil
}

// marks is the number of deprecations in the schema.
func (s schema) marks() int {
	n := 0
	for _, r := range s {
		n += r.Block.marks()
	}
	return n
}

func (b block) marks() int {
	n := 0
	if b.Deprecated {
		n++
	}
	for _, a := range b.Attributes {
		if a.Deprecated {
			n++
		}
	}
	for _, inner := range b.Blocks {
		n += inner.Block.marks()
	}
	return n
}

// deprecated refuses fields that have a value and are marked.
func (s schema) deprecated(p plan) []string {
	var faults []string
	for _, c := range p.Changes {
		if c.Mode != "managed" {
			continue
		}
		r, known := s[c.Type]
		if !known {
			faults = append(faults, fmt.Sprintf("%s: the schema has no %s", c.Address, c.Type))
			continue
		}
		for _, field := range r.Block.used(c.Change.After) {
			faults = append(faults, fmt.Sprintf("%s uses %s, which the provider has deprecated", c.Address, field))
		}
	}
	return faults
}

// used are the marked fields that have a value, by their path.
func (b block) used(values map[string]any) []string {
	var fields []string
	if b.Deprecated {
		fields = append(fields, "a type or block")
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		if isEmpty(value) {
			continue
		}
		if b.Attributes[name].Deprecated {
			fields = append(fields, name)
		}
		inner, isBlock := b.Blocks[name]
		if !isBlock {
			continue
		}
		for _, one := range blocksIn(value) {
			for _, field := range inner.Block.used(one) {
				fields = append(fields, name+"."+field)
			}
		}
	}
	return slices.Compact(fields)
}

// isEmpty is a value that the configuration has not given.
func isEmpty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// blocksIn are the blocks under one name, of which there may be one or a list.
func blocksIn(value any) []map[string]any {
	switch v := value.(type) {
	case map[string]any:
		return []map[string]any{v}
	case []any:
		var list []map[string]any
		for _, one := range v {
			if block, ok := one.(map[string]any); ok {
				list = append(list, block)
			}
		}
		return list
	}
	return nil
}
