// Owns: what the provider, not Terraform, refuses in a configuration: values for what is only computed, combinations, names.
// Must not: refuse what is not known yet. Invariant: what passes here is what the real provider accepts, as far as facts.go goes.

package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// A rule says what is wrong with the value of the argument, or nothing.
type rule func(argument, value string) string

func length(least, most int) rule {
	return func(argument, value string) string {
		if len(value) < least || len(value) > most {
			return fmt.Sprintf("expected length of %s to be in the range (%d - %d), got %s", argument, least, most, value)
		}
		return ""
	}
}

func matching(pattern, message string) rule {
	compiled := regexp.MustCompile(pattern)
	return func(argument, value string) string {
		if !compiled.MatchString(value) {
			return fmt.Sprintf("invalid value for %s (%s): %q", argument, message, value)
		}
		return ""
	}
}

func notMatching(pattern, message string) rule {
	compiled := regexp.MustCompile(pattern)
	return func(argument, value string) string {
		if compiled.MatchString(value) {
			return fmt.Sprintf("invalid value for %s (%s): %q", argument, message, value)
		}
		return ""
	}
}

func oneOf(values ...string) rule {
	return func(argument, value string) string {
		if !contains(values, value) {
			return fmt.Sprintf("expected %s to be one of %q, got %s", argument, values, value)
		}
		return ""
	}
}

func isDuration(argument, value string) string {
	if d, err := time.ParseDuration(value); err != nil {
		return fmt.Sprintf("%q cannot be parsed as a duration: %v", argument, err)
	} else if d < 0 {
		return fmt.Sprintf("%q must be greater than zero", argument)
	}
	return ""
}

func isBase64(argument, value string) string {
	if _, err := base64.StdEncoding.DecodeString(value); err != nil {
		return fmt.Sprintf("%q must be base64-encoded", argument)
	}
	return ""
}

func isJSON(argument, value string) string {
	if !json.Valid([]byte(value)) {
		return fmt.Sprintf("%q contains an invalid JSON policy", argument)
	}
	return ""
}

// Of classic and v2 load balancers and of target groups.
var balancerName = []rule{
	length(0, 32),
	matching(`^[0-9A-Za-z-]*$`, "only alphanumeric characters and hyphens allowed"),
	notMatching(`^-`, "cannot begin with a hyphen"),
	notMatching(`-$`, "cannot end with a hyphen"),
}

func iamName(most int) []rule {
	return []rule{length(1, most), matching(`^[\w+=,.@-]*$`, "must match [\\w+=,.@-]")}
}

func (p *provider) ValidateResourceTypeConfig(_ context.Context, r *tfprotov5.ValidateResourceTypeConfigRequest) (*tfprotov5.ValidateResourceTypeConfigResponse, error) {
	s := p.resources[r.TypeName]
	v, err := r.Config.Unmarshal(s.typ)
	if err != nil {
		return nil, err
	}
	out := &tfprotov5.ValidateResourceTypeConfigResponse{Diagnostics: s.Block.refused(s.facts.rules, "", v, tftypes.NewAttributePath())}
	config := object(v)
	set := func(name string) bool {
		x := config[name]
		return s.Block.Blocks[name] == nil && given(x) || len(elements(x)) > 0
	}
	for _, names := range s.facts.oneOf {
		count, open := 0, false
		for _, name := range names {
			open = open || !config[name].IsKnown()
			if set(name) {
				count++
			}
		}
		if count > 1 || count == 0 && !open {
			out.Diagnostics = append(out.Diagnostics, failed("Invalid combination of arguments",
				fmt.Sprintf("%q: only one of `%s` can be specified, and one must be", names[0], strings.Join(names, ",")))...)
		}
	}
	for _, pair := range s.facts.conflicts {
		if set(pair[0]) && set(pair[1]) {
			out.Diagnostics = append(out.Diagnostics, failedAt(tftypes.NewAttributePath().WithAttributeName(pair[0]), "Conflicting configuration arguments",
				fmt.Sprintf("%q: conflicts with %s", pair[0], pair[1]))...)
		}
	}
	return out, nil
}

func (p *provider) ValidateDataSourceConfig(_ context.Context, r *tfprotov5.ValidateDataSourceConfigRequest) (*tfprotov5.ValidateDataSourceConfigResponse, error) {
	s := p.data[r.TypeName]
	v, err := r.Config.Unmarshal(s.typ)
	if err != nil {
		return nil, err
	}
	return &tfprotov5.ValidateDataSourceConfigResponse{Diagnostics: s.Block.refused(nil, "", v, tftypes.NewAttributePath())}, nil
}

// refused goes through a block and what is in it. Terraform leaves it to the provider to refuse a value for what is only computed.
func (b *block) refused(rules map[string][]rule, prefix string, v tftypes.Value, at *tftypes.AttributePath) (out []*tfprotov5.Diagnostic) {
	m := object(v)
	if m == nil {
		return nil
	}
	for _, name := range sorted(b.Attributes) {
		a, x, here := b.Attributes[name], m[name], at.WithAttributeName(name)
		if !a.Required && !a.Optional && !x.IsNull() {
			out = append(out, failedAt(here, "Value for unconfigurable attribute",
				fmt.Sprintf("Can't configure a value for %q: its value will be decided automatically based on the result of applying this configuration.", name))...)
		}
		for _, wrong := range rules[prefix+name] {
			if !given(x) || !x.Type().Is(tftypes.String) {
				continue
			}
			if said := wrong(prefix+name, text(x)); said != "" {
				out = append(out, failedAt(here, said, "")...)
			}
		}
	}
	for _, name := range sorted(b.Blocks) {
		n, here := b.Blocks[name], at.WithAttributeName(name)
		if n.Mode == "single" {
			out = append(out, n.Block.refused(rules, prefix+name+"[].", m[name], here)...)
			continue
		}
		for i, one := range elements(m[name]) {
			step := here.WithElementKeyInt(i)
			if n.Mode == "set" {
				step = here.WithElementKeyValue(one)
			}
			out = append(out, n.Block.refused(rules, prefix+name+"[].", one, step)...)
		}
	}
	return out
}
