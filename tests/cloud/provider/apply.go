// Owns: carrying one resource or data source to the local EC2 and back: apply, read, import. Must not: make a value up.
// Invariant: what the local EC2 did is in the state, also when it then failed.

package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

func (p *provider) ApplyResourceChange(ctx context.Context, r *tfprotov5.ApplyResourceChangeRequest) (*tfprotov5.ApplyResourceChangeResponse, error) {
	s := p.resources[r.TypeName]
	prior, planned, config, err := three(s.typ, r.PriorState, r.PlannedState, r.Config)
	if err != nil {
		return nil, err
	}
	c := call{Op: "update", Type: r.TypeName}
	if prior.IsNull() {
		c.Op = "create"
	} else if planned.IsNull() {
		c.Op = "delete"
	}
	a := p.ask(ctx, c, config, prior, planned)
	out := &tfprotov5.ApplyResourceChangeResponse{UnsafeToUseLegacyTypeSystem: true, NewState: r.PriorState, Private: r.PlannedPrivate}
	if a.Error != "" {
		out.Diagnostics = failed(a.Error, "")
	}
	switch {
	case c.Op == "delete":
		if a.Error == "" {
			out.NewState = dynamic(planned)
		}
	case a.Error == "" || a.Set != nil || c.Op == "update":
		// A create that failed half-way says what there is, and Terraform keeps it as tainted. An update that failed is
		// recorded as planned, as SDKv2 does; the next refresh tells what it came to.
		merged, err := s.merged(planned, a.Set)
		if err != nil {
			return nil, err
		}
		out.NewState = dynamic(s.Block.conform(settled(merged, prior)))
	}
	return out, nil
}

func (p *provider) ReadResource(ctx context.Context, r *tfprotov5.ReadResourceRequest) (*tfprotov5.ReadResourceResponse, error) {
	s := p.resources[r.TypeName]
	v, err := r.CurrentState.Unmarshal(s.typ)
	if err != nil {
		return nil, err
	}
	out := &tfprotov5.ReadResourceResponse{NewState: r.CurrentState, Private: r.Private}
	a := p.ask(ctx, call{Op: "read", Type: r.TypeName}, tftypes.Value{}, v, v)
	switch {
	case a.Error != "":
		out.Diagnostics = failed(a.Error, "")
	case a.Gone:
		out.NewState = dynamic(null(s.typ))
	default:
		merged, err := s.merged(v, a.Set)
		if err != nil {
			return nil, err
		}
		out.NewState = dynamic(s.Block.conform(merged))
	}
	return out, nil
}

// ImportResourceState knows the id only; Terraform then reads, and the local EC2 says the rest.
func (p *provider) ImportResourceState(_ context.Context, r *tfprotov5.ImportResourceStateRequest) (*tfprotov5.ImportResourceStateResponse, error) {
	s := p.resources[r.TypeName]
	m := map[string]tftypes.Value{}
	for name, t := range s.typ.AttributeTypes {
		m[name] = null(t)
	}
	m["id"] = tftypes.NewValue(tftypes.String, r.ID)
	if s.facts.id != "" {
		m[s.facts.id] = m["id"]
	}
	if _, ok := m["region"]; ok {
		m["region"] = tftypes.NewValue(tftypes.String, p.region)
	}
	state := s.Block.conform(tftypes.NewValue(s.typ, m))
	return &tfprotov5.ImportResourceStateResponse{
		ImportedResources: []*tfprotov5.ImportedResource{{TypeName: r.TypeName, State: dynamic(state)}},
	}, nil
}

func (p *provider) ReadDataSource(ctx context.Context, r *tfprotov5.ReadDataSourceRequest) (*tfprotov5.ReadDataSourceResponse, error) {
	s := p.data[r.TypeName]
	config, err := r.Config.Unmarshal(s.typ)
	if err != nil {
		return nil, err
	}
	a := p.ask(ctx, call{Op: "data", Type: r.TypeName}, config, tftypes.Value{}, config)
	if a.Error != "" {
		return &tfprotov5.ReadDataSourceResponse{Diagnostics: failed(a.Error, "")}, nil
	}
	merged, err := s.merged(config, a.Set)
	if err != nil {
		return nil, err
	}
	return &tfprotov5.ReadDataSourceResponse{State: dynamic(s.Block.conform(settled(merged, tftypes.Value{})))}, nil
}

// merged puts whole top-level attributes over a value.
func (s *schema) merged(v tftypes.Value, set map[string]json.RawMessage) (tftypes.Value, error) {
	m := object(v)
	for name, raw := range set {
		t, ok := s.typ.AttributeTypes[name]
		if !ok {
			return v, fmt.Errorf("the local EC2 answers with `%s`, which the schema lacks", name)
		}
		x, err := tftypes.ValueFromJSON(raw, t) //nolint:staticcheck // deprecated without a successor
		if err != nil {
			return v, fmt.Errorf("the local EC2's `%s`: %w", name, err)
		}
		m[name] = x
	}
	return tftypes.NewValue(s.typ, m), nil
}

// conform: a block that is not there is empty, never null.
func (b *block) conform(v tftypes.Value) tftypes.Value {
	if !given(v) {
		return v
	}
	m := object(v)
	for name, n := range b.Blocks {
		switch {
		case n.Mode == "single":
			m[name] = n.Block.conform(m[name])
		case m[name].IsNull():
			m[name] = tftypes.NewValue(m[name].Type(), []tftypes.Value{})
		default:
			es := elements(m[name])
			for i := range es {
				es[i] = n.Block.conform(es[i])
			}
			m[name] = tftypes.NewValue(m[name].Type(), es)
		}
	}
	return tftypes.NewValue(v.Type(), m)
}
