// Package kv keeps cache entries in Cloudflare KV, by the account's API or by the gateway Worker.
//
// Cloudflare takes about one write a second and key and 1,200 calls in five minutes for a whole account; who writes often does it by
// PutMany and spaces a key's writes, as projections.Caches does. Calls are Spare ones of the account's budget: where it runs low they are
// refused, so that what must arrive in D1 does. Nothing is tried again here: an older value must not come after a newer one.
package kv

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"
	"unicode/utf8"

	cf "github.com/cloudflare/cloudflare-go/v7"
	cfkv "github.com/cloudflare/cloudflare-go/v7/kv"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
)

// Limits of Cloudflare KV.
const (
	MinTTL   = 60 * time.Second
	maxKey   = 512      // bytes
	maxValue = 25 << 20 // bytes

	bulkEntries    = 1000    // in a call of the API, which takes 10,000
	gatewayEntries = 200     // in a call of the gateway: a Worker writes entries one by one, six at a time (measured on workerd: 6 ms each)
	bulkBytes      = 8 << 20 // of values in a call, about
	callTimeout    = 30 * time.Second

	codeNoKey = 10009
)

var _ commands.KV = (*Namespace)(nil)

// Namespace implements commands.KV. A write may take a minute to be seen elsewhere. Safe for concurrent use.
type Namespace struct {
	id      string
	account string
	api     *cfkv.NamespaceService
	many    int // entries in a call
	metrics metrics
}

// New makes a Namespace. It calls nobody. reg may be nil.
func New(client *cloudflare.Client, namespace string, reg prometheus.Registerer) *Namespace {
	n := &Namespace{id: namespace, account: client.Account(), many: gatewayEntries, metrics: newMetrics(reg), api: cfkv.NewNamespaceService(client.Options("kv", cloudflare.Spare)...)}
	if client.Metered() {
		n.many = bulkEntries
	}
	return n
}

// checkKey refuses what Cloudflare can't keep, or can't be asked for by its address.
func checkKey(key string) error {
	switch {
	case key == "" || len(key) > maxKey:
		return errors.New("a key is 1 to 512 bytes")
	case key == "." || key == "..":
		return errors.New("one or two dots are no key")
	case !utf8.ValidString(key):
		return errors.New("a key is UTF-8")
	}
	return nil
}

// do runs a call under its deadline and notes it.
func (n *Namespace) do(ctx context.Context, op, what string, call func(context.Context) error) (err error) {
	began := time.Now()
	defer func() { n.metrics.observe(op, began, err) }()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := call(ctx); err != nil {
		return fmt.Errorf("kv: %s %s: %w", op, what, err)
	}
	return nil
}

// Put implements commands.KV.
func (n *Namespace) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return n.PutMany(ctx, []commands.Entry{{Key: key, Value: value, TTL: ttl}})
}

// PutMany implements commands.KV: in one call where they are at most 1,000 (200 by the gateway) and 8 MiB.
func (n *Namespace) PutMany(ctx context.Context, entries []commands.Entry) error {
	for i := range entries {
		if err := check(&entries[i]); err != nil {
			return fmt.Errorf("kv: put %q: %w", entries[i].Key, err)
		}
	}
	for len(entries) > 0 {
		some := n.firstCall(entries)
		if err := n.do(ctx, "put", describe(some), func(ctx context.Context) error { return n.bulk(ctx, some) }); err != nil {
			return err
		}
		n.metrics.entries.Observe(float64(len(some)))
		entries = entries[len(some):]
	}
	return nil
}

func check(e *commands.Entry) error {
	switch {
	case e.TTL != 0 && e.TTL < MinTTL:
		return fmt.Errorf("a TTL of %s is under a minute", e.TTL)
	case len(e.Value) > maxValue:
		return fmt.Errorf("%d bytes are more than %d", len(e.Value), maxValue)
	}
	return checkKey(e.Key)
}

// firstCall is as many of the entries as go in one call, at least one.
func (n *Namespace) firstCall(entries []commands.Entry) []commands.Entry {
	size := 0
	for i := range entries {
		size += len(entries[i].Value)
		if i == n.many || (i > 0 && size > bulkBytes) {
			return entries[:i]
		}
	}
	return entries
}

func describe(entries []commands.Entry) string {
	if len(entries) == 1 {
		return fmt.Sprintf("%q", entries[0].Key)
	}
	return fmt.Sprintf("%d entries", len(entries))
}

func (n *Namespace) bulk(ctx context.Context, entries []commands.Entry) error {
	body := make([]cfkv.NamespaceBulkUpdateParamsBody, len(entries))
	for i, e := range entries {
		body[i] = cfkv.NamespaceBulkUpdateParamsBody{Key: cf.F(e.Key), Value: cf.F(string(e.Value))}
		if !utf8.Valid(e.Value) {
			body[i].Value, body[i].Base64 = cf.F(base64.StdEncoding.EncodeToString(e.Value)), cf.F(true)
		}
		if e.TTL > 0 {
			body[i].ExpirationTTL = cf.F(e.TTL.Round(time.Second).Seconds())
		}
	}
	res, err := n.api.BulkUpdate(ctx, n.id, cfkv.NamespaceBulkUpdateParams{AccountID: cf.F(n.account), Body: body})
	if err != nil {
		return err
	}
	if failed := len(res.UnsuccessfulKeys); failed > 0 {
		return fmt.Errorf("%d of them were not taken, %q first", failed, res.UnsuccessfulKeys[0])
	}
	return nil
}

// Get implements commands.KV.
func (n *Namespace) Get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	if err := checkKey(key); err != nil {
		return nil, false, fmt.Errorf("kv: get %q: %w", key, err)
	}
	err = n.do(ctx, "get", fmt.Sprintf("%q", key), func(ctx context.Context) error {
		res, err := n.api.Values.Get(ctx, n.id, url.PathEscape(key), cfkv.NamespaceValueGetParams{AccountID: cf.F(n.account)})
		var failed *cloudflare.Error
		if errors.As(err, &failed) && errors.Is(failed, cloudflare.ErrNotFound) && failed.Code == codeNoKey {
			return nil
		}
		if err != nil {
			return err
		}
		value, err = io.ReadAll(res.Body)
		ok = err == nil
		return errors.Join(err, res.Body.Close())
	})
	n.metrics.got(ok, err)
	return value, ok, err
}

// Delete implements commands.KV, in as few calls as PutMany.
func (n *Namespace) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return fmt.Errorf("kv: delete %q: %w", key, err)
		}
	}
	for len(keys) > 0 {
		some := keys[:min(len(keys), n.many)]
		err := n.do(ctx, "delete", fmt.Sprintf("%q and %d more", some[0], len(some)-1), func(ctx context.Context) error {
			res, err := n.api.BulkDelete(ctx, n.id, cfkv.NamespaceBulkDeleteParams{AccountID: cf.F(n.account), Body: some})
			if err == nil && len(res.UnsuccessfulKeys) > 0 {
				err = fmt.Errorf("%d of them are not deleted, %q first", len(res.UnsuccessfulKeys), res.UnsuccessfulKeys[0])
			}
			return err
		})
		if err != nil {
			return err
		}
		keys = keys[len(some):]
	}
	return nil
}

// List implements commands.KV, 1,000 keys a call. Keys come in the order of their bytes.
func (n *Namespace) List(ctx context.Context, prefix string, yield func(key string) bool) error {
	for cursor := ""; ; {
		var keys []cfkv.Key
		err := n.do(ctx, "list", fmt.Sprintf("%q", prefix), func(ctx context.Context) error {
			params := cfkv.NamespaceKeyListParams{AccountID: cf.F(n.account)}
			if prefix != "" {
				params.Prefix = cf.F(prefix)
			}
			if cursor != "" {
				params.Cursor = cf.F(cursor)
			}
			page, err := n.api.Keys.List(ctx, n.id, params)
			if err == nil {
				keys, cursor = page.Result, page.ResultInfo.Cursor
			}
			return err
		})
		if err != nil {
			return err
		}
		for i := range keys {
			if !yield(keys[i].Name) {
				return nil
			}
		}
		if cursor == "" {
			return nil
		}
	}
}
