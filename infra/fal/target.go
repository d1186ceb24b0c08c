package fal

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

const (
	maxTarget = 4 << 10 // bytes of an address
	runHost   = "fal.run"
	queueHost = "queue.fal.run"
	restHost  = "rest.fal.ai"
	// webhookParam has fal.ai send the result somewhere: with the server's key nobody but the server says where.
	webhookParam = "fal_webhook"
)

var (
	hostForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.){0,3}fal\.(ai|run|media)$`)
	// pathForm leaves no second way to write a path: no escapes, no empty or dotted elements.
	pathForm   = regexp.MustCompile(`^(/[A-Za-z0-9_~@:+-][A-Za-z0-9._~@:+-]*)+/?$`)
	followForm = regexp.MustCompile(`^/((?:workflows/|comfy/)?[^/]+/[^/]+)/requests/[A-Za-z0-9_-]+(/status|/status/stream|/cancel|/response)?$`)
	resultForm = regexp.MustCompile(`/requests/([A-Za-z0-9_-]+)(?:/response)?$`)
	modelForm  = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$`)
	uploadForm = regexp.MustCompile(`^/storage/upload/initiate(-multipart)?$`)
)

// Models is an allow-list. An entry allows the model of that name and all below it; "*" allows every model.
type Models []string

// Check reports entries that can't be names of models.
func (m Models) Check() (bad []string) {
	for _, entry := range m {
		if entry != "*" && !modelForm.MatchString(entry) {
			bad = append(bad, entry)
		}
	}
	return bad
}

// modelName reports whether a name is one of a model, and not the way to one of its jobs.
func modelName(name string) bool {
	return modelForm.MatchString(name) && !strings.Contains(name+"/", "/requests/")
}

func (m Models) allow(model string) bool {
	return slices.ContainsFunc(m, func(entry string) bool { return entry == "*" || within(model, entry) })
}

// allowApp is for jobs, which fal.ai knows by the first two elements of their model alone.
func (m Models) allowApp(app string) bool {
	return slices.ContainsFunc(m, func(entry string) bool { return entry == "*" || within(entry, app) || within(app, entry) })
}

// within reports whether name is entry or below it.
func within(name, entry string) bool {
	rest, ok := strings.CutPrefix(name, entry)
	return ok && (rest == "" || rest[0] == '/')
}

// Call says what a call to target is, or refuses it with a *domain.Error. own calls are made with the caller's own key: any model and anything else
// at fal.ai's hosts.
func (p *Proxy) Call(method, target string, own bool) (commands.FalCall, error) {
	u, err := parseTarget(target)
	if err != nil {
		return commands.FalCall{}, err
	}
	c := commands.FalCall{Method: method, URL: u}
	path := strings.TrimSuffix(u.Path, "/")
	if strings.HasSuffix(u.Host, "fal.media") {
		c.Kind = commands.FalFile
		return c, nil
	}
	if u.Path != u.EscapedPath() || !pathForm.MatchString(u.Path) {
		return commands.FalCall{}, refuse(domain.CodeBadRequest, "the path has escapes, or empty or dotted elements")
	}
	if own {
		c.Kind = commands.FalOther
		return c, nil
	}
	if u.Query().Has(webhookParam) {
		return commands.FalCall{}, refuse(domain.CodeForbidden, webhookParam+" needs your own fal.ai key")
	}
	switch {
	case u.Host == queueHost && isFollow(method, path):
		if app := followForm.FindStringSubmatch(path)[1]; !p.models.allowApp(app) {
			return commands.FalCall{}, refuseModel(app)
		}
		c.Kind = commands.FalFollow
		if m := resultForm.FindStringSubmatch(path); m != nil && method == http.MethodGet {
			c.Job = m[1]
		}
	case u.Host == queueHost, u.Host == runHost:
		c.Kind, c.Model, c.Queues = commands.FalRun, path[1:], u.Host == queueHost
		if !p.models.allow(c.Model) {
			return commands.FalCall{}, refuseModel(c.Model)
		}
	case u.Host == restHost && method == http.MethodPost && uploadForm.MatchString(path):
		c.Kind = commands.FalUpload
	default:
		return commands.FalCall{}, refuse(domain.CodeForbidden, "only models, their jobs and uploads are served with this server's key; your own fal.ai key reaches the rest")
	}
	return c, nil
}

// isFollow: anything else below a job could be the path of a model's own function.
func isFollow(method, path string) bool {
	m := followForm.FindStringSubmatch(path)
	switch {
	case m == nil:
		return false
	case m[2] == "/cancel":
		return method == http.MethodPut
	default:
		return method == http.MethodGet || method == http.MethodHead
	}
}

// parseTarget takes https addresses of fal.ai's hosts in their plain form.
func parseTarget(target string) (*url.URL, error) {
	switch {
	case target == "":
		return nil, refuse(domain.CodeBadRequest, "X-Fal-Target-Url is missing")
	case len(target) > maxTarget:
		return nil, refuse(domain.CodeTooLarge, "the address is over 4 KiB")
	case strings.ContainsFunc(target, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '\\' }):
		return nil, refuse(domain.CodeBadRequest, "the address holds bytes that no address has")
	}
	u, err := url.Parse(target)
	switch {
	case err != nil:
		return nil, refuse(domain.CodeBadRequest, "that is no address") // its text may hold a secret
	case u.Scheme != "https":
		return nil, refuse(domain.CodeForbidden, "only https is served")
	case u.User != nil:
		return nil, refuse(domain.CodeForbidden, "an address with a user is not served")
	case u.Opaque != "" || u.Fragment != "" || strings.Contains(target, "#"):
		return nil, refuse(domain.CodeBadRequest, "that is no address of a page on a host")
	}
	u.Host = strings.ToLower(u.Host)
	if !hostForm.MatchString(u.Host) { // also ports, IP addresses and dots at the end
		return nil, refuse(domain.CodeForbidden, "only hosts of fal.ai are served: *.fal.ai, *.fal.run, *.fal.media, without a port")
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

func refuse(code domain.Code, detail string) error { return domain.Errorf(code, "%s", detail) }

func refuseModel(model string) error {
	return domain.Errorf(domain.CodeForbidden, "the model %.100q is not served here (KANVAS_FAL_MODELS); your own fal.ai key reaches it", model)
}
