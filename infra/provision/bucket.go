package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/r2"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
)

const day = 24 * 60 * 60 // seconds

// ruleID begins the ids of the rules that are ours; all others are kept as they are.
const ruleID = "kanvas-"

// corsRule lets the page's origins get and put objects by presigned URLs. R2 takes no * for headers.
type corsRule struct {
	ID            string      `json:"id"`
	Allowed       corsAllowed `json:"allowed"`
	ExposeHeaders []string    `json:"exposeHeaders"`
	MaxAge        int         `json:"maxAgeSeconds"`
}

type corsAllowed struct {
	Methods []string `json:"methods"`
	Origins []string `json:"origins"`
	Headers []string `json:"headers"`
}

// The rule for pages that KANVAS_ORIGINS names, and the one for our own at the Worker's address.
const rulePages, ruleOwnPage = ruleID + "pages", ruleID + "own-page"

// CORSRules let pages send files to the bucket, and read them, by presigned URLs: those of origins, and our own at worker. Either may be empty.
func CORSRules(origins []string, worker string) []any {
	var rules []any
	rule := func(id string, origins ...string) {
		rules = append(rules, corsRule{
			ID: id,
			Allowed: corsAllowed{Methods: []string{"GET", "HEAD", "PUT"}, Origins: origins,
				Headers: []string{"content-type", "content-length", "cache-control", "if-none-match", "range"}},
			ExposeHeaders: []string{"ETag", "Content-Length", "Content-Range"}, MaxAge: 3600, // who sends parts must be told their ETags
		})
	}
	if len(origins) > 0 {
		rule(rulePages, origins...)
	}
	if worker != "" && !slices.Contains(origins, worker) {
		rule(ruleOwnPage, worker)
	}
	return rules
}

// lifecycleRule cleans up what nobody will ask for.
type lifecycleRule struct {
	ID         string `json:"id"`
	Enabled    bool   `json:"enabled"`
	Conditions struct {
		Prefix string `json:"prefix"`
	} `json:"conditions"`
	Abort  *transition `json:"abortMultipartUploadsTransition,omitempty"`
	Delete *transition `json:"deleteObjectsTransition,omitempty"`
}

type transition struct {
	Condition struct {
		Type   string `json:"type"`
		MaxAge int    `json:"maxAge"` // seconds
	} `json:"condition"`
}

// temporary are prefixes of objects that are only passing through, and when nobody can want them any more, in seconds: what the server itself
// clears away sooner, unless it is gone.
var temporary = []struct {
	prefix string
	after  int
}{{commands.StagedPrefix, 2 * day}, {"doctor/", day}, {"snapshots/doctor/", day}}

func wantedLifecycle() []any {
	rule := func(id, prefix string) lifecycleRule {
		r := lifecycleRule{ID: ruleID + id, Enabled: true}
		r.Conditions.Prefix = prefix
		return r
	}
	after := func(seconds int) *transition {
		t := &transition{}
		t.Condition.Type, t.Condition.MaxAge = "Age", seconds
		return t
	}
	abort := rule("abort-uploads", "")
	abort.Abort = after(day)
	rules := []any{abort}
	for _, t := range temporary {
		r := rule("expire-"+strings.ReplaceAll(strings.TrimSuffix(t.prefix, "/"), "/", "-"), t.prefix)
		r.Delete = after(t.after)
		rules = append(rules, r)
	}
	return rules
}

// ruleSet is one kind of a bucket's rules.
type ruleSet struct {
	what string
	get  func(ctx context.Context, into *rulesAnswer) error
	put  func(ctx context.Context, body []byte) error
	none int // code of "there are no rules"
}

type rulesAnswer struct {
	Result struct {
		Rules []json.RawMessage `json:"rules"`
	} `json:"result"`
}

func (p *Provisioner) bucketOptions() []option.RequestOption {
	return p.Client.Options(areaR2.service, cloudflare.Durable)
}

func (p *Provisioner) corsRules() ruleSet {
	s := r2.NewBucketCORSService(p.bucketOptions()...)
	return ruleSet{"R2 CORS rules", func(ctx context.Context, into *rulesAnswer) error {
		var params r2.BucketCORSGetParams
		set(&params.AccountID.Value, &params.AccountID.Present, p.Client.Account())
		_, err := s.Get(ctx, p.Manifest.Bucket, params, option.WithResponseBodyInto(into))
		return err
	}, func(ctx context.Context, body []byte) error {
		var params r2.BucketCORSUpdateParams
		set(&params.AccountID.Value, &params.AccountID.Present, p.Client.Account())
		_, err := s.Update(ctx, p.Manifest.Bucket, params, option.WithRequestBody("application/json", body))
		return err
	}, codeNoCORS}
}

func (p *Provisioner) lifecycleRules() ruleSet {
	s := r2.NewBucketLifecycleService(p.bucketOptions()...)
	return ruleSet{"R2 lifecycle rules", func(ctx context.Context, into *rulesAnswer) error {
		var params r2.BucketLifecycleGetParams
		set(&params.AccountID.Value, &params.AccountID.Present, p.Client.Account())
		_, err := s.Get(ctx, p.Manifest.Bucket, params, option.WithResponseBodyInto(into))
		return err
	}, func(ctx context.Context, body []byte) error {
		var params r2.BucketLifecycleUpdateParams
		set(&params.AccountID.Value, &params.AccountID.Present, p.Client.Account())
		_, err := s.Update(ctx, p.Manifest.Bucket, params, option.WithRequestBody("application/json", body))
		return err
	}, 0}
}

// planBucket finds the bucket and compares its rules with ours.
func (p *Provisioner) planBucket(ctx context.Context) ([]Action, error) {
	name := p.Manifest.Bucket
	what := fmt.Sprintf("R2 bucket %q", name)
	exists, err := p.bucketExists(ctx)
	if err != nil {
		return nil, p.problem(areaR2, err, "find %s", what)
	}
	actions := []Action{{Verb: Keep, What: what}}
	if !exists {
		actions[0] = Action{Verb: Create, What: what, do: p.createBucket}
	}
	lifecycle, err := p.planRules(ctx, p.lifecycleRules(), wantedLifecycle(), exists, "unfinished uploads are given up and temporary objects deleted after a day")
	cors, again := p.planCORS(ctx, exists)
	return slices.Concat(actions, lifecycle, cors), errors.Join(err, again)
}

func (p *Provisioner) planCORS(ctx context.Context, exists bool) (actions []Action, err error) {
	worker, err := p.workerURL(ctx)
	if err != nil {
		worker = "" // planWorker says so, and the next run sets the rule
	}
	pages, keep := slices.Clone(p.Origins), ""
	if worker != "" {
		pages = append(pages, worker)
	}
	if len(p.Origins) == 0 {
		keep = rulePages
		actions = append(actions, Action{Verb: Warn, What: "R2 CORS rules", Detail: "for pages elsewhere are left as they are: set KANVAS_ORIGINS to their origins, so that browsers may upload from them by presigned URLs"})
	}
	if len(pages) == 0 {
		return actions, nil
	}
	rules, err := p.planRules(ctx, p.corsRules(), CORSRules(p.Origins, worker), exists, "pages of "+strings.Join(pages, ", ")+" get and put by presigned URLs", keep)
	return append(actions, rules...), err
}

func (p *Provisioner) bucketExists(ctx context.Context) (found bool, err error) {
	var params r2.BucketGetParams
	set(&params.AccountID.Value, &params.AccountID.Present, p.Client.Account())
	err = p.Client.Retry(ctx, func() error {
		_, err := r2.NewBucketService(p.bucketOptions()...).Get(ctx, p.Manifest.Bucket, params)
		return err
	})
	if code(err, codeR2Missing) {
		return false, nil
	}
	return err == nil, err
}

func (p *Provisioner) createBucket(ctx context.Context) error {
	var params r2.BucketNewParams
	set(&params.AccountID.Value, &params.AccountID.Present, p.Client.Account())
	set(&params.Name.Value, &params.Name.Present, p.Manifest.Bucket)
	_, err := r2.NewBucketService(p.bucketOptions()...).New(ctx, params)
	if code(err, codeR2Exists) {
		return nil
	}
	if errors.Is(err, cloudflare.ErrUnknown) { // it may be there although the answer was lost
		if found, again := p.bucketExists(ctx); again == nil && found {
			return nil
		}
	}
	return p.problem(areaR2, err, "create R2 bucket %q", p.Manifest.Bucket)
}

func (p *Provisioner) planRules(ctx context.Context, s ruleSet, wanted []any, exists bool, detail string, keep ...string) ([]Action, error) {
	if exists {
		rules, err := p.readRules(ctx, s)
		if err != nil {
			return nil, p.problem(areaR2, err, "read the %s of %q", s.what, p.Manifest.Bucket)
		}
		if same(rules, merge(rules, wanted, keep...)) {
			return []Action{{Verb: Keep, What: s.what, Detail: detail}}, nil
		}
	}
	return []Action{{Verb: Change, What: s.what, Detail: detail, do: func(ctx context.Context) error {
		rules, err := p.readRules(ctx, s)
		if err == nil {
			var body []byte
			if body, err = json.Marshal(map[string]any{"rules": merge(rules, wanted, keep...)}); err == nil {
				err = p.Client.Retry(ctx, func() error { return s.put(ctx, body) })
			}
		}
		return p.problem(areaR2, err, "write the %s of %q", s.what, p.Manifest.Bucket)
	}}}, nil
}

func (p *Provisioner) readRules(ctx context.Context, s ruleSet) ([]any, error) {
	var answer rulesAnswer
	err := p.Client.Retry(ctx, func() error {
		answer = rulesAnswer{}
		return s.get(ctx, &answer)
	})
	if s.none != 0 && code(err, s.none) {
		return nil, nil
	}
	rules := make([]any, len(answer.Result.Rules))
	for i, r := range answer.Result.Rules {
		rules[i] = r
	}
	return rules, err
}

// merge keeps the rules of others, and those of ours whose ids are in keep, and puts wanted in place of the rest of ours.
func merge(rules, wanted []any, keep ...string) []any {
	out := slices.DeleteFunc(slices.Clone(rules), func(r any) bool {
		var id struct{ ID string }
		raw, ok := r.(json.RawMessage)
		return ok && json.Unmarshal(raw, &id) == nil && strings.HasPrefix(id.ID, ruleID) && !slices.Contains(keep, id.ID)
	})
	return append(out, wanted...)
}

// same compares as JSON, whatever the order of rules.
func same(a, b []any) bool {
	return reflect.DeepEqual(normal(a), normal(b))
}

func normal(rules []any) map[string]int {
	m := map[string]int{}
	for _, r := range rules {
		text, err := json.Marshal(r)
		var v any
		if err == nil {
			err = json.Unmarshal(text, &v)
		}
		if err == nil {
			text, err = json.Marshal(v) // members sorted
		}
		if err != nil {
			text = fmt.Append(nil, r)
		}
		m[string(text)]++
	}
	return m
}
