package provision

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/workers"

	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
)

// Variables of the Worker that say what it is. The first three are what its gateway answers to.
const (
	varAccount   = "ACCOUNT_ID"
	varDatabase  = "DATABASE_ID"
	varNamespace = "NAMESPACE_ID"
	varBuild     = "KANVAS_BUILD"
	varSecrets   = "KANVAS_SECRETS" // a keyed sum: secrets can't be read back to compare
)

// SecretGateway is the Worker's secret that the room server shows its gateway; minSecret its shortest length.
const (
	SecretGateway = "GATEWAY_SECRET"
	minSecret     = 32
)

// planWorker compares what is deployed with the code, variables and secrets of here.
func (p *Provisioner) planWorker(ctx context.Context) ([]Action, error) {
	what := fmt.Sprintf("Worker %q", p.Manifest.Worker)
	if err := p.Deployer.Ready(); err != nil {
		return nil, err
	}
	vars, exists, err := p.deployedVars(ctx)
	if err != nil {
		return nil, p.problem(areaWorkers, err, "look at %s", what)
	}
	if _, err := p.workerURL(ctx); err != nil {
		return nil, err
	}
	wanted, err := p.wantedVars()
	if err != nil {
		return nil, err
	}
	actions := p.warnOrigin()
	a := Action{Verb: Create, What: what, timeout: deployTimeout, do: p.deploy,
		Detail: "deployed by wrangler, with the secrets " + strings.Join(slices.Sorted(maps.Keys(p.secrets())), ", ")}
	if exists {
		differ := differing(vars, wanted)
		if len(differ) == 0 {
			return append(actions, Action{Verb: Keep, What: what, Detail: "this code, these variables and secrets"}), nil
		}
		a.Verb, a.Detail = Change, a.Detail+"; differs in "+strings.Join(differ, ", ")
	}
	return append(actions, a), nil
}

// varOrigin is where the Worker finds the room server.
const varOrigin = "ORIGIN"

// warnOrigin tells of an origin that a Worker on the internet can't reach.
func (p *Provisioner) warnOrigin() []Action {
	origin, given := p.Vars[varOrigin]
	if !given {
		origin = p.Manifest.Vars[varOrigin]
	}
	u, err := url.Parse(origin)
	if err != nil {
		return []Action{{Verb: Warn, What: "Worker variable " + varOrigin, Detail: "is no URL: say --origin https://…"}}
	}
	host := u.Hostname()
	a, err := netip.ParseAddr(host)
	if host == "localhost" || strings.HasSuffix(host, "example.com") || err == nil && (a.IsLoopback() || a.IsPrivate()) {
		return []Action{{Verb: Warn, What: "Worker variable " + varOrigin, Detail: "is " + origin + ", where a Worker finds no room server: say --origin https://… (D1, KV and pictures work without it)"}}
	}
	if u.Scheme == "http" {
		return []Action{{Verb: Warn, What: "Worker variable " + varOrigin, Detail: "is " + origin + ": whoever is between Cloudflare and the room server reads tokens and rooms. Say --origin https://…"}}
	}
	return nil
}

func differing(have, want map[string]string) (names []string) {
	for name, v := range want {
		if have[name] != v {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (p *Provisioner) deploy(ctx context.Context) error {
	vars, err := p.wantedVars()
	if err == nil {
		err = p.Deployer.Deploy(ctx, vars, p.secrets())
	}
	return err
}

// secrets are all of the Worker's. The gateway's is there from planServer on.
func (p *Provisioner) secrets() map[string]string {
	all := maps.Clone(p.Secrets)
	if all == nil {
		all = map[string]string{}
	}
	all[SecretGateway] = p.GatewaySecret
	return all
}

func (p *Provisioner) wantedVars() (map[string]string, error) {
	build, err := p.Deployer.Build()
	if err != nil {
		return nil, fmt.Errorf("read the Worker's source: %w", err)
	}
	vars := maps.Clone(p.Vars)
	if vars == nil {
		vars = map[string]string{}
	}
	vars[varAccount], vars[varDatabase], vars[varNamespace], vars[varBuild] = p.Client.Account(), p.databaseID, p.kvID, build
	mac := hmac.New(sha256.New, []byte(p.Token)) // a key that is no guessable word, so that the sum tells nothing of weak secrets
	secrets := p.secrets()
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		fmt.Fprintf(mac, "%q=%q\n", name, secrets[name])
	}
	vars[varSecrets] = hex.EncodeToString(mac.Sum(nil)[:8])
	return vars, nil
}

// deployedVars are the plain variables of the Worker as it runs.
func (p *Provisioner) deployedVars(ctx context.Context) (vars map[string]string, exists bool, err error) {
	var params workers.ScriptScriptAndVersionSettingGetParams
	set(&params.AccountID.Value, &params.AccountID.Present, p.Client.Account())
	var answer struct {
		Result struct {
			Bindings []struct{ Type, Name, Text string }
		}
	}
	s := workers.NewScriptScriptAndVersionSettingService(p.Client.Options(areaWorkers.service, cloudflare.Durable)...)
	err = p.Client.Retry(ctx, func() error {
		_, err := s.Get(ctx, p.Manifest.Worker, params, option.WithResponseBodyInto(&answer))
		return err
	})
	if code(err, codeNoScript) {
		return nil, false, nil
	}
	vars = map[string]string{}
	for _, b := range answer.Result.Bindings {
		if b.Type == "plain_text" {
			vars[b.Name] = b.Text
		}
	}
	return vars, err == nil, err
}

// workerURL is where the Worker can be reached: as configured, or below workers.dev.
func (p *Provisioner) workerURL(ctx context.Context) (string, error) {
	if p.GatewayURL != "" {
		return p.GatewayURL, nil
	}
	var params workers.SubdomainGetParams
	set(&params.AccountID.Value, &params.AccountID.Present, p.Client.Account())
	var subdomain string
	err := p.Client.Retry(ctx, func() error {
		res, err := workers.NewSubdomainService(p.Client.Options(areaWorkers.service, cloudflare.Durable)...).Get(ctx, params)
		if err == nil {
			subdomain = res.Subdomain
		}
		return err
	})
	if code(err, codeNoScript, codeNoSubdomain) || err == nil && subdomain == "" {
		return "", &Problem{Doing: "find the account's workers.dev subdomain", Err: errors.New("it has none"),
			Next: "choose one, once, by hand: open https://dash.cloudflare.com/" + p.Client.Account() + "/workers/onboarding (or give the Worker a route of your own and set KANVAS_GATEWAY_URL to it)"}
	}
	if err != nil {
		return "", p.problem(areaWorkers, err, "find the account's workers.dev subdomain")
	}
	p.GatewayURL = "https://" + p.Manifest.Worker + "." + subdomain + ".workers.dev"
	return p.GatewayURL, nil
}
