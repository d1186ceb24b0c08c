package provision

import (
	"errors"
	"fmt"

	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
)

// area is a product of Cloudflare with the permission that its calls need.
type area struct{ service, permission string }

var (
	areaToken   = area{"token", ""}
	areaD1      = area{"d1", "D1:Edit"}
	areaR2      = area{"r2", "Workers R2 Storage:Edit"}
	areaKV      = area{"kv", "Workers KV Storage:Edit"}
	areaWorkers = area{"workers", "Workers Scripts:Edit"}
)

// Permissions are what the API token needs, as Cloudflare's dashboard calls them.
func Permissions() []string {
	return []string{areaD1.permission, areaR2.permission, areaKV.permission, areaWorkers.permission}
}

const tokenPage = "https://dash.cloudflare.com/profile/api-tokens"

// Codes of Cloudflare that ask for something only people can do.
const (
	codeBadToken     = 1000
	codeMalformed    = 6003
	codeNoRoute      = 7003
	codeNoObject     = 7000
	codeNoScript     = 10007 // of the Workers API; also: the account has no workers.dev subdomain
	codeR2Missing    = 10006
	codeR2Disabled   = 10042
	codeR2Exists     = 10004
	codeNoCORS       = 10059
	codeKVExists     = 10014
	codeD1Exists     = 7502
	codeD1Missing    = 7404
	codeNoSubdomain  = 10063
	codeUnauthorized = 10000
)

// Problem is a step that failed, with what to do next.
type Problem struct {
	Doing string // such as `find D1 database "kanvas-db"`
	Next  string // what to do
	Err   error
}

func (p *Problem) Error() string { return fmt.Sprintf("%s: %v\n  next: %s", p.Doing, p.Err, p.Next) }

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Err }

// problem says what to do about err; nil stays nil.
func (p *Provisioner) problem(a area, err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Problem{Doing: fmt.Sprintf(format, args...), Err: err, Next: p.next(a, err)}
}

func (p *Provisioner) next(a area, err error) string {
	var e *cloudflare.Error
	if !errors.As(err, &e) {
		return "run it again: what is done is found"
	}
	switch {
	case e.Code == codeR2Disabled:
		return "R2 has to be enabled once, by hand: open https://dash.cloudflare.com/" + p.Client.Account() + "/r2 and accept its terms"
	case e.Code == codeNoRoute || e.Code == codeNoObject && e.Status == 404:
		return "check CLOUDFLARE_ACCOUNT_ID: 32 letters and digits, to be found on the account's overview page"
	case e.Code == codeBadToken, e.Code == codeMalformed, e.Kind == cloudflare.ErrDenied && a == areaToken:
		return "check CLOUDFLARE_API_TOKEN, or make a new token at " + tokenPage
	case e.Kind == cloudflare.ErrDenied:
		return fmt.Sprintf("give the token the permission %s for account %s at %s (and see that its IP filter lets this machine in)", a.permission, p.Client.Account(), tokenPage)
	case e.Kind == cloudflare.ErrLimited:
		return fmt.Sprintf("Cloudflare takes 1,200 calls in 5 minutes from all that use the account: wait %.0f s and run it again, what is done is found", e.RetryAfter.Seconds())
	case e.Kind == cloudflare.ErrUnreachable:
		return "see that this machine reaches KANVAS_CLOUDFLARE_API_URL (DNS, firewall, HTTPS_PROXY), then run it again"
	case e.Kind == cloudflare.ErrUnknown:
		return "Cloudflare, or something before it, is in trouble (https://www.cloudflarestatus.com): run it again, what is done is found"
	}
	return "see the message; run it again when it is mended, what is done is found"
}

// code reports whether err is Cloudflare's error of that number.
func code(err error, codes ...int) bool {
	var e *cloudflare.Error
	if !errors.As(err, &e) {
		return false
	}
	for _, c := range codes {
		if e.Code == c {
			return true
		}
	}
	return false
}

// Advice says what to do about a failed call that needs the permission ("": the token itself).
func Advice(c *cloudflare.Client, permission string, err error) string {
	a := area{"", permission}
	if permission == "" {
		a = areaToken
	}
	return (&Provisioner{Options: Options{Client: c}}).next(a, err)
}
