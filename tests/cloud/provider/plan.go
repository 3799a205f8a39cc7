// Owns: the plan of one resource: defaults, what is known only after apply, what replaces. Must not: ask the local EC2.
// Invariant: an unchanged configuration over an unchanged state plans nothing.

package main

import (
	"context"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

func (p *provider) PlanResourceChange(_ context.Context, r *tfprotov5.PlanResourceChangeRequest) (*tfprotov5.PlanResourceChangeResponse, error) {
	s := p.resources[r.TypeName]
	prior, proposed, config, err := three(s.typ, r.PriorState, r.ProposedNewState, r.Config)
	if err != nil {
		return nil, err
	}
	// As the real provider, which is built on SDKv2: a default may be planned where the configuration is silent, and what comes
	// back may differ from what was planned (`desired_capacity`).
	out := &tfprotov5.PlanResourceChangeResponse{UnsafeToUseLegacyTypeSystem: true, PlannedState: r.ProposedNewState, PlannedPrivate: r.PriorPrivate}
	if proposed.IsNull() {
		return out, nil
	}
	planned := object(s.planned(s.Block, config, proposed, prior, ""))
	p.planTags(s, planned)
	if region, ok := planned["region"]; ok && !region.IsKnown() && object(config)["region"].IsNull() {
		planned["region"] = tftypes.NewValue(tftypes.String, p.region)
	}
	if !prior.IsNull() {
		changed := s.changed(planned, object(prior))
		for name, one := range s.facts.follows {
			if object(config)[name].IsNull() && one.hit(changed, planned) {
				planned[name] = unknown(s.Block.Attributes[name].typ)
			}
		}
		for _, name := range changed {
			if s.facts.replaces(name) {
				out.RequiresReplace = append(out.RequiresReplace, tftypes.NewAttributePath().WithAttributeName(name))
			}
		}
	}
	out.PlannedState = dynamic(tftypes.NewValue(s.typ, planned))
	return out, nil
}

func three(t tftypes.Type, a, b, c *tfprotov5.DynamicValue) (x, y, z tftypes.Value, err error) {
	if x, err = a.Unmarshal(t); err != nil {
		return
	}
	if y, err = b.Unmarshal(t); err != nil {
		return
	}
	z, err = c.Unmarshal(t)
	return
}

// changed: the arguments that differ, by name.
func (s *schema) changed(planned, prior map[string]tftypes.Value) (out []string) {
	for _, name := range sorted(planned) {
		a := s.Block.Attributes[name]
		if (a == nil || a.Required || a.Optional) && !planned[name].Equal(prior[name]) {
			out = append(out, name)
		}
	}
	return out
}

func (f follow) hit(changed []string, planned map[string]tftypes.Value) bool {
	if f.only != "" && !truth(planned[f.only]) {
		return false
	}
	for _, name := range changed {
		if !contains(f.except, name) {
			return true
		}
	}
	return false
}

// planned fills what the configuration leaves open: a default, or "known after apply" for what is computed and has no value yet.
// Terraform itself has carried the prior values of computed attributes into proposed.
func (s *schema) planned(b *block, config, proposed, prior tftypes.Value, prefix string) tftypes.Value {
	if !given(proposed) {
		return proposed
	}
	wrote, m, old := object(config), object(proposed), object(prior)
	for name, a := range b.Attributes {
		m[name] = written(m[name])
		if !m[name].IsNull() || a.Required {
			continue
		}
		if v, ok := s.facts.defaults[prefix+name]; ok {
			m[name] = constant(a.typ, v)
		} else if a.Computed && old == nil {
			m[name] = unknown(a.typ)
		}
	}
	for name, n := range b.Blocks {
		v, deeper := m[name], prefix+name+"[]."
		switch {
		case !given(v):
		case n.Mode == "single":
			m[name] = s.planned(n.Block, wrote[name], v, old[name], deeper)
		case contains(s.facts.kept, prefix+name) && len(elements(wrote[name])) == 0 && given(old[name]):
			m[name] = old[name]
		default:
			m[name] = s.plannedElements(n, wrote[name], v, old[name], deeper)
		}
	}
	return tftypes.NewValue(proposed.Type(), m)
}

func (s *schema) plannedElements(n *nested, config, proposed, prior tftypes.Value, prefix string) tftypes.Value {
	wrote, es, before := elements(config), elements(proposed), elements(prior)
	for i, one := range es {
		if n.Mode == "list" {
			es[i] = s.planned(n.Block, element(wrote, i), one, element(before, i), prefix)
			continue
		}
		// A set has no order: with its defaults filled in, an element is an old one if it equals that in all that was written.
		// The other way round Terraform would find each element new, for ever.
		es[i] = s.planned(n.Block, one, one, tftypes.Value{}, prefix)
		for _, old := range before {
			if n.Block.same(es[i], old) {
				es[i] = old
				break
			}
		}
	}
	return tftypes.NewValue(proposed.Type(), es)
}

// written: in an attribute that may be written as blocks (`ingress`), what such a block leaves out is zero, as SDKv2 has it.
func written(v tftypes.Value) tftypes.Value {
	es := []tftypes.Value{}
	switch t := v.Type().(type) {
	case tftypes.List:
		if _, ok := t.ElementType.(tftypes.Object); !ok || !given(v) {
			return v
		}
	case tftypes.Set:
		if _, ok := t.ElementType.(tftypes.Object); !ok || !given(v) {
			return v
		}
	default:
		return v
	}
	for _, one := range elements(v) {
		m := object(one)
		for name, x := range m {
			if x.IsNull() {
				m[name] = zero(x.Type())
			}
		}
		if m != nil {
			one = tftypes.NewValue(one.Type(), m)
		}
		es = append(es, one)
	}
	return tftypes.NewValue(v.Type(), es)
}

func (b *block) same(v, old tftypes.Value) bool {
	m, before := object(v), object(old)
	for name, x := range m {
		if a := b.Attributes[name]; a != nil && a.Computed && !x.IsKnown() {
			continue
		}
		if !x.Equal(before[name]) {
			return false
		}
	}
	return len(before) > 0
}

// planTags: `tags_all` is the provider's default_tags under the resource's own tags, and known as soon as both are.
func (p *provider) planTags(s *schema, m map[string]tftypes.Value) {
	all := s.Block.Attributes["tags_all"]
	if all == nil || s.Block.Attributes["tags"] == nil {
		return
	}
	if !m["tags"].IsFullyKnown() {
		m["tags_all"] = unknown(all.typ)
		return
	}
	tags := map[string]tftypes.Value{}
	for _, from := range []map[string]tftypes.Value{p.defaultTags, object(m["tags"])} {
		for key, value := range from {
			tags[key] = value
		}
	}
	m["tags_all"] = tftypes.NewValue(all.typ, tags)
}
