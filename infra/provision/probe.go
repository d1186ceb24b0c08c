package provision

import (
	"context"

	"github.com/cloudflare/cloudflare-go/v7/d1"
	"github.com/cloudflare/cloudflare-go/v7/kv"
	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/r2"
	"github.com/cloudflare/cloudflare-go/v7/workers"

	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
)

// Probe is whether a permission is there.
type Probe struct {
	Permission string
	Serving    bool  // the room server needs it where there is no gateway; else only provisioning does
	Err        error // nil: it may read, at least
}

// Probes asks for a list of each product. It changes nothing.
func Probes(ctx context.Context, c *cloudflare.Client) []Probe {
	options := func(a area) []option.RequestOption { return c.Options(a.service, cloudflare.Durable) }
	var d d1.DatabaseListParams
	set(&d.AccountID.Value, &d.AccountID.Present, c.Account())
	var n kv.NamespaceListParams
	set(&n.AccountID.Value, &n.AccountID.Present, c.Account())
	var b r2.BucketListParams
	set(&b.AccountID.Value, &b.AccountID.Present, c.Account())
	var s workers.SubdomainGetParams
	set(&s.AccountID.Value, &s.AccountID.Present, c.Account())
	probe := func(a area, serving bool, ask func() error, fine ...int) Probe {
		err := c.Retry(ctx, ask)
		if code(err, fine...) {
			err = nil
		}
		return Probe{a.permission, serving, err}
	}
	return []Probe{
		probe(areaD1, true, func() error { _, err := d1.NewDatabaseService(options(areaD1)...).List(ctx, d); return err }),
		probe(areaKV, true, func() error { _, err := kv.NewNamespaceService(options(areaKV)...).List(ctx, n); return err }),
		probe(areaR2, false, func() error { _, err := r2.NewBucketService(options(areaR2)...).List(ctx, b); return err }),
		probe(areaWorkers, false, func() error { _, err := workers.NewSubdomainService(options(areaWorkers)...).Get(ctx, s); return err }, codeNoScript, codeNoSubdomain),
	}
}
