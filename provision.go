package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
	"github.com/infinite-kanvas/kanvas/infra/provision"
)

// provisioning are the settings that `kanvas provision` reads.
var provisioning = []string{"data", "origins", "cloudflare-account", "cloudflare-api-url", "gateway-url", "r2-access-key"}

// provisionCloudflare plans, asks and applies.
func provisionCloudflare(ctx context.Context, c *call) error {
	if len(c.args) > 0 {
		return fmt.Errorf("provision takes no arguments, got %q", c.args)
	}
	p, m, err := newProvisioner(c)
	if err != nil {
		return err
	}
	env := "the top level"
	if m.Env != "" {
		env = "[env." + m.Env + "]"
	}
	fmt.Fprintf(c.stdout, "account %s, %s of %s\n\n", c.cfg.Cloudflare.Account, env, m.Path)
	if p.Secrets[tokenKey] == "" {
		printAction(c.stdout, provision.Action{Verb: provision.Warn, What: "Worker secret " + tokenKey,
			Detail: "is left as it is, since no server has been started on " + c.cfg.Data + " yet; without it the server alone checks tokens"})
	}
	plan, err := p.Plan(ctx)
	for _, a := range plan.Actions {
		printAction(c.stdout, a)
	}
	if err != nil {
		return fmt.Errorf("nothing was changed:\n%w", err)
	}
	n := plan.Pending()
	switch {
	case n == 0:
		fmt.Fprintln(c.stdout, "\neverything is in place")
		return nil
	case c.flag("dry-run") == "true":
		fmt.Fprintf(c.stdout, "\n%d to do; nothing was changed (--dry-run)\n", n)
		return nil
	case c.flag("yes") != "true":
		if err := confirm(c.stdout, os.Stdin, n); err != nil {
			return err
		}
	}
	fmt.Fprintln(c.stdout)
	if err := plan.Apply(ctx, func(a provision.Action) { fmt.Fprintf(c.stdout, "  done    %s\n", a.What) }); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "\nstart the room server with these settings:  set -a; . %s; set +a; kanvas serve\nand look whether all of it works:           kanvas doctor\n", p.EnvFile)
	return nil
}

func newProvisioner(c *call) (*provision.Provisioner, *provision.Manifest, error) {
	cf := c.cfg.Cloudflare
	var missing []error
	if cf.Account == "" {
		missing = append(missing, errors.New("CLOUDFLARE_ACCOUNT_ID is not set: it is on the account's overview page in Cloudflare's dashboard"))
	}
	if cf.APIToken == "" {
		missing = append(missing, fmt.Errorf("CLOUDFLARE_API_TOKEN is not set: make one with the permissions %s at https://dash.cloudflare.com/profile/api-tokens", strings.Join(provision.Permissions(), ", ")))
	}
	if err := errors.Join(missing...); err != nil {
		return nil, nil, err
	}
	path, err := filepath.Abs(c.flag("wrangler"))
	if err != nil {
		return nil, nil, err
	}
	m, err := provision.ReadManifest(path, c.flag("env"))
	if err != nil {
		return nil, nil, err
	}
	client, err := cloudflare.New(cloudflare.Config{Account: cf.Account, Secret: cf.APIToken, URL: cf.APIURL})
	if err != nil {
		return nil, nil, err
	}
	envFile := c.flag("env-file")
	if envFile == "" {
		envFile = filepath.Join(c.cfg.Data, "cloudflare.env")
	}
	secrets, err := tokenSecret(c.cfg.Data)
	if err != nil {
		return nil, nil, err
	}
	vars := map[string]string{}
	if origin := c.flag("origin"); origin != "" {
		vars["ORIGIN"] = strings.TrimSuffix(origin, "/")
	}
	return provision.New(provision.Options{
		Client: client, Token: cf.APIToken, Manifest: m, EnvFile: envFile, Origins: c.cfg.Origins, Vars: vars, Secrets: secrets,
		Deployer:   &provision.Wrangler{Manifest: m, Account: cf.Account, Token: cf.APIToken, APIURL: cf.APIURL},
		GatewayURL: cf.GatewayURL, GatewaySecret: cf.GatewaySecret, R2AccessKey: cf.R2.AccessKey, R2SecretKey: cf.R2.SecretKey,
	}), m, nil
}

// tokenKey is the Worker's secret by which it checks this server's tokens.
const tokenKey = "TOKEN_KEY"

// tokenSecret is that key where a server has made one; where none runs, as in CI, the Worker keeps what it has.
func tokenSecret(dir string) (map[string]string, error) {
	if _, err := os.Stat(filepath.Join(dir, "secret")); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	tokens, err := openTokens(dir)
	if err != nil {
		return nil, err
	}
	return map[string]string{tokenKey: tokens.Key()}, nil
}

func printAction(out io.Writer, a provision.Action) {
	fmt.Fprintf(out, "  %-7s %s", a.Verb, a.What)
	if a.Detail != "" {
		fmt.Fprintf(out, ": %s", a.Detail)
	}
	fmt.Fprintln(out)
}

// confirm asks on a terminal, and refuses where there is none.
func confirm(out io.Writer, in *os.File, n int) error {
	if st, err := in.Stat(); err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return errors.New("nothing was changed: there is no terminal to ask on, so say --yes to do this, or --dry-run")
	}
	fmt.Fprintf(out, "\n%d to do. Do it? [y/N] ", n)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if answer == "" {
		return errors.New("nothing was changed: nobody answers, so say --yes to do this, or --dry-run")
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}
