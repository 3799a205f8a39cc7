// Owns: the start of the program, and the parts of the plugin protocol that are the same for every provider.
// Must not: know a resource. Invariant: what keeps it from working is told through the protocol; Terraform hides what a plugin
// prints before its handshake.

// Command terraform-provider-aws stands in for hashicorp/aws where that cannot be downloaded: the real one's schemas, and a local
// EC2 in place of Amazon's. README.md says what it imitates and what not.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tfprotov5/tf5server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

func main() {
	p := &provider{}
	p.stopped, p.stop = context.WithCancel(context.Background())
	if executable, err := os.Executable(); err != nil {
		p.broken = err
	} else {
		p.schemas, p.broken = load(filepath.Join(filepath.Dir(executable), "schema.json"))
	}
	go endWithParent()
	if err := tf5server.Serve(address, func() tfprotov5.ProviderServer { return p }); err != nil {
		fmt.Fprintln(os.Stderr, "terraform-provider-aws:", err)
		os.Exit(1)
	}
}

// endWithParent: a plugin whose Terraform was killed is left behind and asks nothing any more. Tests kill a hundred.
func endWithParent() {
	for parent := os.Getppid(); os.Getppid() == parent; {
		time.Sleep(step)
	}
	os.Exit(1)
}

type provider struct {
	// Functions, ephemeral resources: the schema names none, so Terraform calls nothing of this nil.
	tfprotov5.ProviderServer

	schemas
	broken error

	stopped context.Context
	stop    context.CancelFunc

	// Set by ConfigureProvider.
	backend     string
	region      string
	defaultTags map[string]tftypes.Value
}

var capabilities = &tfprotov5.ServerCapabilities{}

func (p *provider) GetMetadata(context.Context, *tfprotov5.GetMetadataRequest) (*tfprotov5.GetMetadataResponse, error) {
	out := &tfprotov5.GetMetadataResponse{ServerCapabilities: capabilities}
	for _, name := range sorted(p.resources) {
		out.Resources = append(out.Resources, tfprotov5.ResourceMetadata{TypeName: name})
	}
	for _, name := range sorted(p.data) {
		out.DataSources = append(out.DataSources, tfprotov5.DataSourceMetadata{TypeName: name})
	}
	return out, nil
}

func (p *provider) GetProviderSchema(context.Context, *tfprotov5.GetProviderSchemaRequest) (*tfprotov5.GetProviderSchemaResponse, error) {
	out := &tfprotov5.GetProviderSchemaResponse{ServerCapabilities: capabilities}
	if p.broken != nil {
		out.Diagnostics = failed("The stand-in for hashicorp/aws cannot start", p.broken.Error()+"; `make tools` makes it anew")
		return out, nil
	}
	out.Provider = p.self.proto
	out.ResourceSchemas, out.DataSourceSchemas = map[string]*tfprotov5.Schema{}, map[string]*tfprotov5.Schema{}
	for name, s := range p.resources {
		out.ResourceSchemas[name] = s.proto
	}
	for name, s := range p.data {
		out.DataSourceSchemas[name] = s.proto
	}
	return out, nil
}

func (p *provider) PrepareProviderConfig(_ context.Context, r *tfprotov5.PrepareProviderConfigRequest) (*tfprotov5.PrepareProviderConfigResponse, error) {
	return &tfprotov5.PrepareProviderConfigResponse{PreparedConfig: r.Config}, nil
}

func (p *provider) ConfigureProvider(_ context.Context, r *tfprotov5.ConfigureProviderRequest) (*tfprotov5.ConfigureProviderResponse, error) {
	v, err := r.Config.Unmarshal(p.self.typ)
	if err != nil {
		return nil, err
	}
	config := object(v)
	endpoint := os.Getenv("AWS_ENDPOINT_URL")
	if endpoint == "" {
		return &tfprotov5.ConfigureProviderResponse{Diagnostics: failed("No local EC2",
			"This is ovenbird's stand-in for hashicorp/aws: it reaches no real AWS. It wants AWS_ENDPOINT_URL to name a local EC2, "+
				"which `tests/cloud/local-ec2 run -- COMMAND` starts and sets. For a real account, unset TF_CLI_CONFIG_FILE and run `terraform init` anew.")}, nil
	}
	p.backend = endpoint + "/_local/terraform"
	p.region = first(text(config["region"]), os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
	if p.region == "" && config["region"].IsKnown() {
		return &tfprotov5.ConfigureProviderResponse{Diagnostics: failed("Invalid provider configuration",
			"The AWS region is missing: set `region` in the provider block, or AWS_REGION.")}, nil
	}
	for _, one := range elements(config["default_tags"]) {
		p.defaultTags = object(object(one)["tags"])
	}
	return &tfprotov5.ConfigureProviderResponse{}, nil
}

// StopProvider is Terraform's first interrupt: waits end, what was begun is recorded.
func (p *provider) StopProvider(context.Context, *tfprotov5.StopProviderRequest) (*tfprotov5.StopProviderResponse, error) {
	p.stop()
	return &tfprotov5.StopProviderResponse{}, nil
}

func (p *provider) UpgradeResourceState(_ context.Context, r *tfprotov5.UpgradeResourceStateRequest) (*tfprotov5.UpgradeResourceStateResponse, error) {
	t := p.resources[r.TypeName].typ
	lenient := tfprotov5.UnmarshalOpts{ValueFromJSONOpts: tftypes.ValueFromJSONOpts{IgnoreUndefinedAttributes: true}}
	v, err := r.RawState.UnmarshalWithOpts(t, lenient)
	if err != nil {
		return nil, err
	}
	return &tfprotov5.UpgradeResourceStateResponse{UpgradedState: dynamic(v)}, nil
}

func (p *provider) MoveResourceState(context.Context, *tfprotov5.MoveResourceStateRequest) (*tfprotov5.MoveResourceStateResponse, error) {
	return &tfprotov5.MoveResourceStateResponse{Diagnostics: failed("Moved to another type", "The stand-in for hashicorp/aws does not imitate that.")}, nil
}
