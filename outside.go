package main

import (
	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
	"github.com/infinite-kanvas/kanvas/infra/doctor"
	"github.com/infinite-kanvas/kanvas/infra/kv"
	"github.com/infinite-kanvas/kanvas/infra/r2"
)

// falAddress is asked without a key: any answer shows that fal.ai can be reached.
const falAddress = "https://queue.fal.run/"

// outsideChecks are of what other people run for us, as far as it is configured.
func outsideChecks(c *call) ([]doctor.Check, error) {
	cf := &c.cfg.Cloudflare
	var checks []doctor.Check
	if cf.APIToken != "" && cf.Account != "" {
		api, err := cloudflare.New(cloudflare.Config{Account: cf.Account, Secret: cf.APIToken, URL: cf.APIURL})
		if err != nil {
			return nil, err
		}
		checks = append(checks, doctor.Token(api, cf.GatewayURL == "" && (cf.D1() || cf.KV())), doctor.Clock("Cloudflare's API", cf.APIURL))
	} else if cf.GatewayURL != "" {
		checks = append(checks, doctor.Clock("the Worker", cf.GatewayURL))
	}
	if cf.D1() || cf.KV() {
		client, err := cloudflare.FromSettings(cf, nil)
		if err != nil {
			return nil, err
		}
		if cf.D1() {
			checks = append(checks, doctor.D1(client, cf.D1Database))
		}
		if cf.KV() {
			checks = append(checks, doctor.KV(client, kv.New(client, cf.KVNamespace, nil)))
		}
	}
	if cf.Objects() {
		bucket, err := r2.Open(r2.Config{Endpoint: cf.S3Endpoint(), AccessKey: cf.R2.AccessKey, SecretKey: cf.R2.SecretKey, Bucket: cf.R2.Bucket})
		if err != nil {
			return nil, err
		}
		checks = append(checks, doctor.R2(bucket, c.cfg.Origins, c.cfg.Cloudflare.R2.Domain))
	}
	if c.cfg.Upstash.URL != "" {
		checks = append(checks, doctor.Upstash(c.cfg.Upstash.URL, c.cfg.Upstash.Token))
	}
	if k := &c.cfg.Clerk; k.Sessions() || k.WebhookSecret != "" {
		checks = append(checks, doctor.Clerk(doctor.ClerkKeys{SecretKey: k.SecretKey, WebhookSecret: k.WebhookSecret, JWKSURL: k.JWKSURL, Issuer: k.Issuer, APIURL: k.APIURL, PEM: k.PEM}))
	}
	if c.cfg.Fal.Key != "" {
		checks = append(checks, doctor.Fal(c.cfg.Fal.Key, falAddress))
	}
	return checks, nil
}
