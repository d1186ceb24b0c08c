package auth

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Sites holds the names this server answers to and the origins whose pages may use it.
type Sites struct {
	hosts    map[string]bool   // lower case, without port
	origins  map[string]bool   // scheme://host[:port], lower case
	schemes  map[string]string // host → the only scheme its own pages have, where PublicURL says so
	public   string            // origin of PublicURL: of our own pages, also where a Worker or proxy in front has another Host than we are asked under
	loopback bool
}

// NewSites: origins are those of KANVAS_ORIGINS; hosts further names of this server; publicURL may be empty; loopback says that the server
// listens on a loopback address only, which lets every origin on localhost in.
func NewSites(origins, hosts []string, publicURL string, loopback bool) (*Sites, error) {
	s := &Sites{hosts: map[string]bool{}, origins: map[string]bool{}, schemes: map[string]string{}, loopback: loopback}
	for _, o := range origins {
		u, ok := parseOrigin(strings.TrimSuffix(o, "/"))
		if !ok {
			return nil, fmt.Errorf("auth: %q is not an origin such as https://app.example.com", o)
		}
		s.origins[canonicalOrigin(u)] = true
	}
	for _, h := range hosts {
		s.hosts[hostname(h)] = true
	}
	if publicURL != "" {
		u, err := url.Parse(publicURL)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("auth: %q is not an http(s) URL", publicURL)
		}
		s.hosts[hostname(u.Host)] = true
		s.schemes[hostname(u.Host)] = strings.ToLower(u.Scheme)
		s.public = canonicalOrigin(u)
	}
	return s, nil
}

// HostAllowed reports whether the Host header names this server. Literal addresses always do: a page that was rebound to us by DNS
// (what this check is against) carries a name.
func (s *Sites) HostAllowed(host string) bool {
	h := hostname(host)
	if _, err := netip.ParseAddr(h); err == nil {
		return true
	}
	return s.hosts[h] || (s.loopback && isLocalhost(h))
}

// OriginAllowed reports whether a page of the request's Origin may use this server. Without an Origin it is true: such a request needs a
// token, no cookie counts (see CookieAllowed). "null" (sandboxed frames, files) never is.
func (s *Sites) OriginAllowed(r *http.Request) bool {
	values := r.Header.Values("Origin")
	if len(values) == 0 {
		return true
	}
	u, ok := parseOrigin(values[0])
	if !ok || len(values) > 1 {
		return false
	}
	return s.origins[canonicalOrigin(u)] || canonicalOrigin(u) == s.public || (s.loopback && isLocalhost(hostname(u.Host))) || s.ownPage(u, r.Host)
}

// CookieAllowed reports whether a cookie of the request may say who asks: only with an Origin from KANVAS_ORIGINS.
func (s *Sites) CookieAllowed(r *http.Request) bool {
	values := r.Header.Values("Origin")
	if len(values) != 1 {
		return false
	}
	u, ok := parseOrigin(values[0])
	return ok && s.origins[canonicalOrigin(u)]
}

// ownPage: the origin is the very address that the request went to.
func (s *Sites) ownPage(u *url.URL, host string) bool {
	if !strings.EqualFold(withPort(u.Host, u.Scheme), withPort(host, u.Scheme)) || !s.HostAllowed(host) {
		return false
	}
	only, said := s.schemes[hostname(host)]
	return !said || only == strings.ToLower(u.Scheme)
}

// parseOrigin accepts scheme://host[:port] of http and https alone.
func parseOrigin(o string) (*url.URL, bool) {
	u, err := url.Parse(o)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" ||
		u.ForceQuery || u.Fragment != "" || strings.HasSuffix(o, "#") {
		return nil, false
	}
	return u, true
}

func canonicalOrigin(u *url.URL) string {
	scheme := strings.ToLower(u.Scheme)
	return scheme + "://" + strings.ToLower(withPort(u.Host, scheme))
}

// withPort gives the host its scheme's port where it has none.
func withPort(host, scheme string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	port := "80"
	if strings.EqualFold(scheme, "https") {
		port = "443"
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// hostname is the lower-case name in host[:port], without a trailing dot and brackets.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
}

func isLocalhost(name string) bool {
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.IsLoopback()
}
