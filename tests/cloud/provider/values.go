// Owns: small helpers for tftypes values. Must not: know a schema. Invariant: a null, unknown or absent value reads as empty.

package main

import (
	"fmt"
	"math/big"
	"slices"
	"sort"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func contains(all []string, one string) bool { return slices.Contains(all, one) }

func first(texts ...string) string {
	for _, one := range texts {
		if one != "" {
			return one
		}
	}
	return ""
}

func failed(summary, detail string) []*tfprotov5.Diagnostic {
	return []*tfprotov5.Diagnostic{{Severity: tfprotov5.DiagnosticSeverityError, Summary: summary, Detail: detail}}
}

func failedAt(path *tftypes.AttributePath, summary, detail string) []*tfprotov5.Diagnostic {
	out := failed(summary, detail)
	out[0].Attribute = path
	return out
}

// given: there, known and not null.
func given(v tftypes.Value) bool { return v.Type() != nil && v.IsKnown() && !v.IsNull() }

func object(v tftypes.Value) (m map[string]tftypes.Value) {
	if given(v) {
		must(v.As(&m))
	}
	return m
}

func elements(v tftypes.Value) (es []tftypes.Value) {
	if given(v) {
		must(v.As(&es))
	}
	return es
}

func element(es []tftypes.Value, i int) tftypes.Value {
	if i < len(es) {
		return es[i]
	}
	return tftypes.Value{}
}

func text(v tftypes.Value) (s string) {
	if given(v) && v.Type().Is(tftypes.String) {
		must(v.As(&s))
	}
	return s
}

func truth(v tftypes.Value) (b bool) {
	if given(v) && v.Type().Is(tftypes.Bool) {
		must(v.As(&b))
	}
	return b
}

func null(t tftypes.Type) tftypes.Value { return tftypes.NewValue(t, nil) }

func unknown(t tftypes.Type) tftypes.Value { return tftypes.NewValue(t, tftypes.UnknownValue) }

func zero(t tftypes.Type) tftypes.Value {
	switch {
	case t.Is(tftypes.String):
		return tftypes.NewValue(t, "")
	case t.Is(tftypes.Number):
		return tftypes.NewValue(t, int64(0))
	case t.Is(tftypes.Bool):
		return tftypes.NewValue(t, false)
	case t.Is(tftypes.List{}) || t.Is(tftypes.Set{}):
		return tftypes.NewValue(t, []tftypes.Value{})
	}
	return null(t)
}

// settled gives every unknown value in v the one that old has at that place, or null.
func settled(v, old tftypes.Value) tftypes.Value {
	switch {
	case v.IsFullyKnown():
		return v
	case !v.IsKnown() && old.Type() != nil && old.IsFullyKnown():
		return old
	case !v.IsKnown():
		return null(v.Type())
	}
	if v.Type().Is(tftypes.Object{}) || v.Type().Is(tftypes.Map{}) {
		m, before := object(v), object(old)
		for name := range m {
			m[name] = settled(m[name], before[name])
		}
		return tftypes.NewValue(v.Type(), m)
	}
	es := elements(v)
	for i := range es {
		es[i] = settled(es[i], tftypes.Value{})
	}
	return tftypes.NewValue(v.Type(), es)
}

// plain makes JSON of a value. Unknown is null there, and its path is added to open.
func plain(v tftypes.Value, path string, open *[]string) any {
	if v.Type() == nil || v.IsNull() {
		return nil
	}
	if !v.IsKnown() {
		*open = append(*open, path)
		return nil
	}
	switch t := v.Type(); {
	case t.Is(tftypes.String):
		return text(v)
	case t.Is(tftypes.Bool):
		return truth(v)
	case t.Is(tftypes.Number):
		var n big.Float
		must(v.As(&n))
		if i, exact := n.Int64(); exact == big.Exact {
			return i
		}
		f, _ := n.Float64()
		return f
	case t.Is(tftypes.Object{}) || t.Is(tftypes.Map{}):
		out := map[string]any{}
		for name, one := range object(v) {
			out[name] = plain(one, join(path, name), open)
		}
		return out
	}
	out := []any{}
	for i, one := range elements(v) {
		out = append(out, plain(one, join(path, fmt.Sprint(i)), open))
	}
	return out
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// constant makes a value of a default in facts.go.
func constant(t tftypes.Type, v any) tftypes.Value {
	if n, ok := v.(int); ok {
		v = int64(n)
	}
	return tftypes.NewValue(t, v)
}

func dynamic(v tftypes.Value) *tfprotov5.DynamicValue {
	d, err := tfprotov5.NewDynamicValue(v.Type(), v)
	must(err)
	return &d
}

// must: a value that is not of its own type is a bug here, and there is nobody to tell but Terraform's crash report.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
