package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/projections"
)

const (
	// assetWait bounds how long an asset that no list knows is waited for: its row may be on its way.
	assetWait = 2 * time.Second
	// maxAssetRooms bounds how many rooms are asked whether the caller may enter.
	maxAssetRooms = 64

	assetCache = "max-age=31536000, immutable"
	// publicOnly goes behind what anybody may keep: caches that many share ask each time whether it is still public.
	publicOnly = ", s-maxage=0"
	// elsewhereCache is of a redirect: a room may be private tomorrow.
	elsewhereCache = "max-age=300"
	// signedFor is how long a signed address of a picture stays the same; it is good for at least as long.
	signedFor = 24 * time.Hour
	// inertCSP keeps whatever somebody uploaded from doing anything when it is opened by its address.
	inertCSP = "default-src 'none'; sandbox"
)

// shownTypes are shown by browsers where an asset is opened; everything else is only ever downloaded.
var shownTypes = map[string]bool{
	"image/png": true, "image/jpeg": true, "image/webp": true, "image/gif": true, "image/avif": true, "video/mp4": true, "video/webm": true,
}

// asset is GET /v1/assets/:id: the bytes.
func (a *API) asset(c echo.Context) error {
	id := c.Param("id")
	if !events.ValidStreamID(id) {
		return errNoAsset
	}
	ctx := c.Request().Context()
	row, err := a.assetRow(ctx, id)
	if err != nil {
		return err
	}
	public, err := a.maySee(c, &row)
	if err != nil {
		return err
	}
	h := c.Response().Header()
	tag, cache, err := chooseVariant(c, &row)
	if err != nil {
		return err
	}
	h.Set("Cache-Control", cacheControl(public, cache))
	h.Set("ETag", tag)
	h.Set("Content-Security-Policy", inertCSP)
	h.Set("Cross-Origin-Resource-Policy", "cross-origin") // old clients live elsewhere; who may see it was asked above
	h.Set("Content-Type", row.ContentType)
	if !shownTypes[row.ContentType] {
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Disposition", "attachment")
	}
	if a.cfg.EdgeObjects && a.cfg.Edge.AddsObject(c.Request()) {
		h.Set(auth.ObjectHeader, row.Key)
		return c.NoContent(http.StatusOK)
	}
	if to, ok := a.elsewhere(c, &row, public); ok {
		h.Set("Cache-Control", cacheControl(public, elsewhereCache))
		h.Del("ETag")
		return c.Redirect(http.StatusFound, to)
	}
	return a.serveObject(c, &row)
}

// cacheControl says who may keep a picture: a room may be private tomorrow, so nobody but the one who has seen it keeps it without asking.
func cacheControl(public bool, cache string) string {
	if public {
		return "public, " + cache + publicOnly
	}
	return "private, " + cache
}

// chooseVariant has the smallest picture served that is as large as ?size asks for: the original where there is no such, which may only be so for now.
func chooseVariant(c echo.Context, row *projections.AssetRow) (tag, cache string, err error) {
	tag, cache = `"`+row.SHA256+`"`, assetCache
	asked := c.QueryParam("size")
	if asked == "" {
		return tag, cache, nil
	}
	size, err := strconv.Atoi(asked)
	if err != nil || size < 1 {
		return "", "", badRequest("size: must be a number of pixels")
	}
	list := variantsOf(row)
	if len(list) == 0 {
		cache = elsewhereCache
	}
	best := -1
	for i := range list {
		if list[i].Size >= size && (best < 0 || list[i].Size < list[best].Size) {
			best = i
		}
	}
	if best >= 0 {
		row.Key, row.ContentType, row.Size = list[best].Key, list[best].ContentType, list[best].Bytes
		tag = fmt.Sprintf(`"%s-%d"`, row.SHA256, list[best].Size)
	}
	return tag, cache, nil
}

// elsewhere is the address of an asset outside of this server, for pictures that anybody may see and where the store is open to the world. Requests
// under CORS are answered here: the store's rules are not known.
func (a *API) elsewhere(c echo.Context, row *projections.AssetRow, public bool) (string, bool) {
	base := a.cfg.PublicObjects
	if base == "" || !public || !shownTypes[row.ContentType] || c.Request().Header.Get("Origin") != "" || c.Request().Header.Get("Sec-Fetch-Mode") == "cors" {
		return "", false
	}
	if a.cfg.Edge != nil {
		// Signed, so that the Worker needn't wait until D1 knows that the picture is public; the same for a day, so that browsers keep it.
		return a.cfg.Edge.PictureURL(base, row.ID, row.Key, a.cfg.Clock().UTC().Truncate(signedFor).Add(2*signedFor)), true
	}
	return strings.TrimSuffix(base, "/") + "/" + (&url.URL{Path: row.Key}).EscapedPath(), true
}

var errNoAsset = domain.Errorf(domain.CodeNotFound, "there is no such asset")

// assetRow finds the asset. Where no list has it yet, it waits for what the log holds already: an element may show an asset
// that was made a moment ago.
func (a *API) assetRow(ctx context.Context, id string) (projections.AssetRow, error) {
	row, err := a.cfg.Queries.AssetByID(ctx, id)
	if errors.Is(err, projections.ErrNotFound) || (err == nil && row.Status == string(domain.AssetPending)) {
		wait, cancel := context.WithTimeout(ctx, assetWait)
		defer cancel()
		if err := a.cfg.Progress.WaitHead(wait); err != nil && wait.Err() == nil && !errors.Is(err, projections.ErrBehind) {
			return row, err
		}
		row, err = a.cfg.Queries.AssetByID(ctx, id)
	}
	if errors.Is(err, projections.ErrNotFound) || (err == nil && (row.Key == "" || row.Status == string(domain.AssetDeleted))) {
		return row, errNoAsset
	}
	return row, err
}

// maySee decides whether the caller may have the asset: it is theirs, or of a room that they may enter or hold the capability of. public
// says that anybody may.
func (a *API) maySee(c echo.Context, row *projections.AssetRow) (public bool, err error) {
	q, ctx := requestOf(c), c.Request().Context()
	rooms, err := a.cfg.Queries.AssetRooms(ctx, row.ID)
	if err != nil {
		return false, err
	}
	s := sight{allowed: q.user != "" && q.user == row.UserID && q.ticket == ""}
	for _, room := range rooms[:min(len(rooms), maxAssetRooms)] {
		if err := a.look(c, &s, room, func(*commands.View) bool { return true }); err != nil {
			return false, err
		}
	}
	if !s.allowed { // a room may show it already, and no list has that yet
		for _, room := range a.cfg.Pictures.Showing(row.ID) {
			if err := a.look(c, &s, room, func(v *commands.View) bool { return v.Shows(row.ID) }); err != nil {
				return false, err
			}
		}
	}
	switch {
	case s.allowed:
		return s.public, nil
	case s.gone:
		return false, domain.Errorf(domain.CodeForbidden, "no longer a right to a room with this asset")
	}
	return false, errNoAsset // strangers are not told that it exists
}

// sight is what is known of the caller's right to an asset.
type sight struct {
	allowed bool
	public  bool // to anybody
	gone    bool // the caller was removed from a room that shows it
}

// look adds what one room says, where it shows the asset.
func (a *API) look(c echo.Context, s *sight, room string, shows func(*commands.View) bool) error {
	q := requestOf(c)
	v, err := a.cfg.Rooms.View(c.Request().Context(), room)
	if isCode(err, domain.CodeNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if !shows(v) {
		return nil
	}
	asked, capability := c.QueryParam("room"), c.QueryParam("cap")
	capable := asked == room && capability != "" && a.cfg.Capabilities.VerifyCapability(asked, v.Room.Key, capability)
	role, err := v.RoleOf(q.actor().ID)
	if err == nil {
		err = ask(c, role)
	}
	if capable || (err == nil && (q.ticket == "" || q.ticket == room)) {
		s.allowed, s.public = true, s.public || v.Room.Visibility == domain.Public
	}
	s.gone = s.gone || isCode(err, domain.CodeForbidden)
	return nil
}

func isCode(err error, code domain.Code) bool {
	var coded *domain.Error
	return errors.As(err, &coded) && coded.Code == code
}

// serveObject serves the bytes with ranges and conditions.
func (a *API) serveObject(c echo.Context, row *projections.AssetRow) error {
	o := &objectReader{ctx: c.Request().Context(), objects: a.cfg.Objects, key: row.Key}
	defer o.close()
	err := o.ask(c.Request())
	if err == nil && row.Size > 0 && o.size != row.Size { // under headers that let everybody keep it for a year
		err = fmt.Errorf("the store has %d bytes, not the %d that were put", o.size, row.Size)
	}
	if err != nil {
		return errors.Join(errors.New("bytes of asset "+row.ID), err)
	}
	if c.Request().Method == http.MethodHead {
		c.Response().Header().Set("Content-Length", strconv.FormatInt(o.size, 10))
	}
	w := &rangeWriter{ResponseWriter: c.Response()}
	http.ServeContent(w, c.Request(), "", time.Time{}, o)
	if w.refused {
		return withStatus(http.StatusRequestedRangeNotSatisfiable, domain.CodeBadRequest, "Range: is not within the asset, see Content-Range")
	}
	if o.err != nil {
		a.cfg.Logger.Error("asset_read", "error", o.err.Error(), "assetId", row.ID, "requestId", requestOf(c).id)
		panic(http.ErrAbortHandler) // the client must not take half of it for the whole
	}
	return nil
}

// rangeWriter holds back the plain text that http.ServeContent says about a bad range.
type rangeWriter struct {
	http.ResponseWriter
	refused bool
}

func (w *rangeWriter) WriteHeader(status int) {
	if w.refused = status == http.StatusRequestedRangeNotSatisfiable; !w.refused {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *rangeWriter) Write(p []byte) (int, error) {
	if w.refused {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// objectReader reads an object as http.ServeContent wants it: opened where the first byte is asked for.
type objectReader struct {
	ctx     context.Context // of the request
	objects commands.Objects
	key     string
	size    int64
	at      int64
	body    io.ReadCloser
	bodyAt  int64 // of the body's next byte
	err     error
}

// ask asks the store before an answer begins, so that what is wrong with it is answered and not cut off: for all of the bytes where they are
// surely wanted, else what is known of them.
func (o *objectReader) ask(r *http.Request) error {
	var object commands.Object
	var err error
	if r.Method == http.MethodGet && r.Header.Get("Range") == "" && r.Header.Get("If-None-Match") == "" {
		o.body, object, err = o.objects.Get(o.ctx, o.key, 0, -1)
	} else {
		object, err = o.objects.Head(o.ctx, o.key)
	}
	o.size = object.Size
	return err
}

func (o *objectReader) Read(p []byte) (int, error) {
	if o.at >= o.size {
		return 0, io.EOF
	}
	if o.body != nil && o.bodyAt != o.at {
		o.close()
	}
	if o.body == nil {
		body, _, err := o.objects.Get(o.ctx, o.key, o.at, -1)
		if err != nil {
			o.fail(err)
			return 0, err
		}
		o.body, o.bodyAt = body, o.at
	}
	n, err := o.body.Read(p)
	o.at += int64(n)
	o.bodyAt = o.at
	switch {
	case errors.Is(err, io.EOF) && o.at < o.size:
		err = io.ErrUnexpectedEOF
		o.fail(err)
	case err != nil && !errors.Is(err, io.EOF):
		o.fail(err)
	}
	return n, err
}

// fail remembers an error of the store; a client that went away is none.
func (o *objectReader) fail(err error) {
	if o.ctx.Err() == nil {
		o.err = err
	}
}

// Seek implements io.Seeker.
func (o *objectReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += o.at
	case io.SeekEnd:
		offset += o.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start of an object")
	}
	o.at = offset
	return offset, nil
}

func (o *objectReader) close() {
	if o.body != nil {
		_ = o.body.Close() // reading is over: nothing can be lost
		o.body = nil
	}
}
