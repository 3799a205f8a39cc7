// Owns: reading schema.json, which extract_schema.py makes, into what the protocol wants. Must not: add to it or correct it.
// Invariant: every path in the table of facts.go exists in the schema, or nothing starts.

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

const address = "registry.terraform.io/hashicorp/aws"

type attribute struct {
	Type                         json.RawMessage
	Required, Optional, Computed bool

	typ tftypes.Type
}

type nested struct {
	Mode     string `json:"nesting_mode"`
	Block    *block
	MinItems int64 `json:"min_items"`
	MaxItems int64 `json:"max_items"`
}

type block struct {
	Attributes map[string]*attribute
	Blocks     map[string]*nested `json:"block_types"`
}

type schema struct {
	Block *block

	proto *tfprotov5.Schema
	typ   tftypes.Object
	facts facts
}

type schemas struct {
	self            *schema
	resources, data map[string]*schema
}

func load(file string) (out schemas, err error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return out, err
	}
	var document struct {
		Provider  *schema
		Resources map[string]*schema `json:"resource_schemas"`
		Data      map[string]*schema `json:"data_source_schemas"`
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		return out, fmt.Errorf("%s: %w", file, err)
	}
	out = schemas{self: document.Provider, resources: document.Resources, data: document.Data}
	for name, s := range out.resources {
		known, ok := table[name]
		if !ok {
			return out, fmt.Errorf("%s: facts.go has nothing about it", name)
		}
		s.facts = known
		for _, path := range known.paths() {
			if !s.Block.has(path) {
				return out, fmt.Errorf("%s: facts.go names `%s`, which the schema lacks", name, path)
			}
		}
	}
	for _, group := range []map[string]*schema{{"provider": out.self}, out.resources, out.data} {
		for name, s := range group {
			b, err := s.Block.protocol(s.facts.sensitive)
			if err != nil {
				return out, fmt.Errorf("%s: %w", name, err)
			}
			s.proto = &tfprotov5.Schema{Version: s.facts.version, Block: b}
			s.typ = s.proto.ValueType().(tftypes.Object)
		}
	}
	return out, nil
}

// has looks a path up: `a`, or `a[].b` for what is in a block.
func (b *block) has(path string) bool {
	head, rest, deeper := strings.Cut(path, "[].")
	if deeper {
		n := b.Blocks[head]
		return n != nil && n.Block.has(rest)
	}
	return b.Attributes[head] != nil || b.Blocks[head] != nil
}

func (b *block) protocol(sensitive []string) (*tfprotov5.SchemaBlock, error) {
	modes := map[string]tfprotov5.SchemaNestedBlockNestingMode{
		"list":   tfprotov5.SchemaNestedBlockNestingModeList,
		"set":    tfprotov5.SchemaNestedBlockNestingModeSet,
		"single": tfprotov5.SchemaNestedBlockNestingModeSingle,
	}
	out := &tfprotov5.SchemaBlock{}
	for _, name := range sorted(b.Attributes) {
		a := b.Attributes[name]
		t, err := tftypes.ParseJSONType(a.Type) //nolint:staticcheck // deprecated without a successor
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		a.typ = t
		out.Attributes = append(out.Attributes, &tfprotov5.SchemaAttribute{
			Name: name, Type: t, Required: a.Required, Optional: a.Optional, Computed: a.Computed, Sensitive: contains(sensitive, name),
		})
	}
	for _, name := range sorted(b.Blocks) {
		n := b.Blocks[name]
		mode, ok := modes[n.Mode]
		if !ok {
			return nil, fmt.Errorf("%s: nesting mode `%s`", name, n.Mode)
		}
		inner, err := n.Block.protocol(within(sensitive, name))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out.BlockTypes = append(out.BlockTypes, &tfprotov5.SchemaNestedBlock{
			TypeName: name, Block: inner, Nesting: mode, MinItems: n.MinItems, MaxItems: n.MaxItems,
		})
	}
	return out, nil
}

// within keeps of paths what lies in the block, and takes the block's name off.
func within(paths []string, block string) (out []string) {
	for _, path := range paths {
		if rest, ok := strings.CutPrefix(path, block+"[]."); ok {
			out = append(out, rest)
		}
	}
	return out
}
