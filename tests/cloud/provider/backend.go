// Owns: talking to the local EC2 (tests/cloud/local_ec2/terraform.py), and waiting where the real provider waits.
// Must not: know a resource. Invariant: a wait ends when the resource is ready, at its time-out, or at Terraform's first interrupt.

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// How often a wait looks again. The real provider begins with half a second and goes up to ten.
const step = 250 * time.Millisecond

type call struct {
	Op      string   `json:"op"`    // create read update delete data await
	After   string   `json:"after"` // on await: of what
	Began   float64  `json:"began"` // seconds since 1970
	Type    string   `json:"type"`
	Region  string   `json:"region"`
	Default any      `json:"default_tags"`
	Config  any      `json:"config"`  // as written
	Prior   any      `json:"prior"`   // as it was
	Planned any      `json:"planned"` // as it shall be, or on read as the state has it
	Unknown []string `json:"unknown"` // paths in planned that the answer decides; null there
}

type answer struct {
	Set     map[string]json.RawMessage `json:"set"`     // top-level attributes, whole
	Gone    bool                       `json:"gone"`    // on read
	Error   string                     `json:"error"`   // with `set` on create: half made
	Pending *pending                   `json:"pending"` // ask again with `await`
}

type pending struct {
	What    string  `json:"what"`    // "Auto Scaling Group (web) capacity satisfied"
	State   string  `json:"state"`   // what there is instead
	Seconds float64 `json:"seconds"` // how long to wait for it at most
}

func (p *provider) ask(ctx context.Context, c call, config, prior, planned tftypes.Value) answer {
	var ignored []string
	c.Region, c.Unknown = p.region, []string{}
	if own := text(object(planned)["region"]); own != "" {
		c.Region = own
	}
	tags := map[string]string{}
	for key, value := range p.defaultTags {
		tags[key] = text(value)
	}
	c.Default = tags
	c.Config, c.Prior = plain(config, "", &ignored), plain(prior, "", &ignored)
	c.Planned = plain(planned, "", &c.Unknown)
	began, what := time.Now(), ""
	c.Began = float64(began.UnixMilli()) / 1000
	a := p.post(ctx, c)
	for a.Error == "" && a.Pending != nil {
		if a.Pending.What != what { // each wait of several has its own time-out
			began, what = time.Now(), a.Pending.What
		}
		limit := time.Duration(a.Pending.Seconds * float64(time.Second))
		if time.Since(began) >= limit {
			a.Error = fmt.Sprintf("waiting for %s: timeout while waiting for state to become 'ok' (last state: '%s', timeout: %s)", a.Pending.What, a.Pending.State, limit)
			break
		}
		select {
		case <-p.stopped.Done():
			a.Error = fmt.Sprintf("waiting for %s: interrupted (last state: '%s')", a.Pending.What, a.Pending.State)
			return a
		case <-time.After(step):
		}
		// What the first answer decided stays decided: a later one may only add to it.
		before := a.Set
		if c.Op != "await" {
			c.Op, c.After = "await", c.Op
		}
		c.Planned = overlaid(c.Planned, before)
		a = p.post(ctx, c)
		for name, raw := range before {
			if _, ok := a.Set[name]; !ok {
				if a.Set == nil {
					a.Set = map[string]json.RawMessage{}
				}
				a.Set[name] = raw
			}
		}
	}
	return a
}

func overlaid(planned any, set map[string]json.RawMessage) any {
	m, ok := planned.(map[string]any)
	if !ok {
		return planned
	}
	for name, raw := range set {
		m[name] = raw
	}
	return m
}

func (p *provider) post(ctx context.Context, c call) (a answer) {
	body, err := json.Marshal(c)
	if err != nil {
		return answer{Error: err.Error()}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.backend, bytes.NewReader(body))
	if err != nil {
		return answer{Error: err.Error()}
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{Error: fmt.Sprintf("%s %s: %v", c.Op, c.Type, err)}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return answer{Error: fmt.Sprintf("%s %s: %s answers %s; is AWS_ENDPOINT_URL a local EC2?", c.Op, c.Type, p.backend, response.Status)}
	}
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		return answer{Error: fmt.Sprintf("%s %s: %v", c.Op, c.Type, err)}
	}
	return a
}
