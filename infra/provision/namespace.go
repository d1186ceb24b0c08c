package provision

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloudflare/cloudflare-go/v7/kv"

	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
)

func (p *Provisioner) namespaces() *kv.NamespaceService {
	return kv.NewNamespaceService(p.Client.Options(areaKV.service, cloudflare.Durable)...)
}

// title is what a namespace is called in the account; wrangler.toml has no name for it.
func (p *Provisioner) title() string { return p.Manifest.Worker + "-" + bindingNamespace }

// planNamespace finds the namespace by the id of wrangler.toml, else by its title.
func (p *Provisioner) planNamespace(ctx context.Context) ([]Action, error) {
	what := fmt.Sprintf("KV namespace %q", p.title())
	id, title, err := p.findNamespace(ctx)
	if err != nil {
		return nil, p.problem(areaKV, err, "find %s", what)
	}
	if id == "" {
		return []Action{{Verb: Create, What: what, Detail: staleID(p.Manifest.KVID), do: p.createNamespace}}, nil
	}
	p.kvID = id
	return []Action{{Verb: Keep, What: fmt.Sprintf("KV namespace %q", title), Detail: id}}, nil
}

func (p *Provisioner) findNamespace(ctx context.Context) (id, title string, err error) {
	byID, byTitle := "", ""
	err = pages(func(page int) (int, int, error) {
		var params kv.NamespaceListParams
		set(&params.AccountID.Value, &params.AccountID.Present, p.Client.Account())
		set(&params.Page.Value, &params.Page.Present, float64(page))
		set(&params.PerPage.Value, &params.PerPage.Present, perPage)
		var n, size int
		err := p.Client.Retry(ctx, func() error {
			res, err := p.namespaces().List(ctx, params)
			if err != nil {
				return err
			}
			for _, ns := range res.Result {
				if ns.ID == p.Manifest.KVID {
					byID, title = ns.ID, ns.Title
				}
				if ns.Title == p.title() {
					byTitle = ns.ID
				}
			}
			n, size = len(res.Result), int(res.ResultInfo.PerPage)
			return nil
		})
		return n, size, err
	})
	if byID != "" {
		return byID, title, err
	}
	return byTitle, p.title(), err
}

func (p *Provisioner) createNamespace(ctx context.Context) error {
	var params kv.NamespaceNewParams
	set(&params.AccountID.Value, &params.AccountID.Present, p.Client.Account())
	set(&params.Title.Value, &params.Title.Present, p.title())
	res, err := p.namespaces().New(ctx, params)
	if err == nil && res.ID != "" {
		p.kvID = res.ID
		return nil
	}
	if err == nil {
		err = errors.New("the answer has no id")
	}
	if code(err, codeKVExists) || errors.Is(err, cloudflare.ErrUnknown) { // as with the database
		if id, _, again := p.findNamespace(ctx); again == nil && id != "" {
			p.kvID = id
			return nil
		}
	}
	return p.problem(areaKV, err, "create KV namespace %q", p.title())
}
