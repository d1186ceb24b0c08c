package cloudflare

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/infra/config"
)

// Config of a Client. Account, Secret and URL are needed.
type Config struct {
	Account string
	Secret  string        // the API token, or what the gateway asks for
	URL     string        // such as https://api.cloudflare.com/client/v4
	Budget  int           // calls in any five minutes; 0: as many as wanted
	Timeout time.Duration // of one call, without the wait for its turn: 35 s by default, a little more than D1 lets a query take

	Registerer prometheus.Registerer // nil: no metrics
	Transport  http.RoundTripper     // nil: one of its own
}

const defaultTimeout = 35 * time.Second

// gatewayPath is where the gateway Worker speaks the API's shape.
const gatewayPath = "/client/v4"

// Client makes calls to one account. Its methods may be called concurrently.
type Client struct {
	account, secret, url string
	timeout              time.Duration
	budget               *budget
	metrics              *metrics
	http                 *http.Client
}

// New makes a Client. It calls nobody.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" {
		return nil, errors.New("cloudflare: the URL of the API is none")
	}
	if cfg.Account == "" || cfg.Secret == "" {
		return nil, errors.New("cloudflare: account and secret are needed")
	}
	if cfg.Budget < 0 || cfg.Budget > 0 && cfg.Budget < minBudget {
		return nil, fmt.Errorf("cloudflare: a budget of %d calls is less than %d", cfg.Budget, minBudget)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 16
		cfg.Transport = t
	}
	c := &Client{account: cfg.Account, secret: cfg.Secret, url: cfg.URL, timeout: cfg.Timeout, budget: newBudget(cfg.Budget), http: &http.Client{Transport: cfg.Transport, CheckRedirect: asItIs}}
	c.metrics = newMetrics(cfg.Registerer, c.budget)
	return c, nil
}

// asItIs takes a redirect for an answer: the API has none, and the secret is for nobody else.
func asItIs(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// FromSettings makes the Client that the settings ask for: of the gateway, which has no budget, where there is one, else of the public API.
func FromSettings(s *config.Cloudflare, r prometheus.Registerer) (*Client, error) {
	if s.GatewayURL != "" {
		u, err := url.JoinPath(s.GatewayURL, gatewayPath)
		if err != nil {
			return nil, errors.New("cloudflare: the gateway's URL is none")
		}
		return New(Config{Account: s.Account, Secret: s.GatewaySecret, URL: u, Registerer: r})
	}
	return New(Config{Account: s.Account, Secret: s.APIToken, URL: s.APIURL, Budget: s.Budget, Registerer: r})
}

// Account is the account's id, which cloudflare-go wants with each call.
func (c *Client) Account() string { return c.account }

// Metered says whether calls are counted against a budget.
func (c *Client) Metered() bool { return c.budget.limiter != nil }

// BudgetLeft is how much of the budget's reserve is there, 0 to 1; 1 where calls aren't counted.
func (c *Client) BudgetLeft() float64 { return c.budget.left() }

// Options are what a service of cloudflare-go is made with. service names it in metrics and errors ("d1", "kv").
func (c *Client) Options(service string, lane Lane) []option.RequestOption {
	return []option.RequestOption{
		option.WithBaseURL(c.url), option.WithAPIToken(c.secret), option.WithHTTPClient(c.http), option.WithMaxRetries(0),
		option.WithMiddleware(func(req *http.Request, next option.MiddlewareNext) (*http.Response, error) {
			return c.call(service, lane, req, next)
		}),
	}
}
